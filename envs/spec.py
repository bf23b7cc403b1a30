"""What an observation and an action are: names, shapes, dtypes, units and frames."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs import views
from envs.action_parts import ActionPart, check_parts
from envs.camera_sizes import LARGEST, Sizes, settled, size_among
from envs.crop import Crop, NamedCrop, plain_box
from envs.errors import SpecMismatch
from envs.field_names import FIELD_NAMES
from envs.identity import later, left_out
from envs.view_layouts import FIVE, LAYOUTS, ViewLayout

Observation = dict[str, np.ndarray]
"""One step: field name -> array as its `FieldSpec` says. Batched observations have one leading axis."""


@dataclass(frozen=True)
class FieldSpec:
    """One field of an observation.

    `shape` is concrete (`V` cameras, `H` x `W` pixels, `N` points are filled in by the simulator), `dtype` a
    numpy name, `unit` and `frame` are for people and are compared as text when a cell starts.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    frame: str = ""
    description: str = ""

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def check(self, value: np.ndarray) -> None:
        """Raise `SpecMismatch` unless `value` has this shape and dtype."""
        if value.shape != self.shape or value.dtype != np.dtype(self.dtype):
            raise SpecMismatch(
                f"field '{self.name}' should be {self.dtype}{list(self.shape)}, but is {value.dtype}{list(value.shape)}"
            )


