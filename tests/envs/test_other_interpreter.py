"""A simulator that only another interpreter can import, with another Python and another numpy than this one's."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from envs import description
from envs.class_facts import NoSimulator
from envs.classes import BadSimulator
from envs.description import describe
from envs.errors import SpecMismatch
from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.registry import BrokenFile, NoFile, UnknownName
from envs.spec import ObservationRequest
from envs.versions import simulator_facts
from tests.conftest import TOY
from tests.other_interpreter import NUMPY, other_python

__all__ = ["other_python"]

pytestmark = pytest.mark.slow
REQUEST = ObservationRequest(("proprio", "points", "points_valid"), ("front",), num_points=64)
ELSEWHERE = """
print("a simulator that greets on standard output")
import sys
sys.path.insert(0, {folder!r})
import only_there
from toy_env import Toy

class Elsewhere(Toy):
    version = "elsewhere==2"
    packages = ("numpy", "not-there")

    def fingerprint(self):
        import numpy
        return f"{{sys.version_info[0]}}.{{sys.version_info[1]}} numpy {{numpy.__version__}}"
"""


@pytest.fixture
def elsewhere(tmp_path: Path, other_python: str) -> str:
    """Its file imports a module that there is only in the other interpreter."""
    import_folder = next(Path(other_python).parents[1].glob("lib/*/site-packages"))
    (import_folder / "only_there.py").write_text("")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE.format(folder=str(Path(TOY).parent)))
    return f"{tmp_path / 'elsewhere.py'}:Elsewhere"


IMPORT_ALL = """
import importlib, importlib.util, pathlib, sys
room = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("envs", str(room / "__init__.py"), submodule_search_locations=[str(room)])
sys.modules["envs"] = importlib.util.module_from_spec(spec)
for path in sorted([*room.glob("*.py"), *room.glob("rlbench/*.py")]):
    if path.stem not in ("__init__", "mujoco_renderer"):  # which wants mujoco
        importlib.import_module(".".join(["envs", *path.relative_to(room).with_suffix("").parts]))
print(len(sys.modules))
"""


def test_the_whole_room_runs_with_the_oldest_python_and_numpy(other_python: str) -> None:
    room = Path(description.__file__).parent
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [other_python, "-I", "-c", IMPORT_ALL, str(room)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_what_a_class_says_is_the_same_in_both(other_python: str) -> None:
    here, there = describe(TOY), describe(TOY, other_python)
    for one in dataclasses.fields(here):
        if one.name != "_ask":
            assert getattr(here, one.name) == getattr(there, one.name), one.name
    assert here.specs(REQUEST) == there.specs(REQUEST)
    assert here.resolve(REQUEST) == there.resolve(REQUEST) == REQUEST
    assert here.instruction("far") == there.instruction("far")
    assert here.files() == there.files()
    assert simulator_facts(TOY) == simulator_facts(TOY, other_python) | {"fpsample": simulator_facts(TOY)["fpsample"]}


def test_a_simulator_that_cannot_be_imported_here(elsewhere: str, other_python: str) -> None:
    with pytest.raises(BrokenFile, match="No module named 'only_there'"):
        describe(elsewhere)
    found = describe(elsewhere, other_python)
    assert (found.name, found.version, found.tasks[0]) == ("toy", "elsewhere==2", "near")
    facts = simulator_facts(elsewhere, other_python)
    assert facts["packages"] == {"numpy": NUMPY, "not-there": None} and len(facts["source"]) == 64
    assert "only_there" not in sys.modules


def test_episodes_are_the_same_with_both_numpys(elsewhere: str, other_python: str) -> None:
    answers = []
    for name, python in ((TOY, None), (elsewhere, other_python)):
        with Pool(EnvConfig(name, "near", REQUEST, python), 1) as pool:
            ((_, fingerprint),) = pool.map("fingerprint", [()])
            ((_, episode),) = pool.map("expert_episode", [(3, 30)])
            ((_, fields),) = pool.map("render_states", [(3, episode["states"])])
            ((_, flags),) = pool.map("replay", [(3, episode["actions"])])
            list(pool.map("reset", [(3,)]))
            ((_, step),) = pool.map("step", [(episode["actions"][0],)])
            seen = {field: view.copy() for field, view in pool.workers[0].observation.items()}
        answers.append((episode, fields, flags, step, seen))
    assert fingerprint.endswith(f"numpy {NUMPY}") and not np.__version__.startswith("1.")
    (*here, flags_here, step_here, seen_here), (*there, flags_there, step_there, seen_there) = answers
    assert (flags_here, step_here) == (flags_there, step_there)
    for a, b in [*zip(here, there, strict=True), (seen_here, seen_there)]:
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


def test_what_is_refused_there_is_refused_with_the_same_error(tmp_path: Path, other_python: str) -> None:
    with pytest.raises(SpecMismatch, match="toy cannot give"):
        describe(TOY, other_python).specs(ObservationRequest(("rgb",)))
    with pytest.raises(SpecMismatch, match="has no crop named 'lift3d'"):
        describe(TOY, other_python).resolve(dataclasses.replace(REQUEST, crop="lift3d"))
    with pytest.raises(UnknownName, match=r"class 'Toi' in .*toy_env.py. Did you mean 'Toy'"):
        describe(TOY[:-3] + "Toi", other_python)
    with pytest.raises(NoFile, match="no file"):
        describe(str(tmp_path / "nowhere.py:Toy"), other_python)
    (tmp_path / "bad.py").write_text("class Bad: pass\n")
    with pytest.raises(BadSimulator, match="it has no specs"):
        describe(f"{tmp_path / 'bad.py'}:Bad", other_python)
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('why')\n")
    with pytest.raises(BrokenFile, match="SystemExit"):
        describe(f"{tmp_path / 'exits.py'}:A", other_python)
    with pytest.raises(SpecMismatch, match="toy cannot give"):
        Pool(EnvConfig(TOY, "near", ObservationRequest(("rgb",)), other_python), 1)


def test_a_registered_simulator_that_is_not_installed_there(other_python: str) -> None:
    """It is described, since its class imports nothing of it; there is no version, and no worker."""
    found = describe("metaworld", other_python)
    assert found.tasks == describe("metaworld").tasks
    with pytest.raises(NoSimulator, match="metaworld is not installed"):
        simulator_facts("metaworld", other_python)
    request = ObservationRequest(("proprio",))
    with pytest.raises(WorkerError, match="No module named 'mujoco'"):
        Pool(EnvConfig("metaworld", "reach", request, other_python), 1)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "has no .*toy_env.py:Toy that could be run"),
        ("echo some words >&2; exit 1", "some words"),
        ("kill -9 $$", "exit code -9, SIGKILL"),
    ],
)
def test_what_is_no_interpreter(script: str, said: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(NoSimulator, match=said):
        describe(TOY, str(python))


def test_a_script_that_starts_the_interpreter_and_waits_for_it(tmp_path: Path, other_python: str) -> None:
    """As xvfb-run does, which has a server of its own to end."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho a banner\n{other_python} "$@"\necho it ended\n')
    python.chmod(0o755)
    config = EnvConfig(TOY, "cursed", REQUEST, str(python))
    with Pool(config, 1, timeout=20.0) as pool:
        assert len(list(pool.map("reset", [(1,)]))) == 1
        inside = psutil.Process(pool.workers[0].process.pid).children()
        with pytest.raises(WorkerDied, match="ended unexpectedly|hung up"):
            list(pool.map("reset", [(5,)], retries=0))
    assert len(inside) == 1
    psutil.wait_procs(inside, timeout=5)
    assert not any(map(psutil.Process.is_running, inside))


