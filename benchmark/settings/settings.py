"""All that a run was told, apart from method, tasks and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.policy import PolicyConfig
from benchmark.settings.protocol import Protocol
from benchmark.settings.runtime import Runtime
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules, settled
from envs.description import EnvDescription, describe
from envs.identity import named_by
from envs.spec import ObservationRequest
from envs.view_layouts import FIVE


@dataclass(frozen=True)
class Settings:
    """All that `bench run` was told, apart from method, tasks and seeds."""

    suite: Suite
    protocol: Protocol
    head: HeadConfig | DiffusionConfig | PolicyConfig
    runtime: Runtime
    env_python: str | None
    method_options: Mapping[str, Any] = field(default_factory=dict)
    head_asked: bool = False
    """Whether the head was named or changed on purpose; if not, a method's own head takes its place."""
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    """`policy.KEY=VALUE`, for a method that is a whole policy; of another the head has them."""

    def __post_init__(self) -> None:
        for task in self.suite.task_names:  # what contradicts is said before any work
            self.of_task(task)

    def of_task(self, task: str) -> Protocol:
        """The protocol with what the suite says of an episode, or of one of this task. Raises `ConfigError`."""
        return settled(self.protocol, self.suite.rules, self.suite.task_rules.get(task, TaskRules()))

    def simulator(self) -> EnvDescription:
        """As the interpreter says that holds it."""
        return describe(self.suite.env, self.env_python)

    def request(self, observes: tuple[str, ...], num_points: int | None, layout: str = FIVE) -> ObservationRequest:
        """As `Suite.request`."""
        return self.suite.request(observes, num_points, self.env_python, layout)

    def stored(self, request: ObservationRequest) -> ObservationRequest:
        """As `Suite.stored`."""
        return self.suite.stored(request, self.env_python)

    def identity(self) -> dict[str, Any]:
        """The part that a number depends on, the suite apart, of which each cell names what it uses."""
        protocol = {key: value for key, value in named_by(self.protocol).items() if key not in ("title", "source")}
        return {"protocol": protocol, "head": self.head.identity(), "precision": self.runtime.precision}
