"""What the verbs of `bench` share: the application, their common options, and how they read and print."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.progress import say

app = typer.Typer(
    help="With everything else held equal, how good is this visual representation for robot manipulation?",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

Suite = Annotated[str, typer.Option("--suite", help="`bench list suites`")]
Tasks = Annotated[str | None, typer.Option("--tasks", help="comma-separated; default: all of the suite")]
Protocol = Annotated[str, typer.Option("--protocol", help="clar | matched | quick")]
Out = Annotated[Path, typer.Option("--out", help="where records, plots and checkpoints go")]
Data = Annotated[Path | None, typer.Option("--data", help="demonstrations and caches; default: OUT/data")]
WeightsOption = Annotated[str | None, typer.Option("--weights", help="random, or a file; default: the published")]
WeightsDir = Annotated[Path | None, typer.Option("--dir", help="weight files; default: $BENCH_WEIGHTS or ~/.cache/...")]
Text = Annotated[str | None, typer.Option("--text", help="encoder of a suite's instructions: clip | hash")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides")]


def print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=1, sort_keys=True, default=str))


def register_baselines() -> None:
    from baselines import BASELINES
    from methods import registry

    registry.add(BASELINES)


def read_records(roots: list[Path]) -> list[Any]:
    return [record for _, record in read_placed(roots)]


def read_placed(roots: list[Path]) -> list[tuple[Path, Any]]:
    """Every record and where it is, joint ones task by task; a damaged one is named and left out."""
    from benchmark.report.joint import by_task
    from benchmark.report.record import BadRecord, read_all

    found = []
    for path, record in read_all([root for root in roots if root.is_dir()]):
        if isinstance(record, BadRecord):
            say(f"skipped: {record}")
        else:
            found += [(path, one) for one in by_task(record)]
    return found


def measured() -> Path:
    return Path(__file__).resolve().parents[1] / "results" / "measured"


def width() -> int | None:
    """Columns to print a table in; None where nobody has said and standard output is no terminal."""
    import shutil

    return int(os.environ.get("COLUMNS", "0")) or (shutil.get_terminal_size().columns if sys.stdout.isatty() else None)


def split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def say_text(suite: str, text: str | None) -> list[str]:
    """`--text` as an override. Raises `ConfigError` for a suite that gives no instructions."""
    from benchmark.config import choices, show
    from benchmark.errors import ConfigError

    if text is None:
        return []
    if suite in choices("suite") and not show("suite", suite).get("language"):
        raise ConfigError(f"--text {text}: {suite} gives no instructions")
    return [f"suite.language.text={text}"]


def parse_seeds(text: str, flag: str = "--seeds") -> list[int]:
    """`0`, `0,2,5` or `0:3` (0, 1, 2)."""
    from benchmark.protocol import ConfigError

    try:
        if ":" in text:
            first, _, end = text.partition(":")
            found = list(range(int(first or 0), int(end)))
        else:
            found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"{flag} {text}: give 0, 0,2,5 or 0:3") from None
    if not found or min(found) < 0 or len(set(found)) != len(found):
        raise ConfigError(f"{flag} {text}: give different numbers from 0 up, such as 0:3")
    return found
