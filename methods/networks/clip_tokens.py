"""CLIP's tokenizer: byte pairs, lower case, one start and one end token (openai/CLIP d05afc4).

The merges are OpenAI's `bpe_simple_vocab_16e6.txt.gz`, a file to fetch like any weights. `regex` and `ftfy`, which the
original needs for other scripts and for broken Unicode, are not: text that is not ASCII is refused instead.
"""

from __future__ import annotations

import functools
import gzip
import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from methods.errors import BadWeights

WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"


def byte_symbols() -> list[str]:
    """A printable character for each byte in the order of the vocabulary: printable Latin-1 first, as themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    symbol = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [symbol[byte] for byte in [*printable, *others]]


class Tokenizer:
    """Sentences to ids (B, context) int64: start, byte pairs, end, zeros."""

    def __init__(self, merges: Sequence[tuple[str, str]], context: int = 77) -> None:
        symbols = byte_symbols()
        words = [*symbols, *(symbol + WORD_END for symbol in symbols), *("".join(pair) for pair in merges), START, END]
        self.ids = {word: number for number, word in enumerate(words)}
        self.rank = {pair: number for number, pair in enumerate(merges)}
        self.context = context
        self._symbol = {symbol.encode("latin-1")[0]: symbol for symbol in symbols if ord(symbol) < 256}
        self.word = functools.cache(self._word)

    @classmethod
    def from_file(cls, path: Path, vocabulary: int = 49_408, context: int = 77) -> Tokenizer:
        """Read OpenAI's file, of which the first `vocabulary - 514` merges count. Raises `BadWeights`."""
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines = file.read().split("\n")[1 : vocabulary - 514 + 1]
            merges = [(first, second) for first, second in (line.split() for line in lines)]
        except (OSError, EOFError, ValueError) as error:
            raise BadWeights(f"{path} is not CLIP's vocabulary ({error}); delete it and fetch it again") from error
        if len(merges) != vocabulary - 514:
            raise BadWeights(f"{path} has {len(merges)} merges, not {vocabulary - 514}: is it whole?")
        return cls(merges, context)

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Raises ValueError for text that is not ASCII or longer than the context."""
        ids = torch.zeros(len(sentences), self.context, dtype=torch.int64)
        for row, sentence in enumerate(sentences):
            found = [self.ids[START], *self.encode(sentence), self.ids[END]]
            if len(found) > self.context:
                raise ValueError(f"'{sentence[:40]}...' has {len(found)} tokens, more than {self.context}")
            ids[row, : len(found)] = torch.tensor(found)
        return ids

    def encode(self, sentence: str) -> list[int]:
        """Ids of one sentence without start and end."""
        clean = " ".join(html.unescape(html.unescape(sentence)).split()).lower()
        if not clean.isascii():
            raise ValueError(f"'{sentence}' is not ASCII, and this tokenizer knows no other script")
        return [self.ids[piece] for word in WORDS.findall(clean) for piece in self.word(word)]

    def _word(self, word: str) -> tuple[str, ...]:
        """Merge the pair of the lowest rank, wherever it stands, until none is known."""
        pieces = [self._symbol[byte] for byte in word.encode()]
        pieces[-1] += WORD_END
        while len(pieces) > 1:
            best = min(pairwise(pieces), key=lambda pair: self.rank.get(pair, len(self.rank)))
            if best not in self.rank:
                break
            merged: list[str] = []
            for piece in pieces:
                if merged and (merged[-1], piece) == best and merged[-1] is not None:
                    merged[-1] += piece
                else:
                    merged.append(piece)
            pieces = merged
        return tuple(pieces)
