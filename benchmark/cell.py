"""A cell: one (suite, task, method, head, seed) under one protocol; the unit of work and of result."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import load_head
from benchmark.digest import digest
from benchmark.labels import base_of
from benchmark.language import Language, text_weights
from benchmark.protocol import ConfigError, DiffusionConfig, Settings
from benchmark.report.record import SCHEMA, record_path
from benchmark.runtime import resolve_device
from benchmark.seeds import parts
from benchmark.version import HARNESS
from envs.render import choose_backend
from envs.spec import FieldSpec, ObservationRequest, SpecMismatch
from envs.versions import simulator_facts
from methods.card import PointInput, past_actions_spec
from methods.code import code_facts, refuse_edited
from methods.registry import method_class
from methods.weights import NONE, PUBLISHED, Weights, choose_weights, weights_folder

if TYPE_CHECKING:
    from methods.base import Representation


@dataclass(frozen=True)
class Paths:
    """Where things are. `out` holds results, `data` what can be made again from seeds."""

    out: Path
    data: Path

    @property
    def records(self) -> Path:
        return self.out / "records"

    @property
    def work(self) -> Path:
        return self.out / "work"


@dataclass(frozen=True)
class Cell:
    """`method` is a registered name or `path/to/file.py:Class`; `method_name` the name on its card, followed by what
    differs from the method as published: `clip+compat=lift3d`, `clar+weights=random`.

    options: the method's own, those at their default left out.
    """

    settings: Settings
    task: str
    method: str
    method_name: str
    seed: int
    options: Mapping[str, str] = field(default_factory=dict)
    weights: Weights = field(default_factory=lambda: Weights(NONE))
    text_weights: tuple[str, ...] = ()
    """sha256 of what makes features of the suite's instructions."""

    @property
    def tasks(self) -> list[str]:
        """One; several for a joint policy."""
        return parts(self.task)

    @property
    def label(self) -> str:
        return f"{self.settings.suite.name}/{self.task}/{self.method_name}/{self.settings.head.name}-s{self.seed}"

    @property
    def representation(self) -> type[Representation]:
        return method_class(self.method)

    @property
    def request(self) -> ObservationRequest:
        card = self.representation.card
        points = card.input.num_points if isinstance(card.input, PointInput) else None
        seen = tuple(name for name in card.observes if name != "past_actions")  # the runner's to give
        return self.settings.suite.request(seen, points)

    @property
    def batch_size(self) -> int:
        return self.settings.protocol.batch_size[self.representation.card.batch]

    def record(self, paths: Paths) -> Path:
        s = self.settings
        return record_path(
            paths.records, s.protocol.name, s.suite.name, self.task, self.method_name, s.head.name, self.seed
        )

    def work(self, paths: Paths) -> Path:
        return paths.work / self.record(paths).relative_to(paths.records).with_suffix("")

    def build(self, specs: Mapping[str, FieldSpec]) -> Representation:
        """The representation with its options and weights, untrained otherwise. Draws from torch's global generator."""
        representation = self.representation(specs, **self.options)
        if self.weights.files:
            representation.load_weights(self.weights.files)
        return representation

    def pretraining(self) -> dict[str, Any]:
        """`pretraining`: facts of the pre-training the weights come from; {} if it was not ours."""
        from benchmark.pretrain.loading import facts_for_record

        found = [facts for file in self.weights.files if (facts := facts_for_record(file))]
        return {"pretraining": found[0]} if found else {}

    def spoken(self) -> dict[str, Any]:
        """`text`: what made features of the instructions; {} in suites without."""
        language = self.settings.suite.language
        return {"text": {"encoder": language.text, "weights": list(self.text_weights)}} if language else {}

    def specs(self) -> dict[str, FieldSpec]:
        """Match what the method's card observes with what the simulator gives. Raises `SpecMismatch`."""
        env = self.settings.suite.env_class()
        card = self.representation.card
        missing = sorted(set(card.observes) - env.provides - {"past_actions"})
        if missing:
            raise SpecMismatch(
                f"{card.name} observes {missing}, which {env.name} cannot give (it gives {sorted(env.provides)}); "
                f"choose a suite whose simulator does, or another method (`bench list methods`)"
            )
        return env.specs(self.request) | past_actions_spec(card, env.action_spec)

    def identity(self) -> dict[str, Any]:
        """Everything the cell's numbers depend on, apart from hardware and the versions of what only rounds otherwise
        (torch, numpy, drivers), which the record keeps as provenance.

        What a card says for people (title, paper, licence, ...) is not in it; `tests/benchmark/test_identity.py` has
        the list. Raises `NoSimulator` where the simulator's interpreter cannot be asked.
        """
        card, suite = self.representation.card.as_dict(), self.settings.suite
        optional = {"options": dict(self.options), "past_actions": card["past_actions"]}
        facts = {
            "schema": SCHEMA,
            "harness": HARNESS,
            "suite": {"name": suite.name},
            "task": self.task,
            "seed": self.seed,
            "method": {key: card[key] for key in ("name", "observes", "input", "training", "batch")}
            | {"weights": self.weights.identity(), **code_facts(self.method)}
            | {key: value for key, value in optional.items() if value},
            "env": self._simulator(),
            "observation": self.request.canonical(),
            **self.settings.identity(),
        }
        if suite.language is not None:
            facts["suite"] = {**facts["suite"], "language": suite.language.identity(self.text_weights)}
        return json.loads(json.dumps(facts))  # lists, not tuples: as it will be read back

    def identity_hash(self) -> str:
        return digest(self.identity())

    def _simulator(self) -> dict[str, Any]:
        suite = self.settings.suite
        facts = dict(simulator_facts(suite.env, self.settings.env_python))
        sampled = "points" in self.request.fields and self.request.sampler == "bucket"
        fpsample = facts.pop("fpsample")
        if sampled:
            facts["packages"] = {**facts["packages"], "fpsample": fpsample}
        return {"name": suite.env_class().name, **facts}


