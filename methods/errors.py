"""What can be wrong with weights and with methods. Every message says what is expected and names the mend."""

from __future__ import annotations

import contextlib
import inspect
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from envs.errors import UserError


class BadWeights(UserError, ValueError):
    """A file that is damaged, belongs to another network or wants to run code."""


class WeightsMissing(UserError, FileNotFoundError):
    """A method needs weights that are not here."""


class PackageMissing(UserError, ImportError):
    """A method needs a package that is not installed."""


class BadMethod(UserError, TypeError):
    """A method that breaks the contract of `methods.base.Representation`: its class, its card or what it gives."""


class BadFeature(UserError, ArithmeticError):
    """A method's feature is NaN, infinite, of another shape or type, or without a gradient; the probe's was not."""


def is_machines(error: BaseException) -> bool:
    """Ctrl-C, and a memory that is full: the user's and the machine's, whosever code was running."""
    return isinstance(error, KeyboardInterrupt | MemoryError) or type(error).__name__ == "OutOfMemoryError"


@contextlib.contextmanager
def no_exit() -> Iterator[None]:
    """Inside, `os._exit` in this process raises SystemExit: a method that calls it would end a run without a word,
    and with the exit code of a success. Processes that are forked off keep theirs.
    """
    real, process = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:
            real(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = real


def left_by(error: BaseException) -> str:
    """Of an exception that would end the whole program, such as SystemExit: where it was raised, and the mend."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {_said(error)}{where}: code of a method or a simulator must not end the program"


def raised(error: BaseException, file: str) -> str:
    """What somebody's code raised, in one line, with the line of their file that it passed through last."""
    text = " ".join(f"{type(error).__name__}: {_said(error)}".split())[:300]
    here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _same(frame.filename, file)]
    return f"{text} ({Path(file).name}, line {here[-1]})" if here else text


def passed_through(error: BaseException, file: str) -> bool:
    """Whether a line of `file` was running."""
    return any(_same(frame.filename, file) for frame in traceback.extract_tb(error.__traceback__))


def not_finite(kind: type, when: str) -> BadFeature:
    """kind: the method's class. when: `in epoch 3 of training`."""
    return BadFeature(
        f"the feature of {_place(kind)} is NaN or infinite {when}, and the "
        "policy had not diverged: look in its encode for a division by 0, a log or a root of what may be 0 or negative "
        "(a root's gradient at 0 is infinite), and keep such values away from 0 by a clamp"
    )


def other_shape(kind: type, found: object, rows: int, width: int) -> BadFeature:
    return BadFeature(
        f"the feature of {_place(kind)} is {found} for {rows} rows, ({rows}, {width}) = (B, feature_dim) is expected; "
        "fix its encode"
    )


def other_dtype(kind: type, found: str) -> BadFeature:
    return BadFeature(f"the feature of {_place(kind)} is {found}, float32 is expected; end its encode with .float()")


def no_gradient(kind: type, epoch: int) -> BadFeature:
    return BadFeature(
        f"no gradient flowed from the feature of {_place(kind)} in any step of epoch {epoch}, so it stayed as it was: "
        "remove no_grad(), detach() or .data from its encode, or say training='frozen' on its card"
    )


def _place(kind: type) -> str:
    try:
        return f"{kind.__name__} ({inspect.getfile(kind)}, line {inspect.getsourcelines(kind)[1]})"
    except (OSError, TypeError):
        return f"{kind.__name__} ({kind.__module__})"


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # its text is somebody's code, too
        if is_machines(second):
            raise
        return "(its text cannot be made)"


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return False
