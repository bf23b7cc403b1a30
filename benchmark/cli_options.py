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
Head = Annotated[str | None, typer.Option("--head", help="mlp | bnmlp | diffusion; default: mlp, or the method's own")]
Out = Annotated[Path, typer.Option("--out", help="where records, plots and checkpoints go")]
Data = Annotated[Path | None, typer.Option("--data", help="demonstrations and caches; default: OUT/data")]
WeightsOption = Annotated[str | None, typer.Option("--weights", help="random, or a file; default: the published")]
WeightsDir = Annotated[Path | None, typer.Option("--dir", help="weight files; default: $BENCH_WEIGHTS or ~/.cache/...")]
Text = Annotated[str | None, typer.Option("--text", help="encoder of a suite's instructions: clip | hash")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Records = Annotated[list[Path] | None, typer.Option("--records", help="folders of records; default: OUT/records")]
WithReference = Annotated[
    bool, typer.Option("--with-reference", help="also this project's own records (results/measured), marked so")
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides")]


def print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=1, sort_keys=True, default=str))


def register_baselines() -> None:
    from baselines import BASELINES
    from methods import registry

    registry.add(BASELINES)


def read_placed(roots: list[Path] | None, out: Path, with_reference: bool = False) -> list[tuple[Path, Any]]:
    """As `benchmark.report.gather.gather`; what was left out is said at once."""
    from benchmark.report.gather import gather

    found, notes = gather(roots, out, with_reference)
    if not found and roots is None and not with_reference:
        say(f"no records under {out / 'records'}; --with-reference shows this project's own")
    for note in notes:
        say(f"skipped: {note}")
    return found


def read_records(roots: list[Path] | None, out: Path, with_reference: bool = False) -> list[Any]:
    return [record for _, record in read_placed(roots, out, with_reference)]


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
