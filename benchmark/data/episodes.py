"""Where episodes begin and end in arrays that hold them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Episodes:
    """lengths: rows of each episode; those of one episode follow each other, and the episodes do."""

    lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def rows(self) -> int:
        """Of all episodes together."""
        return sum(self.lengths)

    @property
    def equal(self) -> bool:
        """Whether all are of one length."""
        return len(set(self.lengths)) == 1

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each, (E,) int64."""
        return np.cumsum([0, *self.lengths], dtype=np.int64)[:-1]

    @cached_property
    def owners(self) -> np.ndarray:
        """Which episode each row is of, (rows,) int64."""
        return np.repeat(np.arange(len(self)), np.array(self.lengths, np.int64))

    def span(self, number: int) -> slice:
        """The rows of one."""
        first = int(self.starts[number])
        return slice(first, first + self.lengths[number])

    def spans(self) -> Iterator[slice]:
        """The rows of each, in order."""
        return (self.span(number) for number in range(len(self)))

    def first(self, count: int) -> Episodes:
        """The first `count`."""
        return Episodes(self.lengths[:count])

    def after(self, count: int) -> Episodes:
        """All but the first `count`."""
        return Episodes(self.lengths[count:])


def equal_pieces(rows: int, each: int) -> Episodes:
    """Every `each` rows are a piece; the last may be shorter."""
    return Episodes(tuple(min(each, rows - first) for first in range(0, rows, each)))


def end_to_end(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of all parts, as if their rows followed each other."""
    return Episodes(tuple(length for part in parts for length in part.lengths))
