"""What the verbs of `bench` share: the application, their common options, and how they read and print."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import Bench
from benchmark.system.progress import NARROWEST, columns, say
from benchmark.system.streams import is_terminal, results, write
from benchmark.system.wrapped import MOST, USUAL

app = typer.Typer(
    cls=Bench,
    help="With everything else held equal, how good is this visual representation for robot manipulation?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Suite = Annotated[str, typer.Option("--suite", help="`bench list suites`")]
Tasks = Annotated[str | None, typer.Option("--tasks", help="comma-separated; default: all of the suite")]
Protocol = Annotated[str, typer.Option("--protocol", help="clar | quick | ..., `bench list protocols`")]
Policy = Annotated[
    str | None,
    typer.Option("--policy", metavar="FILE.py:Class", help="your own, instead of --head; a whole one without --method"),
]
EncodersOnly = Annotated[
    bool,
    typer.Option("--encoders-only", help="of POLICY+METHOD: only the encoder is pre-trained, as policy.weights=none"),
]
Head = Annotated[
    str | None, typer.Option("--head", help="mlp | bnmlp | diffusion | act; default: mlp, or the method's own")
]
Out = Annotated[
    Path, typer.Option("--out", parser=kinds.folder, metavar="DIR", help="where records, plots and checkpoints go")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", parser=kinds.folder, metavar="DIR", help="demonstrations and caches; default: OUT/data"),
]
WeightsOption = Annotated[str | None, typer.Option("--weights", help="random, or a file; default: the published")]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        "--dir", parser=kinds.folder, metavar="DIR", help="weight files; default: $BENCH_WEIGHTS or ~/.cache/..."
    ),
]
Text = Annotated[
    str | None,
    typer.Option("--text", parser=kinds.text_encoder, metavar="NAME", help="of a suite's instructions: clip | hash"),
]
Observe = Annotated[
    str | None,
    typer.Option("--observe", parser=kinds.word("rgb", "rgbd"), metavar="NAME", help="image encoders: rgb | rgbd"),
]
Device = Annotated[
    str, typer.Option("--device", parser=kinds.device, metavar="NAME", help="auto | cpu | cuda | cuda:N")
]
Format = Annotated[
    str,
    typer.Option(
        "--format", parser=kinds.table_format, metavar="NAME", help="terminal | markdown | latex | csv | html"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Records = Annotated[
    list[Path] | None,
    typer.Option("--records", parser=kinds.folder, metavar="FOLDER", help="of records; default: OUT/records"),
]
WithReference = Annotated[
    bool, typer.Option("--with-reference", help="also this project's own records (results/measured), marked")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="settings, such as protocol.epochs=50 (in Hydra's syntax)"),
]


def echo(text: str, nl: bool = True, err: bool = False) -> None:
    """The one way of text to standard output. Raises `OutputGone` where it cannot be written."""
    if err:
        say(text)
    else:
        write(text + "\n" if nl else text)


def clear() -> None:
    """An empty screen, where there is one."""
    if is_terminal():
        results().write("\033[2J\033[H")


def print_json(data: Any) -> None:
    """Valid JSON, whatever is in `data`: a number that JSON has no word for (NaN, infinity) is null."""
    echo(json.dumps(_finite(data), indent=1, sort_keys=True, default=str, allow_nan=False))


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def read_placed(roots: list[Path] | None, out: Path, with_reference: bool = False) -> list[tuple[Path, Any]]:
    """As `benchmark.records.gather.gather`; what was left out is said at once."""
    from benchmark.records.gather import gather

    found, notes = gather(roots, out, with_reference)
    if not found and roots is None and not with_reference:
        say(f"no records under {out / 'records'}; --with-reference shows this project's own")
    for note in notes:
        say(f"skipped: {note}")
    say_edited(found)
    return found


def say_edited(placed: list[tuple[Path, Any]]) -> None:
    """Which records are of a user's method that was edited since: their numbers are the old code's."""
    from benchmark.experiment.method_source import edited_since

    edited: dict[str, set[str]] = {}
    for path, record in placed:
        if changed := edited_since(path, record.provenance.get("command", "")):
            edited.setdefault(record.method, set()).update(changed)
    for method, files in sorted(edited.items()):
        say(
            f"{', '.join(sorted(files))} has changed since the records of {method} were made, which are of the code as "
            "it was; `bench run` shows what changed, and measures it anew with --overwrite"
        )


def read_records(roots: list[Path] | None, out: Path, with_reference: bool = False) -> list[Any]:
    return [record for _, record in read_placed(roots, out, with_reference)]


def width() -> int | None:
    """Columns to print a table in; None where nobody has said and standard output is no terminal."""
    import shutil

    return columns() or (max(NARROWEST, shutil.get_terminal_size().columns) if is_terminal() else None)


def text_width() -> int:
    """Columns of text that is no table: the terminal's, at most as many as a person reads in one line."""
    return min(width() or USUAL, MOST)


def split(text: str | None, flag: str) -> list[str] | None:
    """`a,b` to its names, each once; None if the option was not given. Raises `ConfigError` where none is in it."""
    from benchmark.system.errors import ConfigError

    if text is None:
        return None
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise ConfigError(f"{flag} '{text}' names nothing: give one or several by comma, or leave {flag} out")
    return found


def say_observe(observe: str | None) -> list[str]:
    """`--observe` as the option of the methods that have one."""
    return [] if observe is None else [f"method.observe={observe}"]


def say_encoders_only(asked: bool, overrides: Sequence[str]) -> list[str]:
    """`--encoders-only` as an override. Raises `ConfigError` where a policy's weights are given beside it."""
    from benchmark.settings.policy import WEIGHTS, WITHOUT
    from benchmark.system.errors import ConfigError

    if asked and (given := [text for text in overrides if text.lstrip("+").startswith(f"policy.{WEIGHTS}=")]):
        raise ConfigError(f"--encoders-only is a policy without pre-training: leave {given[0]} out")
    return [f"policy.{WEIGHTS}={WITHOUT}"] if asked else []


def say_text(suite: str, text: str | None) -> list[str]:
    """`--text` as an override. Raises `ConfigError` for a suite that gives no instructions."""
    from benchmark.settings.load import show
    from benchmark.system.errors import ConfigError

    if text is None:
        return []
    if not show("suite", suite).get("language"):
        raise ConfigError(f"--text {text}: {suite} gives no instructions")
    return [f"suite.language.text={text}"]


def parse_seeds(text: str, flag: str = "--seeds") -> Sequence[int]:
    """`0`, `0,2,5` or `0:3` (0, 1, 2), each once. A range stays one: it may be of any length."""
    from benchmark.settings.seeds import LARGEST_SEED
    from benchmark.system.errors import ConfigError

    words = text.split(":") if ":" in text else [part for part in text.split(",") if part.strip()]
    numbers = [_seed(word) for word in (words if ":" not in text or words[0].strip() else ["0", *words[1:]])]
    found: Sequence[int] = ()
    if None not in numbers:
        known = [number for number in numbers if number is not None]
        found = list(dict.fromkeys(known)) if ":" not in text else range(*known) if len(known) == 2 else ()
    if not found:
        raise ConfigError(f"{flag} {text}: give numbers from 0 to {LARGEST_SEED}, such as 0, 0,2,5 or 0:3 (0, 1, 2)")
    return found


def _seed(word: str) -> int | None:
    """ASCII digits alone: `int` reads much more."""
    from benchmark.settings.seeds import LARGEST_SEED

    word = word.strip()
    found = int(word) if len(word) <= 20 and word.isascii() and word.isdigit() else None
    return found if found is not None and found <= LARGEST_SEED else None
