"""docs/encoders.md says of each network what it is compared with, and by which test: each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_every_claim_names_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "encoders.md").read_text()
    rows = text.split("| network | against | test |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    assert len(rows) > 20
    for row in rows:
        named = re.fullmatch(r"\| .+ \| .+ \| `(tests/[\w/]+\.py)::(test_\w+)` \|", row)
        assert named, f"no test is named in: {row}"
        tree = ast.parse((ROOT / named[1]).read_text())
        assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row
