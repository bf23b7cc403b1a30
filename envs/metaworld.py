"""MetaWorld v3: all fifty tasks, its named cameras, its scripted experts.

The robot frame is MetaWorld's world frame: the Sawyer's base stands at the origin, z up, the table's top is z = 0.
The simulator is imported when one is built, so asking this class for specs costs nothing.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, ClassVar

import numpy as np

from envs import camera, views
from envs.base import Step
from envs.crop import Crop, NamedCrop
from envs.errors import SpecMismatch
from envs.installed import InstalledVersion
from envs.lift3d_crop import LIFT3D
from envs.metaworld_objects import objects
from envs.metaworld_tasks import INSTRUCTIONS
from envs.mujoco_sensors import SENSED, Sensors, sensor_specs
from envs.named_cameras import named_cameras
from envs.pictures import field_names
from envs.registry import UnknownName
from envs.render import GLMissing, choose_backend
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest
from envs.view_layouts import virtual_cameras

WORKSPACE = Crop(low=(-0.6, 0.3, 0.005), high=(0.6, 0.9, 2.0))
"""One crop for every camera, metres. The floor is 5 mm above the table: the table's own pixels come out of the
depth buffer at z = 0 plus or minus rounding, and a crop at exactly 0 lets a third to three quarters of the cloud be
table points that rounding happened to lift. (sweep-into and hand-insert have a table whose top, at 5 cm, stays.)"""

CROPS: dict[str, NamedCrop] = {LIFT3D.name: LIFT3D}
"""Crops that can be asked for by name."""

MIDDLE = (0.0, 0.6, 0.0)
"""Of the table, where the virtual cameras look."""

REACH = 0.7
"""Metres over the table that layouts of virtual views other than `five` are placed for; the crop goes higher, where
nothing is but the arm."""

FIXED_VIEWS = (
    views.VirtualCamera("overhead", (0.0, 0.6, 1.0), MIDDLE, up=(0.0, 1.0, 0.0)),
    views.VirtualCamera("back-right", (0.6, 0.9, 0.7), MIDDLE),
    views.VirtualCamera("front-left", (-0.6, 0.3, 0.7), MIDDLE),
)
"""The robot looks along +y, so "front" is its side of the table and "left" is -x."""

WRIST_EYE, WRIST_TARGET = (0.0, -0.12, 0.08), (0.0, 0.03, -0.08)
"""Where the wrist's virtual camera is and looks, from the hand; the hand never turns."""

ON_THE_HAND = dict.fromkeys(("behindGripper", "gripperPOV"), "moves with the robot")
UPSIDE_DOWN = frozenset({"corner", "corner2", "corner3", "corner4"})
"""Cameras mounted upside down: their images are rotated by 180 degrees, and their axes with them."""


