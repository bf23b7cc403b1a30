"""Progress for people: bars in a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

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

Advance = Callable[..., None]
"""advance(steps=1, note="") moves a bar on."""

err = Console(stderr=True, highlight=False, emoji=False)
LOG_EVERY = 15.0


def say(text: str) -> None:
    """One line to standard error; standard output is for results."""
    err.print(text, markup=False, soft_wrap=True)


@contextlib.contextmanager
def bar(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """A bar of `total` steps of which `done` are there already. Yields `advance(steps, note)`."""
    if total <= 0:
        yield lambda *_a, **_k: None
    elif err.is_terminal:
        columns = (
            TextColumn("{task.description:<34}"), BarColumn(bar_width=24), MofNCompleteColumn(), TaskProgressColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=err, refresh_per_second=5) as progress:
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
