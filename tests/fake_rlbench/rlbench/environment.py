import os

from rlbench.observation_config import ObservationConfig
from rlbench.task_environment import TaskEnvironment

_launched = []


class Environment:
    """One in a process, as PyRep has it."""

    def __init__(
        self,
        action_mode,
        dataset_root="",
        obs_config=ObservationConfig(),  # noqa: B008 (theirs is one for all, too)
        headless=False,
        static_positions=False,
        robot_setup="panda",
        randomize_every=None,
        frequency=1,
        visual_randomization_config=None,
        dynamics_randomization_config=None,
        attach_grasped_objects=True,
        shaped_rewards=False,
        arm_max_velocity=1.0,
        arm_max_acceleration=4.0,
    ):
        assert headless and not action_mode.arm_action_mode.absolute_mode
        self._obs_config = obs_config
        self._task = None

    def launch(self):
        if _launched:
            raise RuntimeError("Already called launch!")
        if not os.environ.get("DISPLAY"):
            os.abort()  # as Qt's xcb does
        _launched.append(self)

    def get_task(self, task_class):
        assert _launched == [self]
        self._task = TaskEnvironment(task_class, self._obs_config)
        return self._task

    def shutdown(self):
        if self._task is not None:
            self._task.close()
        _launched.clear()
