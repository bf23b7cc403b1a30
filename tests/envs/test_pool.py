import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.spec import ObservationRequest
from envs.testing import EnvContract
from tests.conftest import TOY

REQUEST = ObservationRequest(fields=("proprio", "points", "points_valid"), cameras=("front",), num_points=64)


@pytest.mark.slow
class TestToyKeepsTheContract(EnvContract):
    env = TOY
    task = "near"
    fields = ("proprio", "ground_truth", "points", "points_valid")
    cameras = ("front",)


@pytest.fixture
def config() -> EnvConfig:
    return EnvConfig(TOY, "near", REQUEST)


@pytest.mark.slow
def test_map_gives_every_job_its_answer(config: EnvConfig) -> None:
    with Pool(config, 3) as pool:
        answers = dict(pool.map("expert_episode", [(seed, 20) for seed in range(10)]))
    with Pool(config, 1) as pool:
        alone = dict(pool.map("expert_episode", [(seed, 20) for seed in range(10)]))
    assert sorted(answers) == list(range(10))
    for index, episode in answers.items():
        for name, array in episode.items():
            np.testing.assert_array_equal(array, alone[index][name])


@pytest.mark.slow
def test_a_dead_worker_is_replaced_and_its_job_run_again(config: EnvConfig) -> None:
    with Pool(config, 2) as pool:
        jobs = pool.map("expert_episode", [(seed, 2000) for seed in range(6)])
        first, _ = next(jobs)
        pool.workers[0].process.kill()
        rest = dict(jobs)
        assert sorted([first, *rest]) == list(range(6))
        assert pool.deaths == 1


@pytest.mark.slow
def test_a_worker_that_died_between_two_jobs_is_replaced(config: EnvConfig) -> None:
    with Pool(config, 1) as pool:
        pool.workers[0].process.kill()
        pool.workers[0].process.wait()
        assert len(list(pool.map("expert_episode", [(1, 5)]))) == 1
        assert pool.deaths == 1


@pytest.mark.slow
def test_a_job_that_kills_every_worker_is_given_up() -> None:
    with Pool(EnvConfig(TOY, "cursed", REQUEST), 1) as pool:
        with pytest.raises(WorkerDied, match="exit code 11"):
            list(pool.map("reset", [(5,)]))
        assert pool.deaths == 2


@pytest.mark.slow
def test_what_the_simulator_raises_comes_out_with_its_traceback() -> None:
    with Pool(EnvConfig(TOY, "cursed", REQUEST), 1) as pool:
        with pytest.raises(WorkerError, match="this episode cannot be run") as caught:
            list(pool.map("reset", [(3,)]))
        assert "toy_env.py" in caught.value.trace


@pytest.mark.slow
def test_a_hung_worker_is_killed_after_the_timeout(config: EnvConfig) -> None:
    with Pool(config, 1, timeout=1.0) as pool:
        os.kill(pool.workers[0].process.pid, signal.SIGSTOP)
        pool.workers[0].ask("reset", 0)
        with pytest.raises(WorkerDied):
            pool.ready(pool.workers)[0].answer()


@pytest.mark.slow
def test_a_simulator_that_cannot_be_built_says_why(config: EnvConfig) -> None:
    with pytest.raises(WorkerError, match="unknown MetaWorld task 'reech'. Did you mean 'reach'"):
        Pool(EnvConfig("metaworld", "reech", ObservationRequest(("proprio",))), 1)
    with pytest.raises(WorkerError, match=r"python must be the path of a Python"):
        Pool(dataclasses.replace(config, python="/nowhere/python"), 1)


@pytest.mark.slow
def test_no_worker_survives_its_parent() -> None:
    code = (
        "import os, signal\nfrom envs.pool import *\nfrom envs.spec import ObservationRequest\n"
        f"pool = Pool(EnvConfig({TOY!r}, 'near', ObservationRequest(('proprio',))), 2)\n"
        "print(*[w.process.pid for w in pool.workers], flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in done.stdout.split()]
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(psutil.pid_exists(pid) for pid in workers)


@pytest.mark.slow
def test_workers_import_no_torch(config: EnvConfig) -> None:
    with Pool(config, 1) as pool:
        maps = Path(f"/proc/{pool.workers[0].process.pid}/maps").read_text()
        assert "libtorch" not in maps
        assert "numpy" in maps


@pytest.mark.slow
def test_what_a_simulator_prints_is_not_on_standard_output(tmp_path: Path) -> None:
    """Megabytes and bytes that are no text, too: standard output is for results alone."""
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        f"import os, sys\nsys.path.insert(0, {str(Path(TOY).parent)!r})\nfrom toy_env import Toy\n"
        "class Noisy(Toy):\n"
        "    def reset(self, seed):\n"
        "        os.write(1, bytes(range(128, 256)) * 16384)\n"
        "        print('noise')\n        return super().reset(seed)\n"
    )
    code = (
        "from envs.pool import *\nfrom envs.spec import ObservationRequest\n"
        f"with Pool(EnvConfig({f'{noisy}:Noisy'!r}, 'near', ObservationRequest(('proprio',))), 1) as pool:\n"
        "    print(len(list(pool.map('reset', [(1,)]))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.stdout == b"1\n"
    assert len(done.stderr) > 2**20
