"""An interpreter in which `import rlbench` finds the stand-in of `tests/fake_rlbench`."""

from __future__ import annotations

import sys
from pathlib import Path

FAKE = Path(__file__).parent / "fake_rlbench"
FAULT = "fault"
"""The file beside the script whose text is what goes wrong (`fake_rlbench/faults.py`)."""


def stand_in(folder: Path, *lines: str) -> str:
    """A script that starts it, as `env.rlbench.python` takes it. lines: of shell, before it starts."""
    path = folder / "python-with-rlbench"
    setting = [f"export PYTHONPATH={FAKE}", f"export PATH={FAKE / 'bin'}:$PATH", "unset DISPLAY QT_QPA_PLATFORM"]
    setting.append(f"export FAKE_RLBENCH_FILE={folder / FAULT}")
    path.write_text("\n".join(["#!/bin/sh", *setting, *lines, f'exec {sys.executable} "$@"\n']))
    path.chmod(0o755)
    return str(path)
