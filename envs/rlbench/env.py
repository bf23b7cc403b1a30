"""The simulator `rlbench`: RLBench itself. One step is one keyframe: a planned move of the arm, then the gripper."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from envs.base import ExpertEpisode, Step
from envs.errors import SpecMismatch
from envs.mujoco_sensors import sensor_specs
from envs.pictures import field_names
from envs.registry import UnknownName
from envs.rlbench.facts import ACTION, CAMERAS, NOT_REPLAYABLE, PROPRIO_NAMES, RLBENCH_COMMIT, TASKS
from envs.rlbench.keyframes import action_between, find_keyframes
from envs.rlbench.launch import Simulation, described, initial_state
from envs.rlbench.sensing import fields_of, pose_of, proprio_of, view_of
from envs.rlbench_port.env import NO_PATH, NO_ROTATION, OUTSIDE
from envs.rlbench_port.places import CROP
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest

NO_DEMONSTRATION = "Could not collect demos"
"""How RLBench's error begins when its own planner has failed in every attempt."""
ATTEMPTS = 3
"""At a demonstration, each with the scene placed anew. RLBench's ten may take longer than a worker may be silent."""


class RLBench:
    """One task of RLBench. See `envs.base.Env` for the contract; fields, frames and actions are those of
    `rlbench4-port`, without `ground_truth`: what RLBench knows of a scene has another size in each task.

    A seed sets numpy's global generator, from which RLBench draws; CoppeliaSim has generators of its own that nobody
    can seed, so an episode cannot be played again. `initial_state` says how this one really began.
    """

    name: ClassVar[str] = "rlbench"
    version: ClassVar[str] = "rlbench-adapter==1"
    """Of this adapter; raised whenever it changes what an action leads to, or what is seen."""
    packages: ClassVar[tuple[str, ...]] = ("rlbench", "pyrep")
    tasks: ClassVar[tuple[str, ...]] = tuple(sorted(TASKS))
    cameras: ClassVar[tuple[str, ...]] = CAMERAS
    camera_sizes: ClassVar[bool] = True
    restorable: ClassVar[bool] = False
    not_replayable: ClassVar[str] = NOT_REPLAYABLE
    provides: ClassVar[frozenset[str]] = frozenset(
        {"rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "proprio"}
    )
    proprio_names: ClassVar[tuple[str, ...]] = PROPRIO_NAMES
    action_spec: ClassVar[ActionSpec] = ACTION

    def __init__(self, task: str, request: ObservationRequest) -> None:
        if task not in TASKS:
            raise UnknownName("task of rlbench", task, TASKS)
        request = self.resolve(request)
        self._specs = self.specs(request)
        self.task, self.request = task, request
        self._simulation = Simulation(task, request)
        self._seen: Observation = {}
        self._began = np.zeros(0)

    @classmethod
    def resolve(cls, request: ObservationRequest) -> ObservationRequest:
        """With the crop that is used where the request names none: the port's. Raises `SpecMismatch`."""
        if isinstance(request.crop, str):
            raise SpecMismatch(
                f"{cls.name} has no crop named {request.crop!r}; give [x0,y0,z0,x1,y1,z1] in metres, robot frame, or "
                "null"
            )
        return dataclasses.replace(request, crop=request.crop or CROP)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        if missing := sorted(set(request.fields) - cls.provides):
            raise SpecMismatch(f"{cls.name} cannot give {missing}; it gives {sorted(cls.provides)}")
        for name in request.cameras:
            if "@" in name:
                raise SpecMismatch(f"{name}: the cameras of RLBench's scene are not moved; there are {cls.cameras}")
            if name not in CAMERAS:
                raise UnknownName("camera of rlbench", name, CAMERAS)
        if len(set(request.cameras)) < len(request.cameras):
            raise SpecMismatch(f"{', '.join(request.cameras)}: a camera can be in one place at a time")
        if request.renders and not request.cameras:
            raise SpecMismatch(f"{sorted(request.fields)} needs at least one camera of {cls.cameras}")
        table = [
            *sensor_specs(request),
            FieldSpec("proprio", (15,), "float32", "rad, m, quaternion, 1", "robot", ", ".join(PROPRIO_NAMES)),
        ]
        names = field_names(request)
        return {spec.name: spec for spec in table if spec.name in names}

    @classmethod
    def instruction(cls, task: str) -> str:
        return TASKS[task][1]

    def reset(self, seed: int) -> Observation:
        np.random.seed(int(seed))
        descriptions, observation = self._simulation.task_environment.reset()
        longest = max(descriptions, key=len)
        if longest != self.instruction(self.task):
            raise RuntimeError(
                f"RLBench calls {self.task} '{longest}', and here it is '{self.instruction(self.task)}': another "
                f"RLBench than {RLBENCH_COMMIT} is installed"
            )
        self._began = initial_state(observation)
        self._seen = self._fields(observation)
        return self.observe()

    def initial_state(self) -> np.ndarray:
        """How this episode really began: RLBench's `task_low_dim_state`, (D,) float64."""
        return self._began

    def step(self, action: np.ndarray) -> Step:
        wanted = self.action_spec.check(action).astype(np.float64)
        length = float(np.linalg.norm(wanted[3:7]))
        if length < 1e-6:
            return Step(self.observe(), 0.0, False, NO_ROTATION)
        wanted[3:7] /= length  # in float64: RLBench refuses a length that is off by 1e-5
        try:
            observation, reward, terminate = self._simulation.task_environment.step(wanted)
        except self._simulation.failed_actions as error:
            return Step(self.observe(), 0.0, False, why_refused(error))  # nothing has moved
        self._seen = self._fields(observation)
        success = reward > 0
        return Step(self.observe(), float(reward), success, "RLBench ended the episode" if terminate else None)

    def observe(self) -> Observation:
        return {name: array.copy() for name, array in self._seen.items()}

    def expert_action(self) -> np.ndarray:
        raise LookupError("RLBench's expert plans whole episodes (expert_episode)")

    def expert_episode(self, seed: int) -> ExpertEpisode:
        """A live demonstration of RLBench, as keyframes: T of them, each row the moment before its action.

        The demonstration succeeded, as a continuous motion; that its keyframes would, sent as actions, is not tried.
        """
        np.random.seed(int(seed))
        try:
            (demo,) = self._simulation.task_environment.get_demos(1, live_demos=True, max_attempts=ATTEMPTS)
        except RuntimeError as error:
            if not str(error).startswith(NO_DEMONSTRATION):
                raise
            return self._given_up(seed)
        moments = [demo[number] for number in range(len(demo))]
        self._began = initial_state(moments[0])
        opened = np.array([moment.gripper_open for moment in moments])
        keys = find_keyframes(opened, np.stack([moment.joint_velocities for moment in moments]))
        rows = list(zip([0, *keys], keys, strict=False))
        poses = {number: pose_of(moments[number]) for number in (0, *keys)}
        seen = [self._fields(moments[first]) for first, _ in rows]
        actions = [action_between(*poses[a], *poses[b], opens=bool(opened[b] > 0.5)) for a, b in rows]
        success = np.arange(len(rows)) == len(rows) - 1
        observations = {name: np.stack([one[name] for one in seen]) for name in self._specs}
        return ExpertEpisode(observations, np.stack(actions), success.astype(np.float32), success)

    def _given_up(self, seed: int) -> ExpertEpisode:
        observation = self.reset(seed)
        seen = {name: array[None] for name, array in observation.items()}
        stay = np.array([[0, 0, 0, 0, 0, 0, 1, 1]], np.float32)
        return ExpertEpisode(seen, stay, np.zeros(1), np.zeros(1, bool), failed=True)

    def _fields(self, observation: Any) -> Observation:
        request = self.request
        seen = request.renders or not {"intrinsics", "extrinsics"}.isdisjoint(request.fields)
        views = {name: view_of(observation, name, request) for name in request.cameras} if seen else {}
        return fields_of(views, request, proprio_of(observation))

    def fingerprint(self) -> str:
        said = f"{self.version}, {described()}"
        if not self.request.renders:
            return f"{said}, no renderer"
        mode = "opengl3" if self.request.render == "paper" else "opengl"
        return f"{said}, {mode}, {self._simulation.display.said}"

    def close(self) -> None:
        self._simulation.close()


def why_refused(error: Exception) -> str:
    """Why an action cannot be done, in the port's words where it has some."""
    said = str(error)
    if "outside of workspace" in said:
        return OUTSIDE
    if type(error).__name__ != "InvalidActionError" or "path" in said or "IK" in said:
        return NO_PATH
    return f"an action that RLBench refuses ({said})"
