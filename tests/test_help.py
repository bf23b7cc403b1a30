"""`bench --help` in a terminal of 80 columns, and what `bench` alone says."""

from __future__ import annotations

from importlib import metadata

import pytest
from typer.testing import CliRunner

from benchmark.cli.groups import GROUPS
from benchmark.cli.main import app

NARROW = CliRunner(env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
VERBS = [
    command.name or command.callback.__name__  # type: ignore[union-attr]
    for command in app.registered_commands
] + [group.name for group in app.registered_groups]


def test_every_verb_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(str(name).replace("_", "-") for name in VERBS)


@pytest.mark.parametrize("words", [[], ["features"]], ids=str)
def test_no_summary_is_cut_nor_wrapped(words: list[str]) -> None:
    shown = NARROW.invoke(app, [*words, "--help"]).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "..." not in shown.split("Options")[1]
    for title in GROUPS if not words else ("Commands",):
        for line in shown.split(f"\n{title}:\n")[1].split("\n\n")[0].splitlines():
            assert line[2] != " ", f"{title} has a line that goes on: {line}"


@pytest.mark.slow
def test_bench_alone_names_a_first_command_that_could_be_run() -> None:
    shown = NARROW.invoke(app, [])
    assert shown.exit_code == 2
    first = shown.stderr.strip().splitlines()[-1].split()
    assert first[0] == "bench"
    assert NARROW.invoke(app, [*first[1:], "--dry-run"]).exit_code == 0


def test_version() -> None:
    assert NARROW.invoke(app, ["--version"]).stdout == f"repbench {metadata.version('repbench')}\n"
