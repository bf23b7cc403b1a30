"""A suite: a named list of tasks with their cameras and instructions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from benchmark.settings.bounds import Range, check_bounds, described, fits, shown
from benchmark.settings.instructions import PREFIX, Language, kinds
from benchmark.settings.seeds import parts
from benchmark.settings.task_rules import TaskRules
from benchmark.system.errors import ConfigError
from envs.camera_sizes import read_sizes
from envs.crop import read_crop
from envs.description import describe
from envs.errors import SpecMismatch
from envs.names import safe_name
from envs.registry import UnknownName
from envs.spec import ObservationRequest
from envs.view_layouts import FIVE
from envs.views import LARGEST_SPLAT

OBSERVATION: Mapping[str, Any] = {
    "cameras": tuple[str, ...],
    "height": Annotated[int, Range(1, 4_096)],
    "width": Annotated[int, Range(1, 4_096)],
    "num_points": Annotated[int, Range(1, 1_000_000)],
    "splat": Annotated[int, Range(1, LARGEST_SPLAT)],
    "goal_marker": bool,
    "sampler": str,
    "render": str,
    "image": str,
}
"""What a suite can say of an observation; the crop and the sizes have readers of their own."""


@dataclass(frozen=True)
class Suite:
    """A named list of tasks with their cameras. `tasks` maps a group (easy, ...) to task names.

    shift: what else the selected checkpoint is retested under on the same episodes: further cameras, and
        `instructions=held-out` or `instructions=shuffled`; or on those of the training demonstrations,
        `seeds=training`. joint: one policy for all tasks, told which by `language`.
    rules: what an episode is, where the protocol's numbers are not this suite's; task_rules: nor the suite's a task's.
    stores: fields that demonstrations hold where a simulator restores no state, the same for all methods; where none
        are named, each method has demonstrations of its own, and stands in no table with another.
    observation: options of `envs.spec.ObservationRequest` as plain data; `crop` is `[x0, y0, z0, x1, y1, z1]` in
        metres, a name that the simulator knows, or absent for the simulator's own; `sizes` is `{camera: [height,
        width]}` of cameras whose images are not `height` x `width`.
    """

    name: str
    title: str
    env: str
    source: str
    tasks: Mapping[str, tuple[str, ...]]
    observation: Mapping[str, Any] = field(default_factory=dict)
    shift: tuple[str, ...] = ()
    joint: bool = False
    language: Language | None = None
    stores: tuple[str, ...] = ()
    rules: TaskRules = field(default_factory=TaskRules)
    task_rules: Mapping[str, TaskRules] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bounds(self, "suite")
        safe_name("suite.name", self.name)
        for task in self.task_names:
            safe_name("suite.tasks:", task)
        if not self.task_names:
            raise ConfigError("suite.tasks has no task")
        if twice := sorted({task for task in self.task_names if self.task_names.count(task) > 1}):
            raise ConfigError(f"suite.tasks names {', '.join(twice)} twice; each task is in one group, once")
        for option, hint in OBSERVATION.items():
            if option in self.observation and not fits(self.observation[option], hint):
                value = shown(self.observation[option])
                raise ConfigError(f"suite.observation.{option}={value} is not allowed: it must be {described(hint)}")
        for option, reader in (("crop", read_crop), ("sizes", read_sizes)):
            try:
                reader(self.observation.get(option))
            except ValueError as error:
                raise ConfigError(f"suite.observation.{option}: {error}") from error
        if unknown := sorted(set(self.task_rules) - set(self.task_names)):
            raise ConfigError(f"suite.task_rules: {unknown[0]} is none of the suite's tasks")
        untold = [task for task in self.task_names if self.language and task not in self.language.instructions]
        if untold:
            raise ConfigError(f"suite.language.instructions has none for {', '.join(untold)}")
        for shift in self.shift:
            there = kinds(self.language)
            if shift.startswith(PREFIX) and shift[len(PREFIX) :] not in there:
                raise ConfigError(
                    f"suite.shift: {shift} cannot be played here; there {'are' if there else 'is'} "
                    f"{', '.join(PREFIX + kind for kind in there) or 'no such'} (suite.language)"
                )
        if self.joint and self.language is None:
            raise ConfigError(f"{self.name} is joint: without suite.language a policy cannot know which task it is in")

    @property
    def task_names(self) -> list[str]:
        return [task for group in self.tasks.values() for task in group]

    def identity(self) -> dict[str, Any]:
        """What of its rules a number depends on; {} where all are the protocol's."""
        tasks = {task: rules.said for task, rules in self.task_rules.items() if rules.said}
        return {name: said for name, said in (("rules", self.rules.said), ("task_rules", tasks)) if said}

    def select(self, tasks: list[str] | None) -> list[str]:
        """The named tasks in the suite's order, or all. Raises `UnknownName`."""
        for task in tasks or []:
            if task not in self.task_names:
                raise UnknownName(f"task of {self.name}", task, self.task_names)
        return [task for task in self.task_names if not tasks or task in tasks]

    def cells(self, tasks: list[str] | None) -> list[str]:
        """The tasks of cells: each of its own, or all of them together as `button-press+reach`."""
        if not self.joint:
            return self.select(tasks)
        return ["+".join(self.select([one for task in tasks for one in parts(task)] if tasks else None))]

    def stored(self, request: ObservationRequest, python: str | None = None) -> ObservationRequest:
        """What demonstrations hold for a method with this request, where a simulator restores no state: the suite's
        `stores`, or just that.

        python: as of `request`. Raises `SpecMismatch` for a request that the stored fields do not serve.
        """
        if not self.stores:
            return request
        found = self.request(self.stores, None, python)
        served = set(request.fields) <= set(found.fields)
        if not served or dataclasses.replace(found, fields=request.fields).canonical() != request.canonical():
            raise SpecMismatch(
                f"{self.name} stores {', '.join(found.fields)} of {found.num_points} points with its demonstrations, "
                f"and this method observes {', '.join(request.fields)}, of {request.num_points} points: other "
                "demonstrations would be needed (suite.stores, suite.observation)"
            )
        return found

    def request(
        self, observes: tuple[str, ...], num_points: int | None, python: str | None = None, layout: str = FIVE
    ) -> ObservationRequest:
        """What the simulator has to compute for a method that observes these fields (and for the head: proprio).

        layout: of virtual views. python: the simulator's interpreter, None for this one. The simulator's own choices
        are filled in as numbers. Raises `ConfigError` or `SpecMismatch`.
        """
        options = dict(self.observation)
        options["cameras"] = tuple(options.get("cameras", ()))
        options["crop"] = read_crop(options.get("crop"))
        options["sizes"] = read_sizes(options.get("sizes"))
        options["layout"] = layout
        if num_points is not None:
            options["num_points"] = num_points
        try:
            request = ObservationRequest(fields=tuple(dict.fromkeys((*observes, "proprio"))), **options)
        except TypeError as error:
            raise ConfigError(f"suite.observation: {error}") from error
        return describe(self.env, python).resolve(request)