def make_cells(settings: Settings, tasks: list[str] | None, methods: list[str], seeds: list[int],
               weights: str | Weights | None = None) -> list[Cell]:  # fmt: skip
    """Every combination, tasks innermost last: all seeds of a task follow each other, so its data is prepared once.

    weights: None for the published ones, `random`, a file, or weights that were chosen already.

    Raises `UnknownName` for an unknown task or method, `SpecMismatch` where a method cannot see what it needs and
    `WeightsMissing` or `BadWeights` for its weights: all of it before any work is done.
    """
    from methods.base import has_tokens

    if not seeds:
        raise ConfigError("no seeds: --seeds takes 0, 0,1,2 or 0:3")
    folder = weights_folder(settings.runtime.weights_dir)
    language = settings.suite.language
    text = text_weights(language, folder)
    variants: dict[str, Any] = {}
    for method in methods:
        card = method_class(method).card
        refuse_edited(method)
        same = next((other for other in variants if method_class(other).card.name == card.name), None)
        if same is not None:
            raise ConfigError(f"{method} and {same} are both called {card.name}: give one of their cards another name")
        try:
            options = card.choose_options(settings.method_options)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        chosen = weights if isinstance(weights, Weights) else choose_weights(card, weights, folder)
        label = method_label(card.name, options, chosen, language)
        variants[method] = (label, options, chosen, text)
    settings_of = {method: _with_own_head(settings, method) for method in methods}
    cells = [
        Cell(settings_of[method], task, method, variants[method][0], seed, *variants[method][1:])
        for task in settings.suite.cells(tasks)
        for method in methods
        for seed in seeds
    ]
    for cell in cells:
        _check_not_seen(cell)
    for cell in {cell.method: cell for cell in cells}.values():
        cell.specs()
        head = cell.settings.head
        if isinstance(head, DiffusionConfig) and head.condition == "tokens" and not has_tokens(cell.representation):
            raise SpecMismatch(f"{cell.method_name} keeps no tokens, only one feature: use head.condition=pooled")
    return cells


def _with_own_head(settings: Settings, method: str) -> Settings:
    """A policy that brings its own head gets it. Raises `ConfigError` where another was asked for by name."""
    own = method_class(method).card.head
    if own is None or own == base_of(settings.head.name):
        return settings
    if settings.head_asked:
        raise ConfigError(
            f"{method} brings its own head, {own}, and cannot take {settings.head.name}: leave --head and head.* out, "
            f"or change its own with --head {own} head.KEY=VALUE"
        )
    return dataclasses.replace(settings, head=load_head(own))


def method_label(name: str, options: Mapping[str, str], weights: Weights, language: Language | None = None) -> str:
    """The method's name in paths and tables; what is not as published stands after it."""
    found = [f"{key}={value}" for key, value in sorted(options.items())]
    if weights.label not in (NONE, PUBLISHED):
        found.append("weights=" + re.sub(r"[^A-Za-z0-9._-]", "_", weights.label))
    if language is not None and language.text != "clip":
        found.append(f"text={language.text}")
    return "+".join([name, *found])


def read_label(label: str, settings: Settings) -> tuple[str, str | None, Settings]:
    """A method's label taken apart: its name, its weights' label (None for the published), and the settings it says."""
    name, *found = label.split("+")
    options = dict(part.partition("=")[::2] for part in found)
    weights, text = options.pop("weights", None), options.pop("text", "clip")
    suite = settings.suite
    if suite.language is not None:
        suite = dataclasses.replace(suite, language=dataclasses.replace(suite.language, text=text))
    return name, weights, dataclasses.replace(settings, suite=suite, method_options=options)


def preflight(cells: list[Cell]) -> None:
    """What would stop every cell stops before the first: no such device, GL library, package or interpreter."""
    resolve_device(cells[0].settings.runtime)
    if any(cell.request.renders for cell in cells):
        choose_backend()
    for cell in {cell.method: cell for cell in cells}.values():
        for package, install in cell.representation.card.requires:
            if importlib.util.find_spec(package) is None:
                raise ConfigError(f"{cell.method_name} needs the package {package}, which is not installed: {install}")
    python = cells[0].settings.env_python
    if python and not shutil.which(python):
        raise ConfigError(f"env.{cells[0].settings.suite.env}.python={python} is no program that can be run")


def _check_not_seen(cell: Cell) -> None:
    """A task that an encoder was pre-trained on would not be scored like the others. Raises `ConfigError`."""
    from benchmark.pretrain.loading import seen_tasks

    for file in cell.weights.files:
        seen = seen_tasks(file)
        for task in set(cell.tasks) & set(seen):
            raise ConfigError(
                f"{file} was pre-trained on demonstrations of {task} ({seen[task]}), so its number there "
                "would not compare; pre-train on data without the task (`bench list data`)"
            )


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first few settings that differ, for a message."""
    found: list[str] = []

    def walk(a: Any, b: Any, path: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(set(a) | set(b)):
                walk(a.get(key), b.get(key), f"{path}.{key}" if path else key)
        elif a != b:
            found.append(f"{path}: {a} there, {b} here")

    walk(old, new, "")
    found.sort(key=len)  # what a person can read before hashes
    return "; ".join(found[:3]) or "the recorded schema differs"
