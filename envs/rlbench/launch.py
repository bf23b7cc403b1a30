"""CoppeliaSim with RLBench's scene and one task in it. Everything of `rlbench` and `pyrep` is imported in here."""

from __future__ import annotations

import importlib.util
import json
import os
from importlib import metadata
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.rlbench.display import XServer, refuse_wrong_platform
from envs.rlbench.facts import CAMERAS, PYREP_COMMIT, RLBENCH_COMMIT, TASKS
from envs.spec import ObservationRequest


class NotInstalled(UserError, ImportError):
    """RLBench, PyRep or CoppeliaSim cannot be imported in this interpreter."""


def not_importable(why: str) -> NotInstalled:
    return NotInstalled(
        f"RLBench cannot be imported here ({why}); env.rlbench.python=PATH must lead to a Python with rlbench, pyrep "
        "and CoppeliaSim 4.1 (`bench doctor rlbench` says what is missing)"
    )


class Simulation:
    """One task in one CoppeliaSim; a process can hold one at a time, as PyRep says.

    task_environment: RLBench's `TaskEnvironment`. failed_actions: what it raises for an action that cannot be done.
    Raises `NotInstalled` and `NoDisplay`, each with what mends it.
    """

    def __init__(self, task: str, request: ObservationRequest) -> None:
        for package in ("pyrep", "rlbench"):
            if importlib.util.find_spec(package) is None:
                raise not_importable(f"there is no package {package}")
        refuse_wrong_platform()
        self.display = XServer()  # before Qt is loaded, which is at PyRep's import
        self._environment: Any = None
        try:
            self._launch(task, request)
        except BaseException:
            self.close()
            raise

    def _launch(self, task: str, request: ObservationRequest) -> None:
        if root := os.environ.get("COPPELIASIM_ROOT"):
            os.environ.setdefault("QT_QPA_PLATFORM_PLUGIN_PATH", root)
            os.environ.setdefault("QT_PLUGIN_PATH", root)
        try:
            from pyrep.errors import ConfigurationPathError, IKError
            from rlbench.action_modes.action_mode import MoveArmThenGripper
            from rlbench.action_modes.arm_action_modes import EndEffectorPoseViaPlanning
            from rlbench.action_modes.gripper_action_modes import Discrete
            from rlbench.backend.exceptions import InvalidActionError
            from rlbench.environment import Environment
            from rlbench.utils import name_to_task_class
        except ImportError as error:
            raise not_importable(str(error)) from error
        self.failed_actions: tuple[type[Exception], ...] = (InvalidActionError, ConfigurationPathError, IKError)
        self._environment = Environment(
            MoveArmThenGripper(EndEffectorPoseViaPlanning(absolute_mode=False), Discrete()),
            obs_config=observation_config(request),
            headless=True,
            arm_max_velocity=1.0,
            arm_max_acceleration=4.0,
        )
        self._environment.launch()
        self.task_environment = self._environment.get_task(name_to_task_class(TASKS[task][0]))
        self.task_environment.set_variation(0)

    def close(self) -> None:
        try:
            if self._environment is not None:
                self._environment.shutdown()
        finally:
            self._environment = None
            self.display.close()


def observation_config(request: ObservationRequest) -> Any:
    """RLBench's `ObservationConfig` for what is asked for. A new one each time: RLBench's default is one object
    that all share. RLBench removes a camera that draws nothing from the scene, so those that are asked for draw."""
    from pyrep.const import RenderMode
    from rlbench.observation_config import CameraConfig, ObservationConfig

    mode = RenderMode.OPENGL3 if request.render == "paper" else RenderMode.OPENGL
    wanted = set(request.cameras) if request.renders or {"intrinsics", "extrinsics"} & set(request.fields) else set()
    cameras = {}
    for name in CAMERAS:
        height, width = request.size_of(name) if name in wanted else (request.height, request.width)
        cameras[f"{name}_camera"] = CameraConfig(
            rgb=name in wanted and (request.colour or not request.geometry),
            depth=name in wanted and request.geometry,
            point_cloud=False,
            mask=False,
            image_size=(width, height),
            render_mode=mode,
            depth_in_meters=True,
        )
    return ObservationConfig(
        **cameras,
        joint_velocities=True,
        joint_positions=True,
        joint_forces=False,
        gripper_open=True,
        gripper_pose=True,
        task_low_dim_state=True,
    )


def described() -> str:
    """RLBench's, PyRep's and CoppeliaSim's versions, with commits where pip knows them."""
    meant = (("rlbench", RLBENCH_COMMIT), ("pyrep", PYREP_COMMIT))
    said = [f"{name} {_version(name, commit)}" for name, commit in meant]
    return ", ".join([*said, f"CoppeliaSim {coppeliasim_version()}"])


def _version(package: str, meant: str) -> str:
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"
    commit = commit_of(found)
    if commit is None:
        return f"{found.version} of unknown commit"
    return f"{found.version} at {commit[:7]}{'' if commit.startswith(meant) else f' (not {meant})'}"


def commit_of(found: metadata.Distribution) -> str | None:
    """What pip wrote down of a package that it installed from git; None where it did not."""
    try:
        said = json.loads(found.read_text("direct_url.json") or "{}")
        return str(said["vcs_info"]["commit_id"])
    except (KeyError, TypeError, ValueError):
        return None


def coppeliasim_version() -> str:
    """As the program that runs says; `unknown` where it cannot be asked."""
    try:
        from pyrep.backend import sim

        # PyRep's own function of this name leaves out the second argument, and raises
        found = sim.ffi.new("int *")
        if sim.lib.simGetInt32Parameter(sim.sim_intparam_program_version, found) < 0:
            return "unknown"
        number = int(found[0])
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    except Exception:  # of a PyRep without the call, or before a launch
        return "unknown"


def initial_state(observation: Any) -> np.ndarray:
    """RLBench's `task_low_dim_state` (D,) float64: the poses of the task's objects, in its world; D is the task's."""
    return np.asarray(observation.task_low_dim_state, np.float64).ravel()
