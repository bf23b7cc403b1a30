"""The simulator `aloha`: two ViperX arms at a table, told where each joint has to be fifty times a second."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from envs.aloha import checkout
from envs.aloha.by_options import Actions, Version
from envs.aloha.control import NO_ROTATION, SPECS, action_of, targets_of
from envs.aloha.instructions import INSTRUCTIONS
from envs.aloha.objects import STRIDE, objects
from envs.aloha.options import BY_JOINTS, read_options
from envs.aloha.places import (
    ARMS,
    CAMERA_HEIGHT,
    CORNERS,
    CROP_HIGH,
    CROP_LOW,
    JOINTS,
    LOOKS_AT,
    OTHER_CAMERAS,
    STEP,
    TABLE_HALF,
    TABLE_TOP,
    VIRTUAL_OVERHEAD,
    WRIST_EYE,
    WRIST_TARGET,
)
from envs.base import ExpertEpisode, Step
from envs.camera import Orbit
from envs.crop import Crop
from envs.errors import SpecMismatch
from envs.mujoco_sensors import SENSED, Sensors, sensor_specs
from envs.named_cameras import named_cameras
from envs.options import BadOption
from envs.pictures import field_names
from envs.registry import UnknownName
from envs.render import GLMissing, choose_backend
from envs.spec import FieldSpec, Observation, ObservationRequest
from envs.view_layouts import virtual_cameras
from envs.views import VirtualCamera

if TYPE_CHECKING:
    from envs.aloha.world import World

CAMERAS = (*CORNERS, *OTHER_CAMERAS)
FIXED = {name: "moves with an arm" if "wrist" in name else "is part of the scene" for name in OTHER_CAMERAS}
LAYOUTS = 60
"""Drawn before an episode is given up."""
SETTLING = 2.0
"""Seconds of physics in which objects come to rest before an episode (aloha_sim)."""
UNSTABLE = "the physics became unstable"
FAR_OUTSIDE = "a joint target far outside its range, which is in radians"
MOST_OBJECTS = 6


def _virtual() -> tuple[VirtualCamera, ...]:
    x, y = TABLE_HALF
    middle, height = (0.0, 0.0, TABLE_TOP), TABLE_TOP + CAMERA_HEIGHT
    return (
        VirtualCamera("overhead", VIRTUAL_OVERHEAD, middle, up=(0.0, 1.0, 0.0)),
        *(VirtualCamera(name, (a * x, b * y, height), middle) for name, (a, b) in CORNERS.items()),
        *(VirtualCamera(f"wrist-{arm}", WRIST_EYE, WRIST_TARGET, on_hand=True) for arm in ARMS),
    )


VIRTUAL = _virtual()
"""CLAMP's five views (section III-B): from above, from the two real cameras' corners, and behind both grippers."""


class Aloha:
    """One task. See `envs.base.Env` for the contract, and docs/aloha.md for how it differs from CLAMP's.

    action (14,): joint targets of the left arm 6, radians, absolute, and its gripper's servo angle (-0.06135 closed,
        1.5155 open); then the right arm's. Clipped to the range; a target further outside than the range is wide ends
        the episode. With the option `control` it says where the tools go instead (16,): `envs.aloha.control`.
    proprio (14,): where they are, in the same order and units. A closed gripper reads -0.07 to 0, as in aloha_sim.
    ground_truth (45,): place 3, metres, and rotation x, y, z, w of six objects: what the task moves, where to, the
        others; zeros where there are fewer. Then how far three drawers are open, top to bottom, metres.
    views: CLAMP's five virtual images, those of the wrists turning with the grippers.
    points: of all cameras, in the world frame, whose origin is the middle of the table.
    """

    name: ClassVar[str] = "aloha"
    revision: ClassVar[int] = 2
    """Raised whenever a change of this package changes what an action leads to, what is seen, or what experts do."""
    version: ClassVar[Any] = Version()
    packages: ClassVar[tuple[str, ...]] = ("mujoco",)
    tasks: ClassVar[tuple[str, ...]] = tuple(sorted(INSTRUCTIONS))
    cameras: ClassVar[tuple[str, ...]] = CAMERAS
    camera_sizes: ClassVar[bool] = True
    control_rate: ClassVar[float] = round(1 / STEP)
    provides: ClassVar[frozenset[str]] = SENSED | {"proprio", "ground_truth"}
    proprio_names: ClassVar[tuple[str, ...]] = tuple(f"{arm}_{one}_rad" for arm in ARMS for one in (*JOINTS, "gripper"))
    action_spec: ClassVar[Any] = Actions()

    def __init__(self, task: str, request: ObservationRequest) -> None:
        if task not in INSTRUCTIONS:
            raise UnknownName("task of aloha", task, INSTRUCTIONS)
        request = self.resolve(request)
        self._specs = self.specs(request)
        self.task, self.request, self.options = task, request, read_options()
        found = checkout.usable(checkout.root_named(), self.options.stand_ins)
        try:
            choose_backend()  # before mujoco is imported, even if only a later environment of this process renders
        except GLMissing:
            if request.renders:
                raise
        from envs.aloha import scene, tasks
        from envs.aloha.delayed import Delayed
        from envs.aloha.experts.habits import HABITS
        from envs.aloha.world import World

        if self.options.habit and task not in HABITS:
            raise BadOption(f"env.aloha.habit=true: {task} has no habit; there are {', '.join(HABITS)}")
        self._task = tasks.TASKS[task]
        self.assets = found.assets
        model = scene.build(found.assets, self._task.props, found.replaced)
        self.world: World = World(model, tuple(self._task.props))
        cameras = named_cameras(request.cameras, "camera of aloha", CAMERAS, FIXED)
        for name, orbit in cameras:
            if orbit is not None:
                _shift(model, name, orbit)
        self._late = Delayed(self.world, self.options.image_steps, self.options.joint_steps)
        numbers = [model.camera(name).id for name, _ in cameras]
        self.sensors = Sensors(model, self._late.seen, numbers, request, hand=self._late.hands)
        self.servo: Any = None  # of the experts, made when the first is asked
        self.seed = 0

    @classmethod
    def resolve(cls, request: ObservationRequest) -> ObservationRequest:
        """With the crop and the virtual cameras that are used where the request names none. Raises `SpecMismatch`."""
        if isinstance(request.crop, str):
            raise SpecMismatch(
                f"{cls.name} has no crop named {request.crop!r}; give [x0,y0,z0,x1,y1,z1] in metres, world frame, or "
                "null"
            )
        virtual = request.virtual
        if virtual is None:
            virtual = virtual_cameras(request.layout, VIRTUAL, CROP_LOW, CROP_HIGH)
        return dataclasses.replace(request, crop=request.crop or Crop(CROP_LOW, CROP_HIGH), virtual=virtual)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        if missing := sorted(set(request.fields) - cls.provides):
            raise SpecMismatch(f"{cls.name} cannot give {missing}; it gives {sorted(cls.provides)}")
        named_cameras(request.cameras, "camera of aloha", CAMERAS, FIXED)
        if request.renders and not request.cameras:
            raise SpecMismatch(f"{sorted(request.fields)} needs at least one camera of {cls.cameras}")
        truth = STRIDE * MOST_OBJECTS + 3
        table = [
            *sensor_specs(request),
            FieldSpec("proprio", (14,), "float32", "rad", "", ", ".join(cls.proprio_names)),
            FieldSpec("ground_truth", (truth,), "float32", "m, quaternion", "robot", "poses of objects, drawers"),
        ]
        return {spec.name: spec for spec in table if spec.name in field_names(request)}

    @classmethod
    def instruction(cls, task: str) -> str:
        return INSTRUCTIONS[task]

    @classmethod
    def objects(cls, task: str) -> tuple[tuple[str, int], ...]:
        return objects(task)

    def reset(self, seed: int) -> Observation:
        self.seed = int(seed)
        draw = np.random.default_rng(self.seed)
        for _ in range(LAYOUTS):
            self.world.clear()
            for name, (place, yaw) in self._task.layout(draw).items():
                self.world.place(name, place, yaw)
            if self._task.drawers is not None:
                self.world.open(self._task.drawers(draw))
            self.world.refresh()
            if not (self._task.apart and any(self.world.touched_by(name) for name in self.world.names)):
                break
        else:
            raise RuntimeError(f"{self.task}, seed {seed}: in each of {LAYOUTS} layouts objects touch each other")
        if self._task.settles:
            self.world.settle(SETTLING)
        self._late.begin()
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        return self.step_unseen(action)._replace(observation=self.observe())

    def step_unseen(self, action: np.ndarray) -> Step:
        wanted = self.action_spec.check(action).astype(np.float64)
        low, high = np.array(self.action_spec.low), np.array(self.action_spec.high)
        beyond = np.maximum(low - wanted, wanted - high)
        if (beyond > high - low).any():
            return Step({}, 0.0, False, FAR_OUTSIDE)
        targets = targets_of(self.options.control, wanted, self.world.targets())
        if targets is None:
            return Step({}, 0.0, False, NO_ROTATION)
        if not self.advance(targets):
            return Step({}, 0.0, False, UNSTABLE)
        done = self.succeeded()
        return Step({}, float(done), done)

    def advance(self, targets: np.ndarray) -> bool:
        """One step without looking. targets: of the joints (14,), clipped to the range. False: `World.advance`."""
        spec = SPECS[BY_JOINTS]
        held = self.world.advance(np.clip(targets, spec.low, spec.high))
        self._late.add()
        return held

    def asking_for(self, targets: np.ndarray) -> np.ndarray:
        """The action now that asks for joint targets (14,) float32."""
        return action_of(self.options.control, targets, self.world.targets())

    def asked_by(self, action: np.ndarray) -> np.ndarray:
        """The joint targets (14,) float64 that an action asks for now."""
        targets = targets_of(self.options.control, action, self.world.targets())
        assert targets is not None, "made of a rotation"
        return targets

    def succeeded(self) -> bool:
        return self._task.done(self.world)

    def state(self) -> np.ndarray:
        """The physics' state, and what is still to be seen of the past where observations are late."""
        return np.concatenate([self.world.state(), self._late.state()])

    def set_state(self, state: np.ndarray) -> None:
        size = self.world.state_size + self._late.size
        if state.shape != (size,):
            raise ValueError(f"a state of {self.task} has shape ({size},), not {state.shape}")
        own = np.asarray(state, np.float64)
        self.world.set_state(own[: self.world.state_size])
        self._late.set_state(own[self.world.state_size :])

    def expert_episode(self, seed: int) -> ExpertEpisode:
        """Planned from the true poses (`envs.aloha.experts`); of the fields it records those that need no image."""
        from envs.aloha.experts.episode import play

        return play(self, seed)

    def observe(self) -> Observation:
        observation = self.sensors.observe() if self._looks else {}
        return {name: (observation | self.told())[name] for name in self._specs}

    @property
    def _looks(self) -> bool:
        return self.request.renders or not {"intrinsics", "extrinsics"}.isdisjoint(self._specs)

    def told(self) -> Observation:
        """The fields that need no image."""
        found = Observation()
        if "proprio" in self._specs:
            found["proprio"] = self.world.proprio(self._late.joints)
        if "ground_truth" in self._specs:
            poses = [np.r_[self.world.pose(name)[0], self.world.quaternion(name)] for name in self._task.names]
            truth = np.zeros(STRIDE * MOST_OBJECTS + 3, np.float32)
            truth[: STRIDE * len(poses)] = np.concatenate(poses)
            truth[-3:] = self.world.slides()
            found["ground_truth"] = truth
        return found

    def fingerprint(self) -> str:
        import mujoco

        simulator = f"{self.version}, mujoco {mujoco.__version__}"
        if not self.request.renders:
            return f"{simulator}, no renderer"
        return f"{simulator}, {self.sensors.fingerprint()}"

    def close(self) -> None:
        self.sensors.close()


def _shift(model: Any, name: str, orbit: Orbit) -> None:
    """Move a camera around the table's middle. Raises `SpecMismatch`."""
    import mujoco

    number = model.camera(name).id
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.cam_quat[number])
    try:
        place, turned = orbit.move(model.cam_pos[number], rotation, LOOKS_AT)
    except ValueError as error:
        raise SpecMismatch(f"camera {name}: {error}") from error
    model.cam_pos[number] = place
    mujoco.mju_mat2Quat(model.cam_quat[number], turned.ravel())
