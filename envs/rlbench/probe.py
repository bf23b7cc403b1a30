"""What an interpreter has of RLBench, as JSON on standard output; a script of the standard library alone.

`bench doctor rlbench` runs it in the interpreter that is to hold the simulator, so that a script's own settings count,
and imports neither PyRep nor RLBench: a broken library would end it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

VARIABLES = (
    "COPPELIASIM_ROOT",
    "LD_LIBRARY_PATH",
    "QT_QPA_PLATFORM",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "QT_PLUGIN_PATH",
    "DISPLAY",
)
LIBRARIES = ("libcoppeliaSim.so", "platforms/libqxcb.so", "xcbglintegrations/libqxcb-glx-integration.so")
"""Of CoppeliaSim 4.1, by their place under its root."""


def package(name: str) -> dict[str, object]:
    """Where it is, its version, and the commit that pip installed it from; None of what is not known."""
    found: dict[str, object] = {"place": None, "version": None, "commit": None}
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None:
        found["place"] = str(Path(next(iter(spec.submodule_search_locations or [spec.origin or ""]))))
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return found
    found["version"] = installed.version
    with contextlib.suppress(KeyError, TypeError, ValueError):
        found["commit"] = json.loads(installed.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"]
    return found


def files(root: Path) -> dict[str, object]:
    """What lies under COPPELIASIM_ROOT. missing: libraries that the loader does not find, for each of `LIBRARIES`."""
    there = {name: (root / name).is_file() for name in LIBRARIES}
    settings = root / "system" / "usrset.txt"
    text = settings.read_text(errors="replace") if settings.is_file() else ""
    return {
        "exists": root.is_dir(),
        "libraries": there,
        "linked": (root / "libcoppeliaSim.so.1").exists(),
        "allowed": "allowOldEduRelease" in text,
        "missing": {name: missing(root / name) for name, found in there.items() if found},
    }


def missing(library: Path) -> list[str]:
    """Libraries that this one needs and that the loader does not find. Empty where nobody can say."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    done = subprocess.run([ldd, str(library)], capture_output=True, text=True)
    return [line.split()[0] for line in done.stdout.splitlines() if "not found" in line]


def main() -> None:
    root = os.environ.get("COPPELIASIM_ROOT", "")
    pyrep, rlbench = package("pyrep"), package("rlbench")
    place = Path(str(pyrep["place"])) if pyrep["place"] else None
    scene = Path(str(rlbench["place"])) / "task_design.ttt" if rlbench["place"] else None
    facts = {
        "system": platform.system(),
        "machine": platform.machine(),
        "executable": sys.executable,
        "python": list(sys.version_info[:3]),
        "packages": {"pyrep": pyrep, "rlbench": rlbench, **{n: package(n) for n in ("numpy", "gymnasium", "fpsample")}},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "files": files(Path(root)) if root else None,
        "backend": place is not None and (place / "backend").is_dir(),
        "built": place is not None and any(place.glob("backend/_sim_cffi*.so")),
        "scene": scene is not None and scene.is_file(),
        "xvfb": shutil.which("Xvfb"),
        "folder": os.getcwd(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
