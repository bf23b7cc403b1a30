"""What the README shows is what the code and the committed records say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.main import app
from envs.field_names import FIELD_NAMES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
FIELDS = "| field | shape and type | units, frame |\n|---|---|---|\n"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.slow
def test_the_methods_are_those_of_the_cards_and_records() -> None:
    """`bench ledger --methods` prints it anew."""
    printed = CliRunner().invoke(app, ["ledger", "--methods"]).stdout.split("\n\n", 1)[1].strip()
    assert printed in README


@pytest.mark.slow
def test_the_chart_has_the_numbers_of_the_records() -> None:
    """`python scripts/readme_chart.py` draws it anew."""
    chart = script("readme_chart")
    with Image.open(ROOT / "docs/measured.png") as shown:
        assert json.loads(shown.text[chart.KEY]) == chart.numbers()  # type: ignore[attr-defined]


def test_every_file_that_a_page_of_ours_names_is_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} names {target}"


def row(name: str, said: str) -> str:
    shape, dtype, rest = re.fullmatch(r"\((.*?)\) (\w+)(?:, (.*))?", said).groups()  # type: ignore[union-attr]
    return f"| `{name}` | (B,{shape}) {dtype} | {rest + ' ' if rest else ''}|"


def test_every_field_is_in_the_table_with_its_shape_and_unit() -> None:
    found = README.split(FIELDS)[1].split("\n\n")[0].splitlines()
    assert found == [row(name, said) for name, said in FIELD_NAMES.items()]


def test_every_verb_is_named() -> None:
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    unnamed = {verb for verb in verbs if f"bench {verb}" not in README}
    assert unnamed <= {"status", "logs", "retry", "cancel", "attention"}
