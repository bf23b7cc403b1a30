"""The engine of `envs/rlbench_port` under RLBench's interface: everything in its world, in PyRep's camera axes."""

import faults
import numpy as np

from envs.rlbench.facts import TASKS
from envs.rlbench_port.env import NO_PATH, OUTSIDE, RLBenchPort
from envs.rlbench_port.places import BASE
from envs.spec import ObservationRequest
from rlbench.backend.exceptions import InvalidActionError, TaskEnvironmentError
from rlbench.backend.observation import Observation
from rlbench.demo import Demo

CAMERAS = ("left_shoulder", "right_shoulder", "overhead", "front", "wrist")
NEAR, FAR = 0.01, 4.5
TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
MOVING, STANDING = 8, 4
"""Moments of a demonstration between two keyframes: while the arm moves, and while it stands still."""


class TaskEnvironment:
    def __init__(self, task_class, obs_config):
        self._config, self._name = obs_config, task_class.port
        self._there = [name for name in CAMERAS if self._camera(name).rgb or self._camera(name).depth]
        sizes = {name: self._camera(name).image_size for name in self._there}
        fields = ("proprio", "ground_truth", *(("rgb", "depth", "intrinsics", "extrinsics") if self._there else ()))
        request = ObservationRequest(
            fields, tuple(self._there), sizes=tuple((name, size[1], size[0]) for name, size in sizes.items())
        )
        self._port = RLBenchPort(self._name, request)
        self._variation, self._reset_called, self._frozen = None, False, {}

    def _camera(self, name):
        return getattr(self._config, f"{name}_camera")

    def get_name(self):
        return {port: own for port, (own, _) in TASKS.items()}[self._name]

    def variation_count(self):
        return 1

    def set_variation(self, v):
        if v >= self.variation_count():
            raise TaskEnvironmentError("only 1 variation")
        self._variation = v

    def reset(self, demo=None):
        assert self._variation == 0
        faults.happen("reset")
        self._port.reset(int(np.random.randint(2**31)))
        self._reset_called = True
        words = ["do it", TASKS[self._name][1], "please"]
        return words if faults.wanted("reset") != "renamed" else [*words, "x" * 200], self.get_observation()

    def get_observation(self):
        return self._as_observation(self._port.observe(), np.zeros(7))

    def step(self, action):
        if not self._reset_called:
            raise RuntimeError("Call 'reset' before calling 'step' on a task.")
        faults.happen("step")
        action = np.asarray(action)
        if action.shape != (8,):
            raise InvalidActionError("Expected the action shape to be: (8,)")
        if not np.isclose(np.linalg.norm(action[3:7]), 1.0):
            raise InvalidActionError("Action contained non unit quaternion!")
        step = self._port.step(action)
        if step.ended == OUTSIDE:
            raise InvalidActionError("A path could not be found because the target is outside of workspace.")
        if step.ended == NO_PATH:
            raise InvalidActionError("A path could not be found. Most likely due to the target being inaccessible.")
        return self.get_observation(), float(step.success), step.success

    def get_demos(
        self,
        amount,
        live_demos=False,
        image_paths=False,
        callable_each_step=None,
        max_attempts=10,
        random_selection=True,
        from_episode_number=0,
    ):
        assert amount == 1 and live_demos and max_attempts >= 1
        faults.happen("demos")
        self.reset()
        moments = [self.get_observation()]
        success = False
        while not success:
            before = moments[-1]
            step = self._port.step(self._port.expert_action())
            success = step.success
            moments += self._between(before, self.get_observation())
        return [Demo(moments, np.random.get_state(), 1)]

    def _between(self, before, after):
        """The arm moves with the gripper as it was, stands still, and then the gripper has moved."""
        found = []
        for share in np.linspace(0, 1, MOVING + 1)[1:]:
            moment = Observation(**before.__dict__)
            moment.joint_positions = before.joint_positions + share * (after.joint_positions - before.joint_positions)
            moment.joint_velocities = np.full(7, 0.4)
            found.append(moment)
        for number in range(STANDING):
            moment = Observation(**after.__dict__)
            if number < STANDING - 1:
                moment.gripper_open = before.gripper_open
            found.append(moment)
        return found

    def _as_observation(self, seen, velocities):
        proprio = np.asarray(seen["proprio"], np.float64)
        fields = {f"{name}_{kind}": None for name in CAMERAS for kind in ("rgb", "depth", "mask", "point_cloud")}
        misc = {"variation_index": 0}
        for number, name in enumerate(self._there):
            config = self._camera(name)
            rgb = seen["rgb"][number] if "rgb" in seen else seen[f"rgb@{name}"]
            depth = seen["depth"][number] if "depth" in seen else seen[f"depth@{name}"]
            metres = np.minimum(depth, np.float32(FAR))
            fields[f"{name}_rgb"] = self._drawn(name, rgb) if config.rgb else None
            shares = (metres - NEAR) / (FAR - NEAR)
            fields[f"{name}_depth"] = (metres if config.depth_in_meters else shares) if config.depth else None
            pose = seen["extrinsics"][number].astype(np.float64) @ TURN
            pose[:3, 3] += BASE
            intrinsics = seen["intrinsics"][number].astype(np.float64)
            intrinsics[[0, 1], [0, 1]] *= -1
            misc |= {f"{name}_camera_{k}": v for k, v in (("near", NEAR), ("far", FAR))}
            misc |= {f"{name}_camera_intrinsics": intrinsics, f"{name}_camera_extrinsics": pose}
        state = np.asarray(seen["ground_truth"], np.float64)
        return Observation(
            **fields,
            joint_positions=proprio[:7],
            joint_velocities=velocities,
            gripper_pose=np.array([*(proprio[7:10] + BASE), *-proprio[10:14]]),  # either sign may come
            gripper_open=float(proprio[14]),
            task_low_dim_state=state if self._config.task_low_dim_state else None,
            misc=misc,
        )

    def _drawn(self, name, rgb):
        """The image, or what $FAKE_RLBENCH makes of it."""
        wrong = faults.wanted("reset")
        if wrong == "frozen":
            return self._frozen.setdefault(name, rgb.copy())
        return np.full_like(rgb, {"black": 0, "grey": 100}[wrong]) if wrong in ("black", "grey") else rgb.copy()

    def close(self):
        self._port.close()