class MetaWorld:
    """One MetaWorld task. See `envs.base.Env` for the contract.

    Seeding: MetaWorld's `reset(seed=...)` ignores its seed and draws from numpy's global stream (Metaworld issues
    555, 461). Here the task's own generator is seeded before every reset, so a seed names one episode.

    proprio (4,): hand x, y, z in metres and the gripper's opening, clip(|right claw - left claw| / 0.1 m, 0, 1).
    ground_truth (21,): MetaWorld's present-time observation (hand 3, opening 1, objects' positions and quaternions 14,
        zero where a task has one object) and the goal's position 3. Its previous frame is left out, because a
        restored state has none.
    """

    name: ClassVar[str] = "metaworld"
    tasks: ClassVar[tuple[str, ...]] = tuple(sorted(INSTRUCTIONS))
    cameras: ClassVar[tuple[str, ...]] = (
        "corner",
        "corner2",
        "corner3",
        "corner4",
        "topview",
        "behindGripper",
        "gripperPOV",
    )
    provides: ClassVar[frozenset[str]] = SENSED | {"proprio", "ground_truth"}
    proprio_names: ClassVar[tuple[str, ...]] = ("hand_x_m", "hand_y_m", "hand_z_m", "gripper_opening_0_1")
    action_spec: ClassVar[ActionSpec] = ActionSpec(
        names=("dx", "dy", "dz", "gripper"),
        low=(-1.0,) * 4,
        high=(1.0,) * 4,
        unit="1 = 1 cm of hand motion for each step; gripper -1 opens, 1 closes",
    )
    camera_sizes: ClassVar[bool] = True
    control_rate: ClassVar[float] = 80
    """MetaWorld's frame_skip of 5 times the physics' 2.5 ms (`SawyerXYZEnv`, `render_fps`)."""
    version = InstalledVersion("metaworld")
    packages: ClassVar[tuple[str, ...]] = ("metaworld", "mujoco")

    def __init__(self, task: str, request: ObservationRequest) -> None:
        if task not in INSTRUCTIONS:
            raise UnknownName("MetaWorld task", task, INSTRUCTIONS)
        request = self.resolve(request)
        self._specs = self.specs(request)
        self.task, self.request = task, request
        try:
            choose_backend()  # before mujoco is imported, even if only a later environment of this process renders
        except GLMissing:
            if request.renders:
                raise
        import mujoco
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP

        self._mujoco = mujoco
        self._env: Any = ALL_V3_ENVIRONMENTS[f"{task}-v3"]()
        self._env._partially_observable = False
        # Observations are clipped to a space that was cached while the goal was hidden, which zeroes the goal.
        vars(self._env).pop("sawyer_observation_space", None)
        self._env._freeze_rand_vec = False
        self._env._set_task_called = True
        self._env.seeded_rand_vec = True
        expert: Any = ENV_POLICY_MAP[f"{task}-v3"]
        self._expert = expert()
        self._model, self._data = self._env.model, self._env.data
        cameras = [self._place_camera(*camera.parse_camera(name)) for name in request.cameras]
        self.sensors = Sensors(self._model, self._data, cameras, request, UPSIDE_DOWN, self._env.get_endeff_pos)
        self._state_kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self._raw = np.zeros(39)

    @classmethod
    def resolve(cls, request: ObservationRequest) -> ObservationRequest:
        """With the crop and the virtual cameras that are used where the request names none. Raises `SpecMismatch`."""
        crop, virtual = request.crop, request.virtual
        if isinstance(crop, str):
            if crop not in CROPS:
                raise SpecMismatch(
                    f"MetaWorld has no crop named {crop!r}, only {', '.join(CROPS)}; or give [x0,y0,z0,x1,y1,z1] in "
                    "metres, or null"
                )
            crop = CROPS[crop]
        if virtual is None:
            own = (*FIXED_VIEWS, views.VirtualCamera("wrist-left", WRIST_EYE, WRIST_TARGET, on_hand=True))
            virtual = virtual_cameras(request.layout, own, WORKSPACE.low, (*WORKSPACE.high[:2], REACH))
        return dataclasses.replace(request, crop=crop or WORKSPACE, virtual=virtual)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        missing = sorted(set(request.fields) - cls.provides)
        if missing:
            raise SpecMismatch(f"metaworld cannot give {missing}; it gives {sorted(cls.provides)}")
        named_cameras(request.cameras, "MetaWorld camera", cls.cameras, ON_THE_HAND)
        if request.renders and not request.cameras:
            raise SpecMismatch(f"{sorted(request.fields)} needs at least one camera of {cls.cameras}")
        resolved = cls.resolve(request)
        for name in request.cameras if request.clouds else ():
            resolved.crop_of(name)
        table = [
            *sensor_specs(request),
            FieldSpec("proprio", (4,), "float32", "m, m, m, 1", "robot", ", ".join(cls.proprio_names)),
            FieldSpec("ground_truth", (21,), "float32", "m, quaternions", "robot", "hand, objects, goal"),
        ]
        wanted = field_names(request)
        return {spec.name: spec for spec in table if spec.name in wanted}

    @classmethod
    def instruction(cls, task: str) -> str:
        return INSTRUCTIONS[task]

    @classmethod
    def objects(cls, task: str) -> tuple[tuple[str, int], ...]:
        return objects(task)

    def reset(self, seed: int) -> Observation:
        self._env.seed(int(seed))
        self._raw, _ = self._env.reset()
        # Reset moves sites and bodies in the model; without this the first frame shows them where they were.
        self._mujoco.mj_forward(self._model, self._data)
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        moved = self.step_unseen(action)
        # the simulator has just computed it, and keeps it for its next frame
        present = None if self._env._did_see_sim_exception else self._env._prev_obs
        return moved._replace(observation=self._observe(present))

    def step_unseen(self, action: np.ndarray) -> Step:
        action = self.action_spec.check(action)
        self._raw, reward, _, _, info = self._env.step(action.astype(np.float64))
        return Step({}, float(reward), bool(info["success"]))

    def state(self) -> np.ndarray:
        state = np.empty(self._mujoco.mj_stateSize(self._model, self._state_kind))
        self._mujoco.mj_getState(self._model, self._data, state, self._state_kind)
        return state

    def set_state(self, state: np.ndarray) -> None:
        size = self._mujoco.mj_stateSize(self._model, self._state_kind)
        if state.shape != (size,):
            raise ValueError(f"a state of {self.task} has shape ({size},), not {state.shape}")
        self._mujoco.mj_setState(self._model, self._data, state, self._state_kind)
        self._mujoco.mj_forward(self._model, self._data)

    def expert_action(self) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant")  # it warns that its output is unclipped: we know
            return np.asarray(self._expert.get_action(self._raw), np.float32)

    def observe(self) -> Observation:
        return self._observe(None)

    def _observe(self, present: np.ndarray | None) -> Observation:
        """present: hand, opening and objects as they are now, None if they are not known."""
        observation = self.sensors.observe()
        if not {"proprio", "ground_truth"}.isdisjoint(self.request.fields):
            now = self._env._get_curr_obs_combined_no_goal() if present is None else present
            observation["proprio"] = now[:4].astype(np.float32)
            observation["ground_truth"] = np.hstack([now, self._env._get_pos_goal()]).astype(np.float32)
        return {name: observation[name] for name in self._specs}

    def fingerprint(self) -> str:
        simulator = f"{self.version}, mujoco=={self._mujoco.__version__}"
        if not self.request.renders:
            return f"{simulator}, no renderer"
        return f"{simulator}, {self.sensors.fingerprint()}"

    def close(self) -> None:
        self.sensors.close()
        self._env.close()

    def _place_camera(self, base: str, orbit: camera.Orbit | None) -> int:
        """Its number in the model, moved around the middle of the table if it is shifted."""
        number = self._model.camera(base).id
        if orbit is not None:
            turned = np.empty(9)
            self._mujoco.mju_quat2Mat(turned, self._model.cam_quat[number])
            place, rotation = orbit.move(self._model.cam_pos[number], turned, np.array(MIDDLE))
            self._model.cam_pos[number] = place
            self._mujoco.mju_mat2Quat(self._model.cam_quat[number], rotation.ravel())
        return number
