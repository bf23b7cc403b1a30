"""Is a machine fit for RLBench? What its interpreter has, then the simulator itself, judged by what it draws.

Each row is one thing that others have lost days with; a failure says the command that mends it. Nothing is downloaded
or installed here.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.system.doctor import Finding
from envs.rlbench import display
from envs.rlbench.facts import PYREP_COMMIT, RLBENCH_COMMIT

PROBE = Path(display.__file__).with_name("probe.py")
PATIENCE = 60.0
"""Seconds for an interpreter to say what it has."""
ENV = "bench doctor rlbench --write-env rlbench.sh   # and env.rlbench.python=$PWD/rlbench.sh"
VENV = 'python3.10 -m venv ~/rlbench && ~/rlbench/bin/python -m pip install "numpy>=1.26" fpsample'
PYREP = f'pip install "git+https://github.com/stepjam/PyRep.git@{PYREP_COMMIT}"'
RLBENCH = f'pip install gymnasium "git+https://github.com/stepjam/RLBench.git@{RLBENCH_COMMIT}"'
COPPELIASIM = "export COPPELIASIM_ROOT=FOLDER   # of CoppeliaSim Edu 4.1.0: coppeliarobotics.com, read its licence"
DEBIAN = {
    "libdbus-1.so.3": "libdbus-1-3",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
}
"""Debian's and Ubuntu's package of each library that CoppeliaSim 4.1 and its Qt need."""

Facts = Mapping[str, Any]


def examine_rlbench(python: str | None, live: Callable[[str | None], Finding]) -> list[Finding]:
    """Every row. python: the interpreter, None for this one. live: the last row, tried only where no other has failed.

    None of them raises.
    """
    facts, asked = ask(python)
    if facts is None:
        return [asked]
    findings = [asked]
    for check in CHECKS:
        try:
            findings.append(check(facts))
        except Exception as error:
            findings.append(Finding(check.__name__, "fail", f"{type(error).__name__}: {error}", VENV))
    failed = [finding.check for finding in findings if finding.verdict == "fail"]
    if failed:
        said = f"not tried: first fix {', '.join(failed)}"
        return [*findings, Finding("simulator", "warn", said, "bench doctor rlbench   # again")]
    return [*findings, live(python)]


def ask(python: str | None) -> tuple[Facts | None, Finding]:
    """What the interpreter has (`envs.rlbench.probe`), and its row; None where it cannot be asked."""
    chosen = python or sys.executable
    code = f"exec(compile(open({str(PROBE)!r}).read(), 'probe', 'exec'))"  # as a simulator's process is started
    try:
        done = subprocess.run([chosen, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
        facts: Facts = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        said = error.strerror if isinstance(error, OSError) else type(error).__name__
        return None, Finding("interpreter", "fail", f"{chosen} cannot be asked ({said})", f"{VENV}   # then --python")
    numpy = facts["packages"]["numpy"]["version"]
    text = f"{facts['executable']}, Python {'.'.join(map(str, facts['python']))}, numpy {numpy or 'absent'}"
    if (facts["system"], facts["machine"]) != ("Linux", "x86_64"):
        mend = "use a Linux machine with an x86-64 processor: PyRep runs nowhere else"
        return facts, Finding("interpreter", "fail", f"{facts['system']} on {facts['machine']}", mend)
    if tuple(facts["python"]) < (3, 10) or numpy is None or tuple(map(int, numpy.split(".")[:2])) < (1, 26):
        return facts, Finding("interpreter", "fail", f"{text}; Python 3.10 and numpy 1.26 or later are needed", VENV)
    if facts["packages"]["fpsample"]["version"] is None:
        mend = f"{facts['executable']} -m pip install fpsample==0.3.3   # or suite.observation.sampler=exact"
        return facts, Finding("interpreter", "fail", f"{text}, without fpsample, which samples clouds", mend)
    return facts, Finding("interpreter", "ok", text)


def check_root(facts: Facts) -> Finding:
    root, files = facts["variables"]["COPPELIASIM_ROOT"], facts["files"]
    if not root:
        return Finding("CoppeliaSim", "fail", "COPPELIASIM_ROOT is not set", COPPELIASIM)
    if not files["exists"] or not files["libraries"]["libcoppeliaSim.so"]:
        return Finding("CoppeliaSim", "fail", f"COPPELIASIM_ROOT={root} has no libcoppeliaSim.so", COPPELIASIM)
    if not files["linked"]:
        found = f"{root} has no libcoppeliaSim.so.1, which PyRep is linked to"
        return Finding("CoppeliaSim", "fail", found, f"ln -s libcoppeliaSim.so {root}/libcoppeliaSim.so.1")
    if not files["allowed"]:
        found = f"{root}/system/usrset.txt does not allow an old release: it would stop with a message about its age"
        mend = f"mkdir -p {root}/system && echo allowOldEduRelease=7501 >> {root}/system/usrset.txt"
        return Finding("CoppeliaSim", "fail", found, mend)
    return Finding("CoppeliaSim", "ok", root)


def check_loader(facts: Facts) -> Finding:
    root = facts["variables"]["COPPELIASIM_ROOT"] or ""
    folders = [part.rstrip("/") for part in (facts["variables"]["LD_LIBRARY_PATH"] or "").split(":") if part]
    if root.rstrip("/") in folders:
        return Finding("loader", "ok", "LD_LIBRARY_PATH has COPPELIASIM_ROOT")
    found = "LD_LIBRARY_PATH does not have COPPELIASIM_ROOT; it has to before Python starts"
    return Finding("loader", "fail", found, ENV)


def check_libraries(facts: Facts) -> Finding:
    files = facts["files"]
    if files is None or not any(files["libraries"].values()):
        found = "not looked at: there is no CoppeliaSim to ask the loader about"
        return Finding("libraries", "warn", found, COPPELIASIM)
    absent = sorted({name for names in files["missing"].values() for name in names})
    plugins = [name for name, there in files["libraries"].items() if not there]
    if absent:
        packages = " ".join(dict.fromkeys(DEBIAN.get(name, name) for name in absent))
        mend = f"sudo apt-get install -y {packages}"
        return Finding("libraries", "fail", f"the loader does not find {', '.join(absent)}", mend)
    if plugins:
        return Finding("libraries", "warn", f"CoppeliaSim's folder has no {', '.join(plugins)}", COPPELIASIM)
    return Finding("libraries", "ok", "the loader finds all that CoppeliaSim and its Qt need")


def check_qt(facts: Facts) -> Finding:
    variables = facts["variables"]
    platform = (variables["QT_QPA_PLATFORM"] or "").partition(":")[0]
    if platform not in ("", "xcb"):
        found = f"QT_QPA_PLATFORM={platform}: CoppeliaSim would run, and every image would be black"
        return Finding("Qt", "fail", found, "unset QT_QPA_PLATFORM")
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_PLUGIN_PATH"):
        if variables[name] and not any(Path(part).is_dir() for part in variables[name].split(":")):
            return Finding("Qt", "fail", f"{name}={variables[name]} is no folder", f"export {name}=$COPPELIASIM_ROOT")
    return Finding("Qt", "ok", f"platform {platform or 'xcb by default'}; plugins of CoppeliaSim's folder")


def check_x_server(facts: Facts) -> Finding:
    given = facts["variables"]["DISPLAY"] or ""
    if display.answers(given):
        return Finding("X server", "ok", f"DISPLAY={given} answers")
    if facts["xvfb"]:
        why = f"DISPLAY={given} does not answer" if given else "no DISPLAY"
        return Finding("X server", "ok", f"{why}: each simulator starts an Xvfb of its own ({facts['xvfb']})")
    return Finding("X server", "fail", "no X server answers, and Xvfb is not installed", display.INSTALL)


def check_pyrep(facts: Facts) -> Finding:
    pyrep, install = facts["packages"]["pyrep"], f"{facts['executable']} -m {PYREP}"
    if pyrep["place"] is None:
        found = "pyrep is not installed; its installation wants COPPELIASIM_ROOT, and to write there"
        return Finding("pyrep", "fail", found, install)
    if not facts["backend"]:
        found = f"{pyrep['place']} is another package of that name (it has no pyrep.backend)"
        return Finding("pyrep", "fail", found, f"{facts['executable']} -m pip uninstall -y pyrep && {install}")
    if Path(pyrep["place"]).parent == Path(facts["folder"]) and not facts["built"]:
        found = f"{pyrep['place']} is PyRep's source, which is not built; Python takes it because you are in its folder"
        return Finding("pyrep", "fail", found, "cd ~")
    return _commit("pyrep", pyrep, PYREP_COMMIT, install)


def check_rlbench(facts: Facts) -> Finding:
    rlbench, install = facts["packages"]["rlbench"], f"{facts['executable']} -m {RLBENCH}"
    if rlbench["place"] is None:
        return Finding("rlbench", "fail", "rlbench is not installed (read its licence: no commercial use)", install)
    if facts["packages"]["gymnasium"]["place"] is None:
        mend = f"{facts['executable']} -m pip install gymnasium"
        return Finding("rlbench", "fail", "gymnasium, which rlbench imports, is not installed", mend)
    if not facts["scene"]:
        found = f"{rlbench['place']} has no task_design.ttt, its scene"
        again = install.replace("pip install", "pip install --force-reinstall --no-deps")
        return Finding("rlbench", "fail", found, again)
    return _commit("rlbench", rlbench, RLBENCH_COMMIT, install)


def _commit(name: str, package: Mapping[str, Any], meant: str, install: str) -> Finding:
    commit, text = package["commit"], f"{package['version'] or 'of no version'} in {package['place']}"
    if commit is None:
        return Finding(name, "warn", f"{text}, of a commit that nobody wrote down ({meant} is meant)", install)
    if not commit.startswith(meant):
        found = f"{text}, commit {commit[:7]} ({meant} is meant; a tag may be years older)"
        return Finding(name, "warn", found, install)
    return Finding(name, "ok", f"{text}, commit {meant}")


CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    check_root,
    check_loader,
    check_libraries,
    check_qt,
    check_x_server,
    check_pyrep,
    check_rlbench,
)


def env_script(python: str | None, root: str | None = None) -> str:
    """A shell script that sets what CoppeliaSim needs and becomes the interpreter; without arguments (`. FILE`) it only
    sets. root: COPPELIASIM_ROOT, this process's where it is None."""
    chosen = root or os.environ.get("COPPELIASIM_ROOT") or "EDIT_ME"
    return f"""#!/bin/sh
# Written by `bench doctor rlbench`. An interpreter: env.rlbench.python=THIS_FILE; for its variables alone: . THIS_FILE
export COPPELIASIM_ROOT={shlex.quote(chosen)}
export LD_LIBRARY_PATH="$COPPELIASIM_ROOT${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export QT_QPA_PLATFORM_PLUGIN_PATH="$COPPELIASIM_ROOT"
export QT_PLUGIN_PATH="$COPPELIASIM_ROOT"
unset QT_QPA_PLATFORM
[ "$#" -eq 0 ] || exec {shlex.quote(python or sys.executable)} "$@"
"""
