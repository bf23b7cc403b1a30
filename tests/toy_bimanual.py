"""A tiny bimanual MuJoCo scene of our own: two arms of six joints and a gripper each touch a ball each.

It has what ALOHA's tasks have (14 joint targets, two cameras, one cloud, CLAMP's virtual views with one behind each
hand, planned demonstrations of different lengths) and needs no files but this one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from envs.action_parts import ActionPart
from envs.base import ExpertEpisode, Step
from envs.crop import Crop
from envs.mujoco_sensors import Sensors, sensor_specs
from envs.pictures import field_names
from envs.render import choose_backend
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest
from envs.view_layouts import virtual_cameras
from envs.views import VirtualCamera

ARMS = ("left", "right")
JOINTS = tuple(f"{arm}_{number}" for arm in ARMS for number in range(7))
NEAR = 0.03
"""Metres between a tip and its ball that count as touching."""
AXES = ("0 0 1", "0 1 0", "0 1 0", "1 0 0", "0 1 0", "1 0 0")
BENT = np.array([0, -0.7, 0.8, 0, 0.1, 0])
"""About which the goals are drawn: over the table."""
LENGTHS = (0.02, 0.15, 0.15, 0.03, 0.05, 0.04)
VIRTUAL = (
    VirtualCamera("overhead", (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0)),
    VirtualCamera("back-right", (0.5, 0.4, 0.7), (0.0, 0.0, 0.0)),
    VirtualCamera("front-left", (-0.5, -0.4, 0.7), (0.0, 0.0, 0.0)),
    *(VirtualCamera(f"wrist-{arm}", (-0.1, 0.0, 0.08), (0.1, 0.0, 0.0), on_hand=True) for arm in ARMS),
)


def _arm(name: str, x: float, turn: float) -> str:
    """A chain of capsules along its own x axis; the last body has a finger that slides."""
    text, close = "", ""
    for number, (axis, length) in enumerate(zip(AXES, LENGTHS, strict=True)):
        before = LENGTHS[number - 1] if number else 0.0
        place = f'pos="{x} 0 0.1" euler="0 0 {turn}"' if not number else f'pos="{before} 0 0"'
        text += (
            f'<body {place}><joint name="{name}_{number}" axis="{axis}" range="-2 2" damping="0.3" armature="0.02"/>'
            f'<geom type="capsule" size="0.012" fromto="0 0 0 {length} 0 0" mass="0.05" contype="0" conaffinity="0"/>'
        )
        close += "</body>"
    text += (
        f'<body pos="{LENGTHS[-1]} 0 0"><joint name="{name}_6" type="slide" axis="0 1 0" range="0 0.03" damping="1"/>'
        f'<geom type="sphere" size="0.012" mass="0.01" contype="0" conaffinity="0"/></body><site name="{name}_tip" '
        f'pos="{LENGTHS[-1]} 0 0"/>'
    )
    return text + close


def _scene() -> str:
    """Two arms that face each other, two balls, two cameras over opposite corners."""
    actuators = "".join(
        f'<position joint="{name}" kp="{20 if name.endswith("6") else 8}" ctrlrange="-2 2"/>' for name in JOINTS
    )
    cameras = "".join(
        f'<camera name="{name}" pos="{s * 0.5} {s * 0.4} 0.7" xyaxes="{s * -0.62} {s * 0.78} 0 '
        f'{s * -0.58} {s * -0.46} 0.67"/>'
        for name, s in (("front-left", -1), ("back-right", 1))
    )
    balls = "".join(
        f'<body name="{arm}_ball" mocap="true"><geom type="sphere" size="0.02" contype="0" conaffinity="0" '
        f'rgba="{"1 0 0" if arm == "left" else "0 0 1"} 1"/></body>'
        for arm in ARMS
    )
    return f"""<mujoco><compiler angle="radian"/><option timestep="0.004" gravity="0 0 0"/>
