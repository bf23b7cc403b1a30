"""Sentences as hashed words: runs without any weights and knows nothing of meaning. It stands in for CLIP's text
tower where that is not at hand, and whatever was made with it is marked so.

    hashed_text(["press the button"])      # (1, 512)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

DIM = 512
"""As CLIP's, so that the policy around it is the same."""


def hashed_text(sentences: Sequence[str]) -> np.ndarray:
    """(n,) to (n, 512) float32: the sum of a fixed random vector for each word, order ignored, scaled to unit variance.

    Words that two sentences share are all that makes them similar. A sentence without a word is zero.
    """
    return np.stack([_sentence(text) for text in sentences])


def _sentence(text: str) -> np.ndarray:
    total = np.zeros(DIM, np.float64)
    for word in re.findall(r"[a-z0-9]+", text.lower()):
        total += _word(word)
    length = float(np.linalg.norm(total))
    return (total * (DIM**0.5 / length) if length else total).astype(np.float32)


def _word(word: str) -> np.ndarray:
    """Signs from the word's hash: the same on every machine and in every version of numpy."""
    bits = hashlib.shake_256(word.encode()).digest(DIM // 8)
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float64) * 2 - 1
