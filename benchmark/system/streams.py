"""Standard output is for results alone, and whatever is wrong with it is one line.

While a verb works, descriptor 1 leads to standard error: what a method, a simulator or a library prints there cannot
break the JSON of `--json`. Results go through `write`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import typer

from benchmark.system.printable import BOLD, ENCODING, printable

PIPE = 128 + 13
"""Exit code of a program whose reader has gone (SIGPIPE), as shells know it."""

_results: TextIO | None = None
"""Where results go while a verb works; None: standard output."""
_before: tuple[int, TextIO] | None = None
"""The real descriptor 1 and standard output, while a verb works in a process of its own."""


class OutputGone(OSError):
    """Standard output cannot be written. Whatever was computed is kept; only its printing failed."""


class _Output(io.RawIOBase):
    """A descriptor as a stream whose failures are known as its own: `OutputGone`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)

    def write(self, content: Any) -> int:
        try:
            return os.write(self.number, content)
        except OSError as error:
            raise OutputGone(error.errno, error.strerror) from error


def _stream(number: int, encoding: str) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(_Output(number)), encoding, ENCODING, line_buffering=os.isatty(number))


def prepare() -> None:
    """At the start of a process: no stream is missing, and none meets a character that it cannot encode."""
    for number in range(3):
        if not _is_open(number):  # or the next file that is opened, a record say, would get the number
            null = os.open(os.devnull, os.O_RDONLY if number < 2 else os.O_WRONLY)  # standard output stays an error
            if null != number:
                os.dup2(null, number)
                os.close(null)
    sys.stdout = _stream(1, getattr(sys.stdout, "encoding", "utf-8"))
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors=ENCODING)
    else:
        sys.stderr = open(2, "w", encoding="utf-8", errors=ENCODING, closefd=False)  # noqa: SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def for_results_alone() -> Iterator[None]:
    """Inside, standard output leads to standard error for everybody but `write`."""
    global _results, _before
    if _results is not None:
        yield
        return
    real = sys.stdout
    kept: int | None = None
    try:
        if real.fileno() == 1:
            real.flush()
            kept = os.dup(1)
            os.dup2(2, 1)
    except (AttributeError, ValueError, OSError):  # a stream of a test's, or one that is closed
        _results = real
    else:
        if kept is None:
            _results = real
        else:
            _results = _stream(kept, real.encoding)
            _before = kept, real
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        give_back()


def give_back() -> None:
    """Standard output as it was; also before a program is replaced by another (`os.execv`)."""
    global _results, _before
    if _before is not None:
        kept, real = _before
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os.dup2(kept, 1)
        os.close(kept)
        sys.stdout = real
    elif _results is not None:
        sys.stdout = _results
    _results = _before = None


def results() -> TextIO:
    return _results if _results is not None else sys.stdout


def is_terminal() -> bool:
    try:
        return results().isatty()
    except (AttributeError, ValueError):
        return False


def write(text: str) -> None:
    """A result to standard output, as plain text: escape sequences in it are written out, bold only for a terminal.

    Raises `OutputGone`.
    """
    shown = BOLD if is_terminal() else ("", "")
    parts = text.split(BOLD[0])
    text = shown[0].join(shown[1].join(printable(piece) for piece in part.split(BOLD[1])) for part in parts)
    stream = results()
    try:
        if getattr(stream, "encoding", None):
            text = text.encode(stream.encoding, ENCODING).decode(stream.encoding)
        stream.write(text)
        stream.flush()
    except OSError as error:
        abandon()
        raise OutputGone(error.errno, error.strerror) from error


def abandon() -> None:
    """What is still in a buffer goes nowhere, or Python would complain of it once more when it ends."""
    stream = results()
    with contextlib.suppress(AttributeError, ValueError, OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def end(error: OSError) -> int:
    """Say that standard output could not be written, and the exit code: nothing is said to a pipe nobody reads."""
    from benchmark.system.progress import say

    abandon()
    if error.errno == errno.EPIPE:
        return PIPE
    say(f"error: standard output cannot be written ({error.strerror}); what was computed is kept")
    return 1


def exit_of(error: OSError) -> typer.Exit:
    return typer.Exit(end(error))