<visual><quality offsamples="0"/></visual>
<statistic center="0 0 0.1" extent="1"/><worldbody><light pos="0 0 2" castshadow="false"/>{cameras}
<geom type="box" size="0.5 0.4 0.01" pos="0 0 -0.01" contype="0" conaffinity="0"/>
{_arm("left", -0.35, 0)}{_arm("right", 0.35, 3.14159265)}{balls}</worldbody><actuator>{actuators}</actuator></mujoco>"""


class Bimanual:
    """See `envs.base.Env`. action, proprio (14,): joints, radians, and the finger, metres, left then right."""

    name: ClassVar[str] = "bimanual"
    version: ClassVar[str] = "bimanual==1"
    packages: ClassVar[tuple[str, ...]] = ("mujoco",)
    tasks: ClassVar[tuple[str, ...]] = ("touch-two", "touch-again")
    """One task under two names, so that one may be pre-trained on."""
    cameras: ClassVar[tuple[str, ...]] = ("front-left", "back-right")
    camera_sizes: ClassVar[bool] = True
    provides: ClassVar[frozenset[str]] = frozenset(
        {"rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors"}
        | {"views", "views_valid", "proprio", "ground_truth"}
    )
    proprio_names: ClassVar[tuple[str, ...]] = JOINTS
    action_spec: ClassVar[ActionSpec] = ActionSpec(
        JOINTS,
        (-2.0,) * 14,
        (2.0,) * 14,
        "rad, m",
        (
            ActionPart("left_joints", 0, 6, "joint", "rad"),
            ActionPart("left_gripper", 6, 7, "gripper", "m"),
            ActionPart("right_joints", 7, 13, "joint", "rad"),
            ActionPart("right_gripper", 13, 14, "gripper", "m"),
        ),
    )

    def __init__(self, task: str, request: ObservationRequest) -> None:
        choose_backend()
        import mujoco

        self.task, self.request = task, self.resolve(request)
        self._specs, self._mujoco = self.specs(self.request), mujoco
        self.model = mujoco.MjModel.from_xml_string(_scene())
        self.data = mujoco.MjData(self.model)
        cameras = [self.model.camera(name).id for name in request.cameras]
        self.sensors = Sensors(self.model, self.data, cameras, self.request, hand=self._hands)

    @classmethod
    def resolve(cls, request: ObservationRequest) -> ObservationRequest:
        low, high = (-0.5, -0.4, 0.0), (0.5, 0.4, 0.6)
        virtual = request.virtual or virtual_cameras(request.layout, VIRTUAL, low, high)
        return dataclasses.replace(request, crop=request.crop or Crop(low, high), virtual=virtual)

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        table = [
            *sensor_specs(request),
            FieldSpec("proprio", (14,), "float32", "rad, m"),
            FieldSpec("ground_truth", (6,), "float32", "m", "robot", "both balls"),
        ]
        return {spec.name: spec for spec in table if spec.name in field_names(request)}

    @classmethod
    def instruction(cls, task: str) -> str:
        return {"touch-two": "touch both balls", "touch-again": "touch both balls again"}[task]

    @classmethod
    def objects(cls, task: str) -> tuple[tuple[str, int], ...]:
        return ("left ball", 0), ("right ball", 3)

    def _hands(self) -> dict[str, np.ndarray]:
        found = {}
        for arm in ARMS:
            site, pose = self.data.site(f"{arm}_tip"), np.eye(4)
            pose[:3, :3], pose[:3, 3] = site.xmat.reshape(3, 3), site.xpos
            found[f"wrist-{arm}"] = pose
        return found

    def reset(self, seed: int) -> Observation:
        draw = np.random.default_rng(seed)
        self.goal = np.zeros(14)
        for first in (0, 7):
            self.goal[first : first + 6] = draw.uniform(-0.4, 0.4, 6) + BENT
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.goal
        self._mujoco.mj_kinematics(self.model, self.data)
        self.data.mocap_pos[:] = [self.data.site(f"{arm}_tip").xpos for arm in ARMS]
        self.data.qpos[:] = 0
        self._mujoco.mj_forward(self.model, self.data)
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        return self.step_unseen(action)._replace(observation=self.observe())

    def step_unseen(self, action: np.ndarray) -> Step:
        self.data.ctrl[:] = np.clip(self.action_spec.check(action), -2, 2)
        for _ in range(5):
            self._mujoco.mj_step(self.model, self.data)
        self._mujoco.mj_forward(self.model, self.data)
        apart = [np.linalg.norm(self.data.site(f"{arm}_tip").xpos - self.data.body(f"{arm}_ball").xpos) for arm in ARMS]
        done = bool(max(apart) < NEAR)
        return Step({}, float(done), done)

    def observe(self) -> Observation:
        found = self.sensors.observe()
        found["proprio"] = self.data.qpos.astype(np.float32)
        found["ground_truth"] = self.data.mocap_pos.ravel().astype(np.float32)
        return {name: found[name] for name in self._specs}

    def state(self) -> np.ndarray:
        data = self.data
        return np.concatenate([data.qpos, data.qvel, data.ctrl, data.qacc_warmstart, data.mocap_pos.ravel()])

    def set_state(self, state: np.ndarray) -> None:
        *parts, balls = np.split(state, [14, 28, 42, 56])
        self.data.qpos[:], self.data.qvel[:], self.data.ctrl[:], warm = parts
        self.data.mocap_pos[:] = balls.reshape(2, 3)
        self._mujoco.mj_forward(self.model, self.data)
        self.data.qacc_warmstart[:] = warm

    def expert_episode(self, seed: int) -> ExpertEpisode:
        """Smoothly to the goal, in 25 to 45 steps by the seed, and ten steps of waiting."""
        observation = self.reset(seed)
        count = 25 + seed % 21
        rows: list[Any] = []
        for number in range(1, count + 11):
            s = min(1.0, number / count)
            action = ((3 * s * s - 2 * s**3) * self.goal).astype(np.float32)
            state = self.state()
            step = self.step(action)
            rows.append((observation, action, step.reward, step.success, state))
            observation = step.observation
        observations, actions, rewards, success, states = zip(*rows, strict=True)
        return ExpertEpisode(
            {name: np.stack([one[name] for one in observations]) for name in observation},
            np.stack(actions),
            np.array(rewards),
            np.array(success),
            np.stack(states),
        )

    def fingerprint(self) -> str:
        drawn = self.sensors.fingerprint() if self.request.renders else "no renderer"
        return f"{self.version}, mujoco {self._mujoco.__version__}, {drawn}"

    def close(self) -> None:
        self.sensors.close()
