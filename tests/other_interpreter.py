"""An interpreter with another Python and numpy, made once for all tests that want it."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

VERSIONS = ("3.10", "3.11")
NUMPY = "1.26.4"


def candidates() -> list[str]:
    """Interpreters of `VERSIONS` on this machine: on the path, of pyenv, and this one."""
    found = [path for version in VERSIONS if (path := shutil.which(f"python{version}"))]
    found += [str(path) for v in VERSIONS for path in Path.home().glob(f".pyenv/versions/{v}.*/bin/python")]
    return [*sorted(found, key=lambda path: "3.10" not in path), sys.executable]


@functools.cache
def made() -> tuple[Path | None, str]:
    """The interpreter of a new environment with numpy 1 and nothing else, or why there is none."""
    why = f"no Python {' or '.join(VERSIONS)} on this machine"
    for base in candidates():
        asked = "import json, sys; print(json.dumps('%d.%d' % sys.version_info[:2]))"
        done = subprocess.run([base, "-c", asked], capture_output=True, text=True)
        if done.returncode or json.loads(done.stdout) not in VERSIONS:
            continue
        folder = Path(tempfile.mkdtemp(prefix="other-interpreter-"))
        python = folder / "bin" / "python"
        # this pip for that Python; what is never imported there need not be compiled
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]
        for command in ([base, "-m", "venv", "--without-pip", folder], [*pip, f"numpy=={NUMPY}"]):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode:
                why = f"no environment with numpy {NUMPY} can be made with {base}: {done.stderr.strip()[-200:]}"
                break
        else:
            return python, ""
        shutil.rmtree(folder, ignore_errors=True)
    return None, why


@pytest.fixture(scope="session")
def other_python() -> Iterator[str]:
    python, why = made()
    if python is None:
        pytest.skip(why)
    yield str(python)
    made.cache_clear()
    shutil.rmtree(python.parents[1], ignore_errors=True)
