"""Every verb with a simulator that only another interpreter can import, and that prints wherever it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.experiment.make_cells import make_cells
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY
from tests.other_interpreter import other_python
from tests.settings.test_user_files import PROTOCOL
from tests.test_cli import here, the_record

__all__ = ["other_python"]

pytestmark = pytest.mark.slow
SIMULATOR = """
import ctypes, os, sys
sys.path.insert(0, {folder!r})
{only}
from toy_env import Toy


class Sim(Toy):
    def reset(self, seed):
        print("reset", seed, flush=True)
        os.write(1, b"and from C ")
        return super().reset(seed)
"""
SUITE = 'name: mine\ntitle: mine\nsource: me\nenv: "{env}"\ntasks:\n  all: [near]\nobservation:\n  cameras: [front]\n'


def folder_with(folder: Path, only: str) -> Path:
    """A suite, a protocol and a simulator's file, which begins with this import."""
    (folder / "protocol").mkdir(parents=True)
    (folder / "suite").mkdir()
    (folder / "protocol" / "short.yaml").write_text(PROTOCOL)
    (folder / "sim.py").write_text(SIMULATOR.format(folder=str(Path(TOY).parent), only=only))
    (folder / "suite" / "mine.yaml").write_text(SUITE.format(env=f"{folder / 'sim.py'}:Sim"))
    return folder


def results_of(folder: Path) -> Any:
    """What was trained and played, hashes of weights and actions too. (A link names the simulator's code.)"""
    found = the_record(folder)
    played = [
        {key: value for key, value in one.items() if key != "link"} for one in (*found["evaluations"], found["retest"])
    ]
    return played, found["training"], found["seed"]


def test_every_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_python: str) -> None:
    (site,) = Path(other_python).parents[1].glob("lib/*/site-packages")
    (site / "only_in_there.py").write_text("")
    own = folder_with(tmp_path / "own", "")
    away = folder_with(tmp_path / "away", "import only_in_there")
    simulator = f"{away / 'sim.py'}:Sim"
    there = f"env.file.python={other_python}"
    run = ("run", "--suite", "mine", "--protocol", "short", "--method", "dp3", "method={}", "runtime.workers=2")

    def bench(folder: Path, *words: str, code: int = 0) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("BENCH_CONFIG", str(folder))
        found, out, err = here(*words)
        assert found == code, (words, out, err)
        return out + err

    bench(own, *run)
    assert "No module named 'only_in_there'" in bench(away, *run, code=2)
    assert "move to the near goal" in bench(away, "list", "tasks", "--suite", "mine", "--python", other_python)
    assert "near" in bench(away, "show", "suite/mine")
    assert "near" in bench(away, *run, there, "--dry-run", "--json")
    bench(away, "collect", "--suite", "mine", "--protocol", "short", "--out", "only-demos", there)
    bench(away, *run, there)
    assert results_of(away) == results_of(own)
    files = [*(away / "runs").rglob("*")]
    bench(away, *run, there)
    assert [*(away / "runs").rglob("*")] == files, "issued again it finds its record and does nothing"
    bench(away, "audit", "--python", other_python, "--simulator", simulator)  # exit code 0: it holds
    assert "not checked" in bench(away, "audit", "--simulator", simulator, code=4)
    bench(away, "table", "1", "--suite", "mine", "--protocol", "short", "--cells")
    bench(away, "export", "--format", "csv")
    bench(away, "report", "--films", "near", "--simulator", simulator, "--python", other_python)
    policy = ("export", "policy", "near", "--to", "policy", "--simulator", simulator)
    bench(away, *policy, "--python", other_python)
    assert (away / "policy").is_dir()


def test_a_file_has_the_same_name_wherever_it_runs(tmp_path: Path, other_python: str) -> None:
    """Identity and cache keys: which interpreter it was is told by versions alone."""
    folder = folder_with(tmp_path, "")
    protocol, suite = str(folder / "protocol/short.yaml"), str(folder / "suite/mine.yaml")
    found = [
        make_cells(load_settings(suite, protocol, "mlp", words), None, ["state"], [0])[0]
        for words in ([], [f"env.file.python={other_python}"])
    ]
    assert found[0].identity() == found[1].identity()
    assert found[0].record(Paths(tmp_path, tmp_path)) == found[1].record(Paths(tmp_path, tmp_path))


def test_the_parent_imports_nothing_of_it(tmp_path: Path, other_python: str) -> None:
    """Neither MetaWorld where it is asked for in another interpreter: its adapter is not looked at here."""
    import subprocess
    import sys

    code = (
        "import sys\nfrom benchmark.settings.load import load_settings\n"
        f"s = load_settings('metaworld-15', 'quick', 'mlp', ['env.metaworld.python={other_python}'])\n"
        "assert s.simulator().tasks and s.simulator().specs(s.request(('points', 'points_valid'), 64))\n"
        "print([m for m in sys.modules if m.startswith(('metaworld', 'mujoco', 'envs.metaworld'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_pool_of_it_prints_nothing_on_standard_output(
    tmp_path: Path, other_python: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = folder_with(tmp_path, "")
    with Pool(EnvConfig(f"{folder / 'sim.py'}:Sim", "near", ObservationRequest(("proprio",)), other_python), 1) as pool:
        list(pool.map("reset", [(1,)]))
    out, err = capfd.readouterr()
    assert out == "" and "reset 1" in err and "and from C" in err
