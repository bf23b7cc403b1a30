"""`bench doctor rlbench`: every row that fails names the command that mends it; the simulator is judged by pixels."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.system.doctor import Finding
from benchmark.system.rlbench_doctor import env_script, examine_rlbench
from benchmark.system.rlbench_live import try_simulator
from tests.rlbench_stand_in import FAKE, FAULT, stand_in

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="PyRep is for Linux on x86-64 alone"
)
LIBRARIES = ("libcoppeliaSim.so", "libcoppeliaSim.so.1", "platforms/libqxcb.so")


def coppeliasim(folder: Path) -> Path:
    """A folder that looks like CoppeliaSim's to who only looks at names."""
    for name in (*LIBRARIES, "xcbglintegrations/libqxcb-glx-integration.so", "system/usrset.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("allowOldEduRelease=7501\n" if name.endswith(".txt") else "no library")
    return folder


def interpreter(folder: Path, *lines: str) -> str:
    root = coppeliasim(folder / "CoppeliaSim")
    return stand_in(folder, f"export COPPELIASIM_ROOT={root} LD_LIBRARY_PATH={root}", *lines)


def never(_: str | None) -> Finding:
    raise AssertionError("the simulator is not tried where something else is missing")


def rows(python: str, live: Callable[[str | None], Finding] = never) -> dict[str, Finding]:
    return {one.check: one for one in examine_rlbench(python, live)}


@pytest.mark.slow
def test_a_machine_on_which_all_is_well_has_its_simulator_tried(tmp_path: Path) -> None:
    tried = []

    def live(python: str | None) -> Finding:
        tried.append(python)
        return Finding("simulator", "ok", "fine")

    python = interpreter(tmp_path)
    found = rows(python, live)
    verdicts = {name: one.verdict for name, one in found.items()}
    assert tried == [python]
    assert verdicts.pop("pyrep") == "warn", "nobody wrote down its commit"
    assert set(verdicts.values()) == {"ok"}, found
    assert next(iter(found)) == "interpreter" and list(found)[-1] == "simulator"


BROKEN = {
    "no root": ("CoppeliaSim", "unset COPPELIASIM_ROOT", "is not set", "COPPELIASIM_ROOT=FOLDER"),
    "a wrong root": ("CoppeliaSim", "export COPPELIASIM_ROOT=/nowhere", "no libcoppeliaSim.so", "4.1.0"),
    "no link": ("CoppeliaSim", "rm $COPPELIASIM_ROOT/libcoppeliaSim.so.1", "libcoppeliaSim.so.1", "ln -s "),
    "expired": ("CoppeliaSim", "echo > $COPPELIASIM_ROOT/system/usrset.txt", "old release", "allowOldEduRelease=7501"),
    "no loader path": ("loader", "export LD_LIBRARY_PATH=/usr/lib", "before Python starts", "--write-env"),
    "a missing library": (
        "libraries",
        "export FAKE_MISSING='libdbus-1.so.3 libodd.so.7'",
        "does not find libdbus-1.so.3, libodd.so.7",
        "sudo apt-get install -y libdbus-1-3 libodd.so.7",
    ),
    "a platform that draws black": ("Qt", "export QT_QPA_PLATFORM=offscreen", "black", "unset QT_QPA_PLATFORM"),
    "plugins nowhere": ("Qt", "export QT_PLUGIN_PATH=/nowhere", "is no folder", "export QT_PLUGIN_PATH="),
    "no X server": ("X server", "export PATH=/usr/bin:/bin DISPLAY=:4321", "Xvfb is not installed", "install -y xvfb"),
    "no pyrep": ("pyrep", "export PYTHONPATH=/nowhere", "not installed", "PyRep.git@8f420be"),
    "no rlbench": ("rlbench", "export PYTHONPATH=/nowhere", "no commercial use", "RLBench.git@02720bb"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_failure_names_its_mend(case: str, tmp_path: Path) -> None:
    check, line, said, mend = BROKEN[case]
    if case == "no X server" and subprocess.run(["which", "Xvfb"], capture_output=True).returncode == 0:
        pytest.skip("Xvfb is installed here")
    found = rows(interpreter(tmp_path, line))
    assert found[check].verdict == "fail" and said in found[check].found, found[check]
    assert mend in found[check].mend
    assert found["simulator"].verdict == "warn" and check in found["simulator"].found


def test_libraries_are_not_called_found_where_nobody_looked(tmp_path: Path) -> None:
    found = rows(interpreter(tmp_path, "unset COPPELIASIM_ROOT"))["libraries"]
    assert found.verdict == "warn" and "not looked at" in found.found


def test_another_package_called_pyrep(tmp_path: Path) -> None:
    (tmp_path / "wrong" / "pyrep").mkdir(parents=True)
    (tmp_path / "wrong" / "pyrep" / "__init__.py").write_text("")
    found = rows(interpreter(tmp_path, f"export PYTHONPATH={tmp_path / 'wrong'}:{FAKE}"))["pyrep"]
    assert found.verdict == "fail" and "another package of that name" in found.found and "uninstall" in found.mend


def test_another_commit_is_a_warning(tmp_path: Path) -> None:
    info = tmp_path / "other" / "rlbench-1.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rlbench\nVersion: 1.1.0\n")
    (info / "direct_url.json").write_text('{"url": "x", "vcs_info": {"vcs": "git", "commit_id": "deadbeef00"}}')
    python = interpreter(tmp_path, f"export PYTHONPATH={tmp_path / 'other'}:{FAKE}")
    found = rows(python, lambda _: Finding("simulator", "ok", ""))["rlbench"]
    assert found.verdict == "warn" and "deadbee (02720bb is meant" in found.found


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    (only,) = examine_rlbench(str(tmp_path / "nowhere"), never)
    assert only.verdict == "fail" and "cannot be asked (No such file" in only.found and "-m venv" in only.mend
    (only,) = examine_rlbench("/bin/true", never)
    assert only.verdict == "fail" and "cannot be asked" in only.found


def test_the_script_sets_what_is_needed_and_becomes_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coppeliasim(tmp_path / "Coppelia Sim's")
    monkeypatch.setenv("COPPELIASIM_ROOT", str(root))
    file = tmp_path / "rlbench.sh"
    file.write_text(env_script("/usr/bin/env"))
    file.chmod(0o755)
    said = subprocess.run([file, "-u", "QT_PLUGIN_PATH"], capture_output=True, text=True, check=True).stdout
    assert f"COPPELIASIM_ROOT={root}\n" in said and f"LD_LIBRARY_PATH={root}" in said and "QT_PLUGIN_PATH=" not in said
    sourced = f'. "{file}"; echo "$QT_PLUGIN_PATH"'
    assert subprocess.run(["sh", "-c", sourced], capture_output=True, text=True, check=True).stdout.strip() == str(root)


@pytest.mark.slow
def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPPELIASIM_ROOT", str(coppeliasim(tmp_path / "CoppeliaSim")))
    python = stand_in(tmp_path, "export FAKE_MISSING=libxcb-xkb.so.1")
    script = tmp_path / "rlbench.sh"
    told = ["doctor", "rlbench", "--python", python, "--write-env", str(script), "--json"]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 1, done.output
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["loader"]["verdict"] == "ok", "the script it has just written has mended that"
    assert found["libraries"]["mend"] == "sudo apt-get install -y libxcb-xkb1"
    assert f"env.rlbench.python={script}" in done.stderr
    for odd in (["doctor", "rlbnch"], ["doctor", "--write-env", "x"]):
        assert CliRunner().invoke(app, odd).exit_code == 2


@pytest.mark.gl
@pytest.mark.slow
class TestTheSimulatorIsTried:
    @pytest.mark.slow
    def test_one_that_draws_and_moves(self, tmp_path: Path) -> None:
        found = try_simulator(interpreter(tmp_path), 60)
        assert found.verdict == "ok" and "CoppeliaSim 4.1.0" in found.found, found

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("reset:black", "the image of front is black"),
            ("reset:grey", "the front image is no scene"),
            ("reset:frozen", "the images of 3 episodes are the same"),
            ("step:hang", "gave no whole answer in 10 s"),
            ("step:segfault", "SIGSEGV"),
            ("step:RuntimeError", "The call failed on the V-REP side"),
            ("step:IKError", "the fingertips went"),
            ("version:40501", "PyRep is made for CoppeliaSim 4.1.*CoppeliaSim 4.5.1"),
        ],
    )
    def test_one_that_does_not(self, fault: str, said: str, tmp_path: Path) -> None:
        python = interpreter(tmp_path)
        (tmp_path / FAULT).write_text(fault)
        found = try_simulator(python, 10)
        assert found.verdict == "fail" and re.search(said, found.found), found
        assert found.mend

    @pytest.mark.slow
    def test_keyframes_that_lead_nowhere_are_a_warning(self, tmp_path: Path) -> None:
        python = interpreter(tmp_path)
        (tmp_path / FAULT).write_text("demos:no-demos")
        found = try_simulator(python, 60)
        assert found.verdict == "warn" and "did not succeed" in found.found, found
