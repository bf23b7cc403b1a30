"""What an observation and an action are: names, shapes, dtypes, units and frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from envs import views

Observation = dict[str, np.ndarray]
"""One step: field name -> array as its `FieldSpec` says. Batched observations have one leading axis."""


class SpecMismatch(ValueError):
    """A producer and a consumer disagree about a field; raised before any work is done."""


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
    """A continuous action of `len(names)` float32 entries. The simulator clips to [low, high] by itself."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str

    @property
    def size(self) -> int:
        return len(self.names)

    def check(self, action: np.ndarray) -> np.ndarray:
        """Return `action` as float32 (A,); raise ValueError if its shape is wrong or it is not finite."""
        action = np.asarray(action, np.float32)
        if action.shape != (self.size,):
            raise ValueError(f"an action has shape ({self.size},) {self.names}, not {action.shape}")
        if not np.isfinite(action).all():
            raise ValueError(f"the action is not finite: {dict(zip(self.names, action.tolist(), strict=True))}")
        return action


@dataclass(frozen=True)
class Crop:
    """An axis-aligned box in the robot frame, metres. Points on its faces are outside."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class ObservationRequest:
    """What an environment shall compute for each step, and how. Nothing that is not asked for is computed.

    fields: names from `FIELD_NAMES`.
    cameras: V camera names of the simulator.
    height, width: pixels of every camera.
    num_points: N of `points`.
    crop: box for `points`; None takes the simulator's own.
    sampler: `bucket` is fpsample's exact farthest-point sampling from a start point of its own (deterministic);
        `exact` is the plain loop from index 0. They choose different points, so the name is in every cache key.
    render: `paper` is the simulator's default quality, `fast` has no multisampling, shadows or reflections.
        They are different observations; the name is in every cache key and record.
    image: `upright` rotates cameras that hang upside down by 180 degrees. `lift3d` flips them vertically as
        Lift3D's public code does, which leaves the picture mirrored left to right.
    goal_marker: whether sites (goal marker, gripper marks) are drawn. MetaWorld draws them by default, and in
        several tasks they are the only sight of the goal.
    """

    fields: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    height: int = 224
    width: int = 224
    num_points: int = 1024
    crop: Crop | None = None
    sampler: str = "bucket"
    render: str = "paper"
    image: str = "upright"
    goal_marker: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(FIELD_NAMES))
        if unknown:
            raise SpecMismatch(f"unknown observation fields {unknown}; there are {sorted(FIELD_NAMES)}")
        for option, allowed in _CHOICES.items():
            if getattr(self, option) not in allowed:
                raise SpecMismatch(f"{option}={getattr(self, option)!r} is none of {allowed}")
        if min(self.height, self.width, self.num_points) < 1:
            raise SpecMismatch("height, width and num_points must be at least 1")

    @property
    def colour(self) -> bool:
        return not {"rgb", "point_colors"}.isdisjoint(self.fields)

    @property
    def geometry(self) -> bool:
        return not {"depth", "points", "views"}.isdisjoint(self.fields)

    @property
    def renders(self) -> bool:
        return self.colour or self.geometry

    def canonical(self) -> dict[str, object]:
        """Plain data that names the observation and nothing else: options that cannot matter are left out.

        Two requests with equal `canonical()` give equal arrays; caches are keyed by it.
        """
        data = dataclasses.asdict(self)
        data["fields"] = sorted(self.fields)
        irrelevant: set[str] = set()
        if not self.renders:
            irrelevant |= {"cameras", "height", "width", "render", "image", "goal_marker"}
        if not self.colour:  # depth is drawn without multisampling at both qualities, and is the same
            irrelevant |= {"render"}
        if "points" not in self.fields:
            irrelevant |= {"num_points", "sampler"}
            irrelevant |= set() if "views" in self.fields else {"crop"}
        kept = {key: value for key, value in data.items() if key not in irrelevant}
        return kept | ({"views": views.VERSION} if "views" in self.fields else {})


FIELD_NAMES: Mapping[str, str] = {
    "rgb": "(V,H,W,3) uint8, upright and unmirrored",
    "depth": "(V,H,W) float32, metres along the optical axis, inf where nothing is hit",
    "intrinsics": "(V,3,3) float32, pixels; pixel centres lie at half-integers",
    "extrinsics": "(V,4,4) float32, robot_from_camera, OpenCV axes (x right, y down, z forward)",
    "points": "(N,3) float32, metres, robot base frame, z up; rows with points_valid False are zero",
    "points_valid": "(N,) bool, False where a row of points is padding",
    "point_colors": "(N,3) uint8",
    "views": "(5,224,224,4) float32, depth, x, y, z in metres of virtual cameras, x, y, z in the robot frame",
    "views_valid": "(5,224,224) bool, False where no point is seen",
    "proprio": "(S,) float32, each simulator's spec names the entries",
    "ground_truth": "(G,) float32, simulator state a policy could not see on a robot",
}

_CHOICES = {
    "sampler": ("bucket", "exact"),
    "render": ("paper", "fast"),
    "image": ("upright", "lift3d"),
}
