"""docs/api.md: its examples run as they stand, and its columns are those of the frame."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import repbench
from benchmark.records.frame import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.sim
@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = []
    for example in EXAMPLES:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    trained, compared, stepped = said
    assert len(re.findall(r"state +0 +\d +4", trained)) == 1, trained
    assert re.search(r"dp3 +mlp +[0-9a-f]{16} .*0\.93", compared), compared
    assert "'proprio': (4,)" in stepped and "'rgb'" not in stepped, stepped
    assert int(re.findall(r"after (\d+) steps", stepped)[0]) < 200, stepped


def test_every_column_is_said() -> None:
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert found == [(name, dtype, meaning) for name, (dtype, meaning) in COLUMNS.items()]


def test_every_name_is_said() -> None:
    assert all(re.search(rf"`{name}[(`]", TEXT) for name in dir(repbench))