def test_one_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.process.STARTING", 0.5)
    monkeypatch.setattr(description, "PATIENCE", 0.5)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nsleep 600\n")
    python.chmod(0o755)
    with pytest.raises(NoSimulator, match="gave no whole answer"):
        describe(TOY, str(python))


def children() -> set[psutil.Process]:
    return {one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE}


def test_the_process_that_describes_is_one_and_may_die(elsewhere: str, other_python: str, tmp_path: Path) -> None:
    before = children()
    found = describe(elsewhere, other_python)
    (process,) = children() - before
    found.specs(REQUEST)
    describe(elsewhere, other_python).instruction("near")
    assert children() - before == {process}
    process.kill()
    wider = found.specs(dataclasses.replace(REQUEST, num_points=65))
    (second,) = children() - before
    assert wider["points"].shape == (65, 3) and second != process
    second.kill()
    (tmp_path / "elsewhere.py").write_text((tmp_path / "elsewhere.py").read_text() + "\n# edited\n")
    assert found.specs(REQUEST)["points"].shape == (64, 3), "what was said is kept"
    with pytest.raises(NoSimulator, match="was edited during the run"):
        found.specs(dataclasses.replace(REQUEST, num_points=66))
    with pytest.raises(WorkerError, match="was edited during the run"):
        Pool(EnvConfig(elsewhere, "near", REQUEST, other_python), 1)


def test_the_describing_process_ends_with_its_parent(elsewhere: str, other_python: str) -> None:
    code = (
        "import os, signal, sys, psutil\nfrom envs.description import describe\n"
        f"describe({elsewhere!r}, {other_python!r})\n"
        "print(*[c.pid for c in psutil.Process().children()], flush=True)\n"
        "if sys.argv[1] == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for how in ("kill", "end"):
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True)
        pids = [int(word) for word in done.stdout.split()]
        assert len(pids) == 1, done.stderr
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
        assert not any(map(psutil.pid_exists, pids))


def test_after_a_fork_nobody_speaks_over_the_parents_conversation(other_python: str) -> None:
    there = describe(TOY, other_python)
    child = os.fork()
    if not child:
        same = describe(TOY, other_python).specs(REQUEST) == there.specs(REQUEST)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert describe(TOY, other_python).specs(dataclasses.replace(REQUEST, num_points=9))["points"].shape == (9, 3)