@dataclass(frozen=True)
class ActionSpec:
    """A continuous action of `len(names)` float32 entries. The simulator clips to [low, high] by itself.

    parts: what its entries mean, in order, all of them; () is one part of the kind `other`. Raises `BadParts`.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str
    parts: tuple[ActionPart, ...] = ()

    def __post_init__(self) -> None:
        if self.parts:
            check_parts(self.parts, self.size)

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def all_parts(self) -> tuple[ActionPart, ...]:
        """The parts, or the single one of an action of which nothing more is said."""
        return self.parts or (ActionPart("action", 0, self.size),)

    @property
    def quaternions(self) -> tuple[slice, ...]:
        return tuple(part.slice for part in self.parts if part.kind == "quaternion")

    def check(self, action: np.ndarray) -> np.ndarray:
        """Return `action` as float32 (A,); raise ValueError if its shape is wrong or it is not finite."""
        action = np.asarray(action, np.float32)
        if action.shape != (self.size,):
            raise ValueError(f"an action has shape ({self.size},) {self.names}, not {action.shape}")
        if not np.isfinite(action).all():
            raise ValueError(f"the action is not finite: {dict(zip(self.names, action.tolist(), strict=True))}")
        return action


@dataclass(frozen=True)
class ObservationRequest:
    """What an environment shall compute for each step, and how. Nothing that is not asked for is computed.

    fields: names from `envs.field_names`.
    cameras: V camera names of the simulator.
    height, width: pixels of every camera that `sizes` does not name.
    num_points: N of `points`.
    crop: what is kept of the clouds of `points` and `views`: a box for all cameras, or a name of the simulator's, which
        may have a box for each camera; None takes the simulator's own. Resolved (`envs.registry.resolve`), it is
        numbers.
    sampler: `bucket` is fpsample's exact farthest-point sampling from a start point of its own (deterministic);
        `exact` is the plain loop from index 0. They choose different points, so the name is in every cache key.
    render: `paper` is the simulator's default quality, `fast` has no multisampling, shadows or reflections.
        They are different observations; the name is in every cache key and record.
    image: `upright` rotates cameras that hang upside down by 180 degrees. `lift3d` flips them vertically as
        Lift3D's public code does, which leaves the image mirrored left to right.
    goal_marker: whether sites (goal marker, gripper marks) are drawn. MetaWorld draws them by default, and in
        several tasks they are the only sight of the goal.
    virtual: cameras of `views`; None takes the simulator's own, which resolving fills in.
    sizes: (camera, height, width) of cameras with a size of their own, by the camera's name with or without its shift.
        They are kept in one way, however they were said: `height` and `width` are those of the first camera, `sizes`
        has the others that differ, and is () where all have one size. Where they differ, `rgb` and `depth` are fields
        of each camera, `rgb@corner` (`envs.pictures`).
    splat: pixels along the side of the square that a point covers in `views`, an odd number; of a cloud of few points a
        larger one leaves fewer holes.
    layout: which virtual cameras `views` are of and how large they are, one of `envs.view_layouts.LAYOUTS`.
    """

    fields: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    height: int = 224
    width: int = 224
    num_points: int = 1024
    crop: Crop | NamedCrop | str | None = None
    sampler: str = "bucket"
    render: str = "paper"
    image: str = "upright"
    goal_marker: bool = True
    virtual: tuple[views.VirtualCamera, ...] | None = None
    sizes: Sizes = later(())  # noqa: RUF009 (a field)
    splat: int = later(1)
    layout: str = later(FIVE)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(FIELD_NAMES))
        if unknown:
            raise SpecMismatch(f"unknown observation fields {unknown}; there are {sorted(FIELD_NAMES)}")
        for option, allowed in _CHOICES.items():
            if getattr(self, option) not in allowed:
                raise SpecMismatch(f"{option}={getattr(self, option)!r} is none of {allowed}")
        for option, most in _SIZES.items():
            value = getattr(self, option)
            if type(value) is not int or not 1 <= value <= most:
                raise SpecMismatch(f"{option}={value!r} must be a whole number, at least 1 and at most {most:,}")
        if self.splat % 2 == 0:
            raise SpecMismatch(f"splat={self.splat} must be odd: a point lies in the middle of its square")
        if self.sizes != ():
            try:
                said = settled(self.cameras, self.height, self.width, self.sizes)
            except ValueError as error:
                raise SpecMismatch(str(error)) from error
            for option, value in zip(("height", "width", "sizes"), said, strict=True):
                object.__setattr__(self, option, value)

    def size_of(self, camera: str) -> tuple[int, int]:
        """(height, width) of one of its cameras, pixels. Raises `SpecMismatch` for another."""
        try:
            return size_among(self.cameras, camera, (self.height, self.width), self.sizes)
        except ValueError as error:
            raise SpecMismatch(str(error)) from error

    @property
    def view_layout(self) -> ViewLayout:
        return LAYOUTS[self.layout]

    @property
    def colour(self) -> bool:
        return not {"rgb", "point_colors"}.isdisjoint(self.fields)

    @property
    def geometry(self) -> bool:
        return not {"depth", "points", "views"}.isdisjoint(self.fields)

    @property
    def renders(self) -> bool:
        return self.colour or self.geometry

    @property
    def clouds(self) -> bool:
        """Whether the crop matters."""
        return not {"points", "views"}.isdisjoint(self.fields)

    def crop_of(self, camera: str) -> Crop:
        """The box for one camera of a resolved request. Raises `SpecMismatch` if its crop has none for it."""
        if isinstance(self.crop, NamedCrop):
            boxes = dict(self.crop.boxes)
            if camera not in boxes:
                raise SpecMismatch(
                    f"the crop {self.crop.name} has no box for the camera {camera}, only for {', '.join(boxes)} where "
                    "they stand; give suite.observation.crop=[x0,y0,z0,x1,y1,z1], or null"
                )
            return boxes[camera]
        if not isinstance(self.crop, Crop):
            raise SpecMismatch(f"crop={self.crop!r} has not been resolved by a simulator (envs.registry.resolve)")
        return self.crop

    def canonical(self) -> dict[str, object]:
        """Plain data that names the observation and nothing else: options that cannot matter are left out.

        Two requests with equal `canonical()` give equal arrays; caches are keyed by it. Only a resolved request holds
        the simulator's own numbers, so only a resolved one is a key.
        """
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {"fields": sorted(self.fields)}
        irrelevant: set[str] = {"virtual"} | left_out(self)
        if not self.renders:
            irrelevant |= {"render", "image", "goal_marker"}
            if {"intrinsics", "extrinsics"}.isdisjoint(self.fields):
                irrelevant |= {"cameras", "height", "width", "sizes"}
        if not self.colour:  # depth is drawn without multisampling at both qualities, and is the same
            irrelevant |= {"render"}
        if "points" not in self.fields:
            irrelevant |= {"num_points", "sampler"}
        irrelevant |= set() if self.clouds else {"crop"}
        irrelevant |= set() if "views" in self.fields else {"splat", "layout"}
        found = {key: value for key, value in kept.items() if key not in irrelevant}
        if self.clouds:
            found["crop"] = self._plain_crop()
        if "views" in self.fields:
            found["views"] = self.view_layout.version
            found["virtual_cameras"] = None if self.virtual is None else [one.plain() for one in self.virtual]
        return found

    def _plain_crop(self) -> Any:
        if isinstance(self.crop, NamedCrop):  # other cameras' boxes cannot matter
            boxes = {camera: plain_box(box) for camera, box in self.crop.boxes if camera in self.cameras}
            return {"name": self.crop.name, "boxes": boxes}
        return plain_box(self.crop) if isinstance(self.crop, Crop) else self.crop


_SIZES = {"height": LARGEST, "width": LARGEST, "num_points": 1_000_000, "splat": views.LARGEST_SPLAT}
_CHOICES = {
    "sampler": ("bucket", "exact"),
    "render": ("paper", "fast"),
    "image": ("upright", "lift3d"),
    "layout": tuple(LAYOUTS),
}
