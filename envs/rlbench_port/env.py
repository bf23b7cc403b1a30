"""The simulator `rlbench4-port`: one step is one keyframe, as in RLBench's planned moves of the end effector."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from envs.action_parts import ActionPart
from envs.base import Step
from envs.camera import Orbit
from envs.errors import SpecMismatch
from envs.mujoco_sensors import SENSED, Sensors, sensor_specs
from envs.named_cameras import named_cameras
from envs.pictures import field_names
from envs.registry import UnknownName
from envs.render import GLMissing, choose_backend
from envs.rlbench_port.places import CAMERAS, CROP, VIRTUAL, WORKSPACE
from envs.rotations import canonical, inverse, multiply
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest
from envs.view_layouts import virtual_cameras

if TYPE_CHECKING:
    from envs.rlbench_port.layout import Keyframe, Layout

TASKS: dict[str, tuple[str, str]] = {
    "close-box": ("envs.rlbench_port.close_box", "close the box by turning its lid over"),
    "close-laptop-lid": ("envs.rlbench_port.close_laptop_lid", "push the laptop's screen down until it is shut"),
    "water-plants": ("envs.rlbench_port.water_plants", "take the watering can and water the plant"),
    "toilet-seat-down": ("envs.rlbench_port.toilet_seat_down", "put the seat of the toilet down"),
}
"""Each task's module and its instruction."""
PLACEMENTS = 40
"""Layouts that are drawn before an episode is given up: the first whose keyframes the arm can follow is taken."""
NO_ROTATION = "a rotation of length zero"
OUTSIDE = "target outside the workspace"
NO_PATH = "no path to the target"


def _cameras(names: tuple[str, ...]) -> list[tuple[str, Orbit | None]]:
    """Each camera and its shift. Raises `UnknownName` or `SpecMismatch`."""
    found = named_cameras(names, "camera of rlbench4-port", (*CAMERAS, "wrist"), {"wrist": "moves with the robot"})
    for name, (base, orbit) in zip(names, found, strict=True):
        if orbit is not None:
            try:
                CAMERAS[base].placed(orbit)
            except ValueError as error:
                raise SpecMismatch(f"camera {name}: {error}") from error
    return found


