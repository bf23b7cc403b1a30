"""MetaWorld v3: all fifty tasks, its named cameras, its scripted experts.

The robot frame is MetaWorld's world frame: the Sawyer's base stands at the origin, z up, the table's top is z = 0.
The simulator is imported when one is built, so asking this class for specs costs nothing.
"""

from __future__ import annotations

import dataclasses
import warnings
from importlib import metadata
from typing import Any, ClassVar

import numpy as np

from envs import camera, points, views
from envs.base import Step
from envs.lift3d_crop import LIFT3D
from envs.metaworld_tasks import INSTRUCTIONS
from envs.registry import UnknownName
from envs.render import GLMissing, choose_backend
from envs.spec import ActionSpec, Crop, FieldSpec, NamedCrop, Observation, ObservationRequest, SpecMismatch

WORKSPACE = Crop(low=(-0.6, 0.3, 0.005), high=(0.6, 0.9, 2.0))
"""One crop for every camera, metres. The floor is 5 mm above the table: the table's own pixels come out of the
depth buffer at z = 0 plus or minus rounding, and a crop at exactly 0 lets a third to three quarters of the cloud be
table points that rounding happened to lift. (sweep-into and hand-insert have a table whose top, at 5 cm, stays.)"""

CROPS: dict[str, NamedCrop] = {LIFT3D.name: LIFT3D}
"""Crops that can be asked for by name."""

MIDDLE = (0.0, 0.6, 0.0)
"""Of the table, where the virtual cameras look."""

FIXED_VIEWS = (
    views.VirtualCamera("overhead", (0.0, 0.6, 1.0), MIDDLE, up=(0.0, 1.0, 0.0)),
    views.VirtualCamera("back-right", (0.6, 0.9, 0.7), MIDDLE),
    views.VirtualCamera("front-left", (-0.6, 0.3, 0.7), MIDDLE),
)
"""The robot looks along +y, so "front" is its side of the table and "left" is -x."""

WRIST_EYE, WRIST_TARGET = (0.0, -0.12, 0.08), (0.0, 0.03, -0.08)
"""Where the wrist's virtual camera is and looks, from the hand; the hand never turns."""

