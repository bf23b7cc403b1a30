"""A task's observations for whoever asks: whole, as memory-mapped files, or a few frames at a time.

A frozen encoder looks at each frame once, and what it makes of it is kept. Large frames (CLAMP's virtual views have
4 MB each) are therefore drawn, encoded and thrown away, unless they are wanted on the disk: `runtime.keep_frame_mb`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.data.demos import Demos
from benchmark.data.episodes import Episodes
from benchmark.data.observations import check_points, draw, load_or_render, rendered
from benchmark.policy.act import latest
from envs.description import describe
from envs.pictures import field_names
from envs.pool import Pool
from envs.spec import ObservationRequest

Fields = Mapping[str, np.ndarray]
PIECE = 64
"""Frames that are drawn at a time: whole batches of an encoder, so its numbers are those of whole demonstrations."""


class Frames(Protocol):
    """Where an encoder takes its frames from."""

    def draw(self, spans: Sequence[slice]) -> Iterator[tuple[int, Fields, slice]]:
        """Of each of `spans`, rows of one demonstration, in any order: its number, fields, its rows in them."""

    def pieces(self, span: slice) -> list[slice]:
        """The rows of a demonstration as they had best be asked for."""

    def at(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """Single frames, fields (len(rows), ...)."""


@dataclass(frozen=True)
class Whole:
    """Frames of fields (T, ...) that are all there."""

    fields: Fields

    def draw(self, spans: Sequence[slice]) -> Iterator[tuple[int, Fields, slice]]:
        return ((number, self.fields, span) for number, span in enumerate(spans))

    def pieces(self, span: slice) -> list[slice]:
        return [span]

    def at(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
        return {name: np.stack([array[row] for row in rows]) for name, array in self.fields.items()}


@dataclass(frozen=True)
class Observations:
    """Of one task's demonstrations, as `request` asks for them.

    fingerprint: of the simulator and renderer of `pool`. past_actions: how many of the latest actions are a field too.
    keep_frame: bytes of a frame up to which `frames` stores the observations. every: of each demonstration, how many
    steps lie between two frames. Raises ValueError for a frame without a point inside the crop.
    """

    places: Places
    demos: Demos
    request: ObservationRequest
    pool: Pool
    fingerprint: str
    past_actions: int = 0
    keep_frame: float = float("inf")
    every: int = 1
    _whole: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @functools.cached_property
    def looked_at(self) -> Demos:
        """The steps that there are frames of."""
        return self.demos.every(self.every)

    def names(self) -> tuple[str, ...]:
        return (*field_names(self.request), *(("past_actions",) if self.past_actions else ()))

    def whole(self) -> dict[str, np.ndarray]:
        """All fields (T, ...), from the cache, or rendered into it."""
        if not self._whole:
            found = load_or_render(self.places, self.looked_at, self.request, self.pool, self.fingerprint)
            self._whole.update(found, **self._acted())
        return self._whole

    def field(self, name: str) -> np.ndarray:
        """One of the fields (T, ...); nothing is rendered for past actions."""
        return self._acted()[name] if name == "past_actions" else self.whole()[name]

    def frames(self) -> Frames:
        """What is stored already, or is to be; otherwise frames that are drawn when they are asked for."""
        if self._whole or self.frame_bytes() <= self.keep_frame:
            return Whole(self.whole())
        return self if self.stored() is None else Whole(self.whole())

    def stored(self) -> dict[str, np.ndarray] | None:
        """The request's fields (T, ...), if they are all in the cache; nothing is rendered."""
        return rendered(self.places, self.looked_at, self.request, self.fingerprint, self.pool.config.python)

    def frame_bytes(self) -> int:
        specs = describe(self.demos.env, self.pool.config.python).specs(self.request)
        return sum(spec.nbytes for spec in specs.values())

    def draw(self, spans: Sequence[slice]) -> Iterator[tuple[int, Fields, slice]]:
        for number, fields in draw(self.looked_at, spans, self.request, self.pool):
            check_points(self.looked_at, spans[number].start, fields)
            length = spans[number].stop - spans[number].start
            yield number, {**fields, **self._acted(spans[number])}, slice(0, length)

    def pieces(self, span: slice) -> list[slice]:
        return [slice(first, min(first + PIECE, span.stop)) for first in range(span.start, span.stop, PIECE)]

    def at(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
        found = {number: fields for number, fields, _ in self.draw([slice(row, row + 1) for row in rows])}
        return {name: np.concatenate([found[number][name] for number in sorted(found)]) for name in self.names()}

    def _acted(self, rows: slice | None = None) -> dict[str, np.ndarray]:
        if not self.past_actions:
            return {}
        steps = self.demos.rows_of_every(self.every)[rows or slice(None)]
        return {"past_actions": histories(self.demos.arrays["actions"], self.demos.episodes, self.past_actions, steps)}


def histories(actions: np.ndarray, episodes: Episodes, count: int, rows: np.ndarray | None = None) -> np.ndarray:
    """The `count` actions before each of `rows`, by default all: (rows, count, A) float32, newest last, zeros before an
    episode's first. actions: (T, A).
    """
    rows = np.arange(episodes.rows) if rows is None else rows
    every = zip(episodes.starts[episodes.owners[rows]], rows, strict=True)
    return np.stack([latest(actions[start:row], count, actions.shape[-1]) for start, row in every])