class RLBenchPort:
    """One task. See `envs.base.Env` for the contract, and docs/rlbench.md for how it differs from RLBench.

    action (8,): the move of the fingertips along the robot's axes, metres; the turn x, y, z, w, of any length but zero,
        that stands before the hand's rotation (q_new = dq * q); and the gripper, above 0.5 open. The arm moves first,
        then the gripper. A target over the workspace's edge, or one that the arm cannot reach, ends the episode.
    proprio (15,): joints 7, radians; the fingertips' place 3, metres, and rotation x, y, z, w; and whether the gripper
        is open, 1 or 0. Of the two signs of the rotation it has the one nearer to the rotation at home. (Lift3D's rule
        is w >= 0. A hand that points down has w = 0, where that sign changes between moments that are almost alike.)
    ground_truth (12,): the object's place 3, metres, and rotation x, y, z, w; its hinge's angle, 0 when closed, and
        where that began, radians; its sizes 3, metres. In water-plants the object is the can, and what follows are the
        pot's x and y, the can's length, and the pot's radius and height, metres.
    scale: the object's size as a multiple of the task's own, in later episodes; None: drawn for each.
    played: actions of this episode so far.
    """

    name: ClassVar[str] = "rlbench4-port"
    version: ClassVar[str] = "rlbench4-port==3"
    """Raised whenever a change of this package changes what an action leads to, or what is seen."""
    packages: ClassVar[tuple[str, ...]] = ("mujoco",)
    tasks: ClassVar[tuple[str, ...]] = tuple(sorted(TASKS))
    cameras: ClassVar[tuple[str, ...]] = (*CAMERAS, "wrist")
    camera_sizes: ClassVar[bool] = True
    provides: ClassVar[frozenset[str]] = SENSED | {"proprio", "ground_truth"}
    proprio_names: ClassVar[tuple[str, ...]] = (
        *(f"joint{number}_rad" for number in range(1, 8)),
        "tip_x_m",
        "tip_y_m",
        "tip_z_m",
        "tip_qx",
        "tip_qy",
        "tip_qz",
        "tip_qw",
        "gripper_open_0_1",
    )
    action_spec: ClassVar[ActionSpec] = ActionSpec(
        names=("dx", "dy", "dz", "dqx", "dqy", "dqz", "dqw", "gripper"),
        low=(-1.5, -1.5, -1.5, -1.0, -1.0, -1.0, -1.0, 0.0),
        high=(1.5, 1.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0),
        unit="m, quaternion, 1 opens",
        parts=(
            ActionPart("position", 0, 3, "delta", "m", "robot"),
            ActionPart("rotation", 3, 7, "quaternion", "x, y, z, w", "robot"),
            ActionPart("gripper", 7, 8, "gripper", "open above 0.5"),
        ),
    )

    def __init__(self, task: str, request: ObservationRequest) -> None:
        if task not in TASKS:
            raise UnknownName("task of rlbench4-port", task, TASKS)
        request = self.resolve(request)
        self._specs = self.specs(request)
        self.task, self.request = task, request
        self.scale: float | None = None
        try:
            choose_backend()  # before mujoco is imported, even if only a later environment of this process renders
        except GLMissing:
            if request.renders:
                raise
        from envs.rlbench_port import scene
        from envs.rlbench_port.motion import Robot
        from envs.rlbench_port.planner import Planner

        self._draw = importlib.import_module(TASKS[task][0]).draw
        self._scene = scene
        cameras = _cameras(request.cameras)
        self._orbits = dict(cameras)
        self.model = scene.build(self._draw(np.random.default_rng(0), 1.0), self._orbits)
        self._planner = Planner()
        self.robot = Robot(self.model)
        numbers = [self.model.camera(name).id for name, _ in cameras]
        self.sensors = Sensors(self.model, self.robot.data, numbers, request, hand=self._hand)
        self._layout: Layout
        self.played = 0

    @classmethod
    def resolve(cls, request: ObservationRequest) -> ObservationRequest:
        """With the crop and the virtual cameras that are used where the request names none. Raises `SpecMismatch`."""
        if isinstance(request.crop, str):
            raise SpecMismatch(
                f"{cls.name} has no crop named {request.crop!r}; give [x0,y0,z0,x1,y1,z1] in metres, robot frame, or "
                "null"
            )
        virtual = request.virtual
        if virtual is None:
            virtual = virtual_cameras(request.layout, VIRTUAL, *WORKSPACE)
        return dataclasses.replace(request, crop=request.crop or CROP, virtual=virtual)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        if missing := sorted(set(request.fields) - cls.provides):
            raise SpecMismatch(f"{cls.name} cannot give {missing}; it gives {sorted(cls.provides)}")
        _cameras(request.cameras)
        if request.renders and not request.cameras:
            raise SpecMismatch(f"{sorted(request.fields)} needs at least one camera of {cls.cameras}")
        table = [
            *sensor_specs(request),
            FieldSpec("proprio", (15,), "float32", "rad, m, quaternion, 1", "robot", ", ".join(cls.proprio_names)),
            FieldSpec("ground_truth", (12,), "float32", "m, quaternion, rad", "robot", "pose, hinge or pot, sizes"),
        ]
        names = field_names(request)
        return {spec.name: spec for spec in table if spec.name in names}

    @classmethod
    def instruction(cls, task: str) -> str:
        return TASKS[task][1]

    def reset(self, seed: int) -> Observation:
        rng = np.random.default_rng(int(seed))
        for _ in range(PLACEMENTS):
            layout = self._draw(rng, self.scale)
            if self._can_follow(layout.plan):
                break
        else:
            raise RuntimeError(f"{self.task}, seed {seed}: none of {PLACEMENTS} layouts can be reached by the arm")
        self._layout, self.played = layout, 0
        self._scene.become(self.model, self._scene.build(layout, self._orbits))
        self.robot.home(layout.goal.begin)
        return self.observe()

    def _can_follow(self, plan: tuple[Keyframe, ...]) -> bool:
        joints = self.robot.start
        for keyframe in plan:
            found = self._planner.reachable(joints, keyframe.place, keyframe.rotation)
            if found is None:
                return False
            joints = found
        return True

    def step(self, action: np.ndarray) -> Step:
        return self.step_unseen(action)._replace(observation=self.observe())

    def step_unseen(self, action: np.ndarray) -> Step:
        wanted = self.action_spec.check(action).astype(np.float64)
        self.played += 1
        ended = self._move(wanted)
        done = self.succeeded()
        return Step({}, float(done), done, ended)

    def _move(self, wanted: np.ndarray) -> str | None:
        """Why it cannot be done, None once it is."""
        length = float(np.linalg.norm(wanted[3:7]))
        if length < 1e-6:
            return NO_ROTATION
        place, rotation = self.robot.tip()
        target = place + wanted[:3]
        if (target < WORKSPACE[0]).any() or (target > WORKSPACE[1]).any():
            return OUTSIDE
        path = self._planner.path(self.robot.joints(), target, multiply(wanted[3:7] / length, rotation))
        if path is None:
            return NO_PATH
        self.robot.follow(path, until=self._watch)
        self.robot.grip(opens=bool(wanted[7] > 0.5), until=self._watch)
        return None

    def succeeded(self) -> bool:
        return self._layout.goal.done(self.robot)

    def _hand(self) -> dict[str, np.ndarray]:
        return {"wrist-left": self.robot.robot_from_tip()}

    def _watch(self) -> bool:
        return self._layout.goal.watch(self.robot)

    def state(self) -> np.ndarray:
        """The physics' state, and how many actions have been played, which is where the expert is."""
        return np.append(self.robot.state(), float(self.played))

    def set_state(self, state: np.ndarray) -> None:
        size = self.robot.state_size + 1
        if state.shape != (size,):
            raise ValueError(f"a state of {self.task} has shape ({size},), not {state.shape}")
        self.robot.set_state(np.asarray(state[:-1], np.float64))
        self.played = int(state[-1])

    def expert_action(self) -> np.ndarray:
        """To the next keyframe of the plan; after the last it stays where it is."""
        plan = self._layout.plan
        keyframe = plan[min(self.played, len(plan) - 1)]
        place, rotation = self.robot.tip()
        turn = canonical(multiply(keyframe.rotation, inverse(rotation)))
        return np.array([*(keyframe.place - place), *turn, float(keyframe.opens)], np.float32)

    def observe(self) -> Observation:
        observation = self.sensors.observe()
        if "proprio" in self._specs:
            observation["proprio"] = self.robot.proprio()
        if "ground_truth" in self._specs:
            truth = self._layout.goal.truth(self.robot)
            observation["ground_truth"] = np.array([*truth, *self._layout.sizes], np.float32)
        return {name: observation[name] for name in self._specs}

    def fingerprint(self) -> str:
        simulator = f"{self.version}, {self.robot.engine}"
        if not self.request.renders:
            return f"{simulator}, no renderer"
        return f"{simulator}, {self.sensors.fingerprint()}"

    def close(self) -> None:
        self.sensors.close()
