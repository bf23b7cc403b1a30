"""What can be wrong with weights. Every message says what is expected and names the command that mends it."""

from __future__ import annotations

import traceback
from pathlib import Path


class BadWeights(ValueError):
    """A file that is damaged, belongs to another network or wants to run code."""


class WeightsMissing(FileNotFoundError):
    """A method needs weights that are not here."""


class BadMethod(TypeError):
    """A method that breaks the contract of `methods.base.Representation`: its class, its card or what it gives."""


def raised(error: BaseException, file: str) -> str:
    """What somebody's code raised, in one line, with the line of their file that it passed through last."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _same(frame.filename, file)]
    return f"{text} ({Path(file).name}, line {here[-1]})" if here else text


def _same(one: str, other: str) -> bool:
    return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
