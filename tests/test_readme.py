"""What the README shows is what the code and the committed records say."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.settings.load import load_settings
from envs.field_names import FIELD_NAMES
from envs.registry import env_class
from tests.test_edited_code import records, run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
FIELDS_PAGE = (ROOT / "docs/fields.md").read_text()
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
    found = FIELDS_PAGE.split(FIELDS)[1].split("\n\n")[0].splitlines()
    assert found == [row(name, said) for name, said in FIELD_NAMES.items()]


def test_every_verb_is_named() -> None:
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    unnamed = {verb for verb in verbs if f"bench {verb}" not in COMMANDS}
    assert not unnamed


def test_the_suite_that_it_shows_can_be_run(tmp_path: Path) -> None:
    text = README.split("```yaml\n# mine.yaml\n")[1].split("```")[0]
    (tmp_path / "mine.yaml").write_text(text)
    suite = load_settings(str(tmp_path / "mine.yaml"), "quick", None).suite
    assert suite.task_names == ["door-open", "drawer-close", "window-open"]
    assert suite.observation["cameras"] == ["corner2"]
    assert set(suite.task_names) <= set(env_class(suite.env).tasks)


def test_the_badges_say_what_the_package_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()  # type: ignore[union-attr]
    assert f"![Python {', '.join(f'3.{minor}' for minor in range(int(low), int(high)))}]" in README
    assert f"![Licence {project['license']}]" in README


@pytest.mark.slow
def test_the_encoder_that_it_shows_is_learnt_and_scored(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(README.split("```python\n# mine.py\n")[1].split("```")[0])
    done = run(tmp_path, "--method", "mine.py:Mine")
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path)
    assert record["method"] == "mine" and record["retest"]["episodes"]