UPSIDE_DOWN = frozenset({"corner", "corner2", "corner3", "corner4"})
"""Cameras mounted upside down: their pictures are rotated by 180 degrees, and their axes with them."""


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
        "corner", "corner2", "corner3", "corner4", "topview", "behindGripper", "gripperPOV",
    )  # fmt: skip
    provides: ClassVar[frozenset[str]] = frozenset(
        {"rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "views", "views_valid",
         "proprio", "ground_truth"}
    )  # fmt: skip
    proprio_names: ClassVar[tuple[str, ...]] = ("hand_x_m", "hand_y_m", "hand_z_m", "gripper_opening_0_1")
    action_spec: ClassVar[ActionSpec] = ActionSpec(
        names=("dx", "dy", "dz", "gripper"),
        low=(-1.0,) * 4,
        high=(1.0,) * 4,
        unit="1 = 1 cm of hand motion for each step; gripper -1 opens, 1 closes",
    )
    version: ClassVar[str] = f"metaworld=={metadata.version('metaworld')}"
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
        self._cameras = [self._place_camera(*camera.parse_camera(name)) for name in request.cameras]
        seen = [request.crop_of(name) for name in request.cameras] if request.clouds else []
        self._crops = dict(zip(self._cameras, seen, strict=False))
        self._projections: dict[int, tuple[np.ndarray, points.BackProjection]] = {}
        self._renderer: Any = None
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
            virtual = (*FIXED_VIEWS, views.VirtualCamera("wrist-left", WRIST_EYE, WRIST_TARGET, on_hand=True))
        return dataclasses.replace(request, crop=crop or WORKSPACE, virtual=virtual)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        missing = sorted(set(request.fields) - cls.provides)
        if missing:
            raise SpecMismatch(f"metaworld cannot give {missing}; it gives {sorted(cls.provides)}")
        cls._check_cameras(request.cameras)
        if request.renders and not request.cameras:
            raise SpecMismatch(f"{sorted(request.fields)} needs at least one camera of {cls.cameras}")
        resolved = cls.resolve(request)
        for name in request.cameras if request.clouds else ():
            resolved.crop_of(name)
        v, h, w, n = len(request.cameras), request.height, request.width, request.num_points
        table = [
            FieldSpec("rgb", (v, h, w, 3), "uint8", "0..255", "picture", "upright, unmirrored"),
            FieldSpec("depth", (v, h, w), "float32", "m", "camera", "along the optical axis, inf for nothing"),
            FieldSpec("intrinsics", (v, 3, 3), "float32", "pixels"),
            FieldSpec("extrinsics", (v, 4, 4), "float32", "m", "robot_from_camera", "OpenCV axes"),
            FieldSpec("points", (n, 3), "float32", "m", "robot"),
            FieldSpec("points_valid", (n,), "bool", "", "", "False for padding"),
            FieldSpec("point_colors", (n, 3), "uint8", "0..255"),
            FieldSpec("views", (5, views.SIZE, views.SIZE, 4), "float32", "m", "robot", f"depth, xyz; {views.NAMES}"),
            FieldSpec("views_valid", (5, views.SIZE, views.SIZE), "bool", "", "", "False where no point is seen"),
            FieldSpec("proprio", (4,), "float32", "m, m, m, 1", "robot", ", ".join(cls.proprio_names)),
            FieldSpec("ground_truth", (21,), "float32", "m, quaternions", "robot", "hand, objects, goal"),
        ]
        return {spec.name: spec for spec in table if spec.name in request.fields}

    @classmethod
    def _check_cameras(cls, names: tuple[str, ...]) -> None:
        bases = []
        for name in names:
            try:
                base, orbit = camera.parse_camera(name)
            except ValueError as error:
                raise SpecMismatch(str(error)) from error
            if base not in cls.cameras:
                raise UnknownName("MetaWorld camera", base, cls.cameras)
            if orbit is not None and base in ("behindGripper", "gripperPOV"):
                raise SpecMismatch(f"{base} moves with the robot and cannot be shifted around the table")
            bases.append(base)
        if len(set(bases)) < len(bases):
            raise SpecMismatch(f"{', '.join(names)}: a camera can be in one place at a time")

    @classmethod
    def instruction(cls, task: str) -> str:
        return INSTRUCTIONS[task]

    def reset(self, seed: int) -> Observation:
        self._env.seed(int(seed))
        self._raw, _ = self._env.reset()
        # Reset moves sites and bodies in the model; without this the first frame shows them where they were.
        self._mujoco.mj_forward(self._model, self._data)
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        action = self.action_spec.check(action)
        self._raw, reward, _, _, info = self._env.step(action.astype(np.float64))
        return Step(self.observe(), float(reward), bool(info["success"]))

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
        fields = self.request.fields
        observation: Observation = {}
        if "proprio" in fields or "ground_truth" in fields:
            present = self._env._get_curr_obs_combined_no_goal()
            observation["proprio"] = present[:4].astype(np.float32)
            observation["ground_truth"] = np.hstack([present, self._env._get_pos_goal()]).astype(np.float32)
        if self.request.renders:
            self._render_into(observation)
        if "intrinsics" in fields:
            observation["intrinsics"] = np.stack([self._intrinsics(c) for c in self._cameras]).astype(np.float32)
        if "extrinsics" in fields:
            observation["extrinsics"] = np.stack([self._extrinsics(c) for c in self._cameras]).astype(np.float32)
        return {name: observation[name] for name in self._specs}

    def fingerprint(self) -> str:
        simulator = f"{self.version}, mujoco=={self._mujoco.__version__}"
        if not self.request.renders:
            return f"{simulator}, no renderer"
        return f"{simulator}, {self._ensure_renderer().fingerprint()}"

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
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

    # -- pictures and points ------------------------------------------------------------------------------------

    def _ensure_renderer(self) -> Any:
        if self._renderer is None:
            from envs.mujoco_renderer import Renderer

            r = self.request
            self._renderer = Renderer(self._model, r.height, r.width, r.render, r.colour, r.geometry, r.goal_marker)
        return self._renderer

    def _half_turn(self, camera_id: int) -> bool:
        return self._model.camera(camera_id).name in UPSIDE_DOWN

    def _intrinsics(self, camera_id: int) -> np.ndarray:
        return camera.intrinsics_from_fovy(
            float(self._model.cam_fovy[camera_id]), self.request.height, self.request.width
        )

    def _extrinsics(self, camera_id: int) -> np.ndarray:
        return camera.extrinsics_from_mujoco(
            self._data.cam_xpos[camera_id], self._data.cam_xmat[camera_id], self._half_turn(camera_id)
        )

    def _back_projection(self, camera_id: int) -> points.BackProjection:
        extrinsics = self._extrinsics(camera_id)
        known = self._projections.get(camera_id)
        if known is None or not np.array_equal(known[0], extrinsics):  # wrist cameras move
            projection = points.BackProjection(
                self._intrinsics(camera_id), extrinsics, self.request.height, self.request.width,
                self._crops[camera_id],
            )  # fmt: skip
            known = self._projections[camera_id] = extrinsics, projection
        return known[1]

    def _virtual_views(self, cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cameras = {one.name: one for one in self.request.virtual or ()}
        hand = self._env.get_endeff_pos()
        there = [number for number, name in enumerate(views.NAMES) if name in cameras]
        poses = np.stack([cameras[views.NAMES[number]].pose(hand) for number in there])
        shape = (len(views.NAMES), views.SIZE, views.SIZE)
        pictures, filled = np.zeros((*shape, 4), np.float32), np.zeros(shape, bool)
        pictures[there], filled[there] = views.render_views(cloud, poses)
        return pictures, filled

    def _render_into(self, observation: Observation) -> None:
        request = self.request
        rgb, depth, clouds, colours = [], [], [], []
        for camera_id in self._cameras:
            picture, distance = self._ensure_renderer().render(self._data, camera_id)
            turned = self._half_turn(camera_id)
            if picture is not None:
                upright = picture[::-1, ::-1] if turned else picture
                # Lift3D flips MuJoCo's picture top to bottom only
                rgb.append(picture[::-1] if turned and request.image == "lift3d" else upright)
            if distance is not None:
                distance = np.ascontiguousarray(distance[::-1, ::-1]) if turned else distance
                depth.append(distance)
                if "points" in request.fields or "views" in request.fields:
                    cloud, index = self._back_projection(camera_id)(distance)
                    clouds.append(cloud)
                    if picture is not None:
                        colours.append(upright.reshape(-1, 3)[index])
        if rgb:
            observation["rgb"] = np.stack(rgb)
        if depth:
            observation["depth"] = np.stack(depth)
        if "views" in request.fields:
            merged = views.cap(views.voxel_grid(np.concatenate(clouds)))
            observation["views"], observation["views_valid"] = self._virtual_views(merged)
        if "points" in request.fields:
            cloud = clouds[0] if len(clouds) == 1 else np.concatenate(clouds)
            chosen = points.sample(cloud, request.num_points, request.sampler)
            observation["points"], observation["points_valid"] = points.pad(cloud[chosen], request.num_points)
            if colours:
                colour = np.concatenate(colours)[chosen]
                observation["point_colors"] = points.pad(colour, request.num_points)[0]
