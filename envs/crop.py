"""Which part of a cloud is kept: a box, or a box for each camera."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import SpecMismatch


@dataclass(frozen=True)
class Crop:
    """A box, metres. Points on its faces are outside.

    low, high: its corners in the robot frame, along its axes; or in a frame of the box's own.
    frame: three rows of four that lead there, box = frame @ (x, y, z, 1) for a point x, y, z of the robot frame. None
        is the robot frame itself.

    Raises `SpecMismatch` for numbers that are not finite, or a low that is not below its high.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    frame: tuple[tuple[float, float, float, float], ...] | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (*self.low, *self.high, *(v for row in self.frame or () for v in row))):
            raise SpecMismatch(f"a crop needs finite numbers, not {[*self.low, *self.high]}")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise SpecMismatch(f"a crop is [x0, y0, z0, x1, y1, z1], low before high, not {[*self.low, *self.high]}")


@dataclass(frozen=True)
class NamedCrop:
    """A crop that has a box of its own for each camera. boxes: (camera, box) pairs."""

    name: str
    boxes: tuple[tuple[str, Crop], ...]


def read_crop(value: Any) -> Crop | NamedCrop | str | None:
    """What a person writes for a crop: `[x0, y0, z0, x1, y1, z1]` in the robot frame, metres; a name that the simulator
    knows; or None for the simulator's own. Also what `ObservationRequest.canonical` writes. Raises `SpecMismatch`.
    """
    if value is None or (isinstance(value, str) and value):
        return value
    if isinstance(value, Mapping):
        try:
            if "boxes" in value:
                return NamedCrop(value["name"], tuple((camera, _box(box)) for camera, box in value["boxes"].items()))
            return _box(value)
        except (KeyError, TypeError, ValueError) as error:
            raise SpecMismatch(f"a crop in a record has low, high and perhaps a frame, not {value!r}") from error
    numbers = list(value) if isinstance(value, Sequence) else []
    if len(numbers) != 6 or not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        raise SpecMismatch(f"a crop is [x0, y0, z0, x1, y1, z1] in metres, a name, or null, not {value!r}")
    return _box({"low": numbers[:3], "high": numbers[3:]})


def _box(plain: Mapping[str, Any]) -> Crop:
    (x0, y0, z0), (x1, y1, z1) = (map(float, plain[name]) for name in ("low", "high"))
    frame = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in plain.get("frame") or ())
    return Crop((x0, y0, z0), (x1, y1, z1), frame or None)


def plain_box(box: Crop) -> dict[str, Any]:
    """As data, for keys and records; `read_crop` reads it."""
    found: dict[str, Any] = {"low": list(box.low), "high": list(box.high)}
    return found if box.frame is None else {**found, "frame": [list(row) for row in box.frame]}
