"""Progress for people: bars in a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmark.system.printable import printable

Advance = Callable[..., None]
"""advance(steps=1, note="") moves a bar on."""

NARROWEST, WIDEST = 20, 1000


def columns(environ: Mapping[str, str] = os.environ) -> int | None:
    """What $COLUMNS says, within limits that a table can be printed in; None where it says no number above 0."""
    try:
        number = int(environ.get("COLUMNS", ""))
    except ValueError:
        return None
    return max(NARROWEST, min(number, WIDEST)) if number > 0 else None


def _surroundings() -> dict[str, str]:
    """The environment as rich may read it: it believes any $COLUMNS."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    width = columns()
    return kept | ({"COLUMNS": str(width)} if width else {})


class _StandardError:
    """Whatever standard error is just now. That nobody can read it any more stops no work."""

    @property
    def _stream(self) -> Any:
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except (AttributeError, ValueError):
            return False

    def fileno(self) -> int:
        return int(self._stream.fileno())


err = Console(file=_StandardError(), highlight=False, emoji=False, _environ=_surroundings())  # type: ignore[arg-type]
LOG_EVERY = 15.0


def say(text: str) -> None:
    """One line to standard error; standard output is for results. Control characters in it are written out."""
    err.print(printable(text), markup=False, soft_wrap=True)


@contextlib.contextmanager
def bar(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """A bar of `total` steps of which `done` are there already. Yields `advance(steps, note)`."""
    title = printable(title)
    if total <= 0:
        yield lambda *_a, **_k: None
    elif err.is_terminal:
        parts = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*parts, console=err, refresh_per_second=5) as progress:
            task = progress.add_task(title, total=total, completed=done, note="")

            def move(steps: int = 1, note: str = "") -> None:
                progress.update(task, advance=steps)
                if note:
                    progress.update(task, note=note)

            yield move
    else:
        state = {"done": done, "said": time.monotonic(), "start": time.monotonic(), "note": ""}

        def log(steps: int = 1, note: str = "") -> None:
            state["done"] += steps  # type: ignore[operator]
            state["note"] = note or state["note"]
            finished = state["done"] >= total  # type: ignore[operator]
            if finished or time.monotonic() - state["said"] > LOG_EVERY:  # type: ignore[operator]
                state["said"] = time.monotonic()
                seconds = time.monotonic() - state["start"]  # type: ignore[operator]
                say(f"{title}: {state['done']}/{total} in {seconds:.0f} s  {state['note']}")

        yield log
