"""Texts to tokens: mT5's pieces, which the paper's count of parameters says, or hashed words, which need no file.

tokenizer = open_tokenizer("hashed", folder)
tokenizer("press the button; button at 0.512 0.300 0.021; progress 40", 96)      # (96,) int64
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from envs.errors import UserError
from methods.card import MethodCard, WeightFile
from methods.errors import BadWeights, PackageMissing, WeightsMissing
from methods.weights import choose_weights

TOKENIZERS = ("mt5", "hashed")
MT5_VOCABULARY = 250_112
"""Rows of mT5's embedding; its pieces are 250,100."""
HASHED_VOCABULARY = 4096
END = 1
"""The end-of-text token, mT5's; `hashed` has the same."""

CARD = MethodCard(
    name="clamp-text",
    title="mT5's vocabulary",
    summary="the pieces that CLAMP's text encoder reads",
    kind="control",
    observes=(),
    input=None,
    training="frozen",
    batch="3d",
    paper="Xue et al., mT5, NAACL 2021, arXiv:2010.11934",
    licence="Apache-2.0",
    weights=(
        WeightFile(
            "spiece.model",
            "https://huggingface.co/google/mt5-base/resolve/main/spiece.model",
            "Apache-2.0",
            note="the SentencePiece model of all sizes of mT5, 4.3 MB",
        ),
    ),
)
"""For `bench weights clamp-text`; it is no representation of what a robot sees."""


class TextTooLong(UserError, ValueError):
    """A text of more tokens than the encoder takes: cut, it would lose places of objects or the progress."""


class Tokenizer(Protocol):
    @property
    def vocabulary(self) -> int:
        """Tokens lie below it."""

    def __call__(self, text: str, context: int) -> np.ndarray:
        """(context,) int64, filled up with the end-of-text token. Raises `TextTooLong`."""


class HashedWords:
    """Words, single digits and signs, each its hash: the same everywhere, and no file. Two words may share a token."""

    vocabulary = HASHED_VOCABULARY

    def __call__(self, text: str, context: int) -> np.ndarray:
        return _filled([_token(piece) for piece in re.findall(r"[a-z]+|\d|\S", text.lower())], context, text)


class MT5:
    """mT5's SentencePiece model, read by the package `sentencepiece`."""

    vocabulary = MT5_VOCABULARY

    def __init__(self, file: Path) -> None:
        try:
            package: Any = importlib.import_module("sentencepiece")
        except ImportError as error:
            raise PackageMissing(
                "tokenizer=mt5 needs the package sentencepiece: pip install sentencepiece; or give "
                "tokenizer=hashed, which needs nothing and is another text encoder"
            ) from error
        try:
            self._encode: Callable[[str], Sequence[int]] = package.SentencePieceProcessor(model_file=str(file)).encode
        except (OSError, RuntimeError) as error:
            raise BadWeights(f"{file} is no SentencePiece model ({error})".replace("\n", " ")) from error

    def __call__(self, text: str, context: int) -> np.ndarray:
        return _filled(self._encode(text), context, text)


def open_tokenizer(name: str, folder: Path) -> Tokenizer:
    """folder: where weights are. Raises `WeightsMissing`, `PackageMissing` or `BadWeights`."""
    if name == "hashed":
        return HashedWords()
    try:
        return MT5(choose_weights(CARD, None, folder).files[0])
    except WeightsMissing as error:
        words = str(error).partition(", or run it untrained")[0]
        raise WeightsMissing(f"{words}. Without them: tokenizer=hashed, which is another text encoder") from error


def vocabulary_of(name: str) -> int:
    return HASHED_VOCABULARY if name == "hashed" else MT5_VOCABULARY


def _token(piece: str) -> int:
    number = int.from_bytes(hashlib.sha256(piece.encode()).digest()[:8], "big")
    return number % (HASHED_VOCABULARY - END - 1) + END + 1


def _filled(pieces: Sequence[int], context: int, text: str) -> np.ndarray:
    if len(pieces) >= context:
        raise TextTooLong(
            f"a text of {len(pieces)} tokens does not fit into {context} with its end, and would into "
            f"context={len(pieces) + 1}: {text[:80]}..."
        )
    found = np.full(context, END, np.int64)
    found[: len(pieces)] = pieces
    return found
