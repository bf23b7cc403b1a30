"""Which steps of a demonstration are frames of a data set, and what their rows hold.

At a lower frame rate every n-th step is a frame. Its action is the one that was sent at that step; its reward is the
sum, and its success whether there was any, of the steps up to the next frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.data.demos import Demos
from benchmark.data.lerobot.layout import ACTION, DONE, REWARD, STATE, SUCCESS
from benchmark.system.errors import ConfigError

PIECE = 32
"""Frames that one job of a simulator draws."""


@dataclass(frozen=True)
class Timing:
    """rate: steps a second of the simulator, None where they are not equally long. fps: frames a second."""

    rate: int | None
    fps: int

    @property
    def every(self) -> int:
        """Every how many-th step is a frame."""
        return 1 if self.rate is None else self.rate // self.fps

    def said(self) -> str:
        """In a sentence."""
        if self.rate is None:
            return (
                "Every step is a frame. How long a step takes is not fixed (it may be a keyframe): "
                f"{self.fps} frames a second is only what the videos are played at."
            )
        if self.every == 1:
            return f"Every step is a frame, at the simulator's {self.rate} steps a second."
        return (
            f"One in {self.every} of the simulator's {self.rate} steps a second is a frame. Its action is the one "
            f"that was sent at its step; those of the {self.every - 1} steps after it are left out. {REWARD} is the "
            f"sum, and {SUCCESS} whether there was any, up to the next frame."
        )


def timing(rate: float | None, asked: int | None, env: str) -> Timing:
    """rate: steps a second of the simulator `env`. asked: frames a second, None for all steps. Raises `ConfigError`."""
    if rate is None:
        if asked is None:
            raise ConfigError(
                f"{env} does not say how many steps it has a second (a step may be a keyframe), and a video needs a "
                "number: --frame-rate 1, for example, which keeps every step"
            )
        return Timing(None, asked)
    number = isinstance(rate, int | float) and math.isfinite(rate)
    whole = round(rate) if number else 0
    if whole < 1 or abs(rate - whole) > 1e-9:
        raise ConfigError(
            f"{env} says that it has {rate!r:.40} steps a second (control_rate); LeRobot's format holds whole numbers"
        )
    fps = whole if asked is None else asked
    if whole % fps:
        fitting = ", ".join(str(n) for n in range(1, whole + 1) if whole % n == 0)
        raise ConfigError(f"--frame-rate {fps} does not divide the {whole} steps a second of {env}: give {fitting}")
    return Timing(whole, fps)


def frame_steps(length: int, every: int) -> range:
    """Steps of an episode of `length` steps that are frames."""
    return range(0, length, every)


def pieces(demos: Demos, every: int) -> Iterator[slice]:
    """Rows of `demos` to be drawn, episode by episode, `PIECE` frames at a time; their step is `every`."""
    for span in demos.episodes.spans():
        for first in range(span.start, span.stop, PIECE * every):
            yield slice(first, min(first + PIECE * every, span.stop), every)


def rows_of(demos: Demos, number: int, every: int) -> dict[str, np.ndarray]:
    """The recorded columns of one demonstration: (frames, n) float32, or (frames,). Raises `ConfigError` for NaN."""
    span = demos.episodes.span(number)
    kept = list(frame_steps(demos.episodes.lengths[number], every))
    array = {name: demos.arrays[name][span] for name in ("proprio", "actions", "rewards", "success")}
    if odd := [name for name, values in array.items() if not np.isfinite(values).all()]:
        raise ConfigError(f"{odd[0]} of demonstration {number} of {demos.task} are not all finite")
    done = np.zeros(len(kept), bool)
    done[-1] = True
    return {
        STATE: array["proprio"][kept],
        ACTION: array["actions"][kept],
        REWARD: np.add.reduceat(array["rewards"], kept).astype(np.float32),
        SUCCESS: np.logical_or.reduceat(array["success"], kept),
        DONE: done,
    }
