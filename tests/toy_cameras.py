"""The toy simulator with two cameras that can be of different sizes: a point and its goal, drawn from above."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.pictures import PICTURES, as_fields, base_name, field_names, picture_specs
from envs.spec import FieldSpec, Observation, ObservationRequest
from tests.toy_env import Toy

REACH = {"front": 1.3, "hand": 0.6}
"""Half of what a camera sees of the plane, from its middle to the image's edge."""


class Seeing(Toy):
    """`front` sees the whole plane, `hand` its middle; red is the point, green the goal; depth has both."""

    name: ClassVar[str] = "toy-seeing"
    cameras: ClassVar[tuple[str, ...]] = tuple(REACH)
    provides: ClassVar[frozenset[str]] = Toy.provides | {"rgb", "depth"}
    camera_sizes: ClassVar[bool] = True

    def __init__(self, task: str, request: ObservationRequest) -> None:
        super().__init__(task, request)
        self._names = list(self._specs)
        self._specs = {name: spec for name, spec in self._specs.items() if base_name(name) not in PICTURES}

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        own = tuple(name for name in request.fields if name not in PICTURES)
        pictures = {spec.name: spec for spec in picture_specs(request)}
        table = super().specs(ObservationRequest(own, num_points=request.num_points)) | pictures
        return {name: table[name] for name in field_names(request)}

    def observe(self) -> Observation:
        found, drawn = super().observe(), [self._draw(camera) for camera in self.request.cameras]
        for number, name in enumerate(PICTURES):
            if name in self.request.fields:
                found |= as_fields(name, [one[number] for one in drawn], self.request)
        return {name: found[name] for name in self._names}

    def _draw(self, camera: str) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.request.size_of(camera)
        rows, columns = np.mgrid[:height, :width]
        place = REACH[camera] * np.stack([2 * (columns + 0.5) / width - 1, 1 - 2 * (rows + 0.5) / height], -1)
        rgb, depth = np.full((height, width, 3), 40, np.uint8), np.full((height, width), np.inf, np.float32)
        for channel, at in enumerate((self.at, self.goal)):
            near = np.linalg.norm(place - at, axis=-1) < 0.15
            rgb[near, channel], depth[near] = 255, 1.0 + channel
        return rgb, depth


class OneSize(Seeing):
    """One that draws all cameras in one size, as most simulators do."""

    camera_sizes: ClassVar[bool] = False


class Forgetful(Seeing):
    """One that restores no state, so that demonstrations hold what was seen."""

    restorable: ClassVar[bool] = False


class Timed(Seeing):
    """One that says how many steps it has a second."""

    control_rate: ClassVar[float] = 20


class TimedForgetful(Forgetful):
    """One that says so and restores no state."""

    control_rate: ClassVar[float] = 20


class ThreeTasks(Seeing):
    """With one more task, whose goals are as far as those of `far`."""

    name: ClassVar[str] = "toy-three"
    tasks: ClassVar[tuple[str, ...]] = ("near", "far", "other")
