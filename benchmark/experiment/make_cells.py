"""The cells of a command: every combination of task, method and seed, checked before any work is done."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.count_cells import refuse_too_many
from benchmark.experiment.live_log import check_log
from benchmark.experiment.pretrained_actions import check_actions
from benchmark.experiment.pretrained_views import check_views
from benchmark.records.pretraining_card import Source, seen_tasks
from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.instructions import Language, text_weights
from benchmark.settings.labels import base_of, named_in_paths
from benchmark.settings.load import choices, kind_of_data, load_head
from benchmark.settings.machine import resolve_device
from benchmark.settings.policy import WEIGHTS, WINDOW, WITHOUT, PolicyConfig, policy_config
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from envs.description import interpreter_setting
from envs.errors import SpecMismatch
from envs.registry import ENVS
from envs.render import choose_backend
from methods.action_terms import loss_terms, scalings
from methods.card import MethodCard
from methods.code import refuse_edited
from methods.errors import WeightsMissing
from methods.policy_card import PolicyCard
from methods.registry import class_of, policy_class
from methods.weight_places import weights_folder
from methods.weights import NONE, PUBLISHED, RANDOM, Weights, choose_weights


def make_cells(
    settings: Settings,
    tasks: list[str] | None,
    methods: list[str],
    seeds: Sequence[int],
    weights: str | Weights | None = None,
) -> list[Cell]:
    """Every combination, tasks innermost last: all seeds of a task follow each other, so its data is prepared once.

    weights: None for the published ones, `random`, a file, or weights that were chosen already.

    Raises `UnknownName` for an unknown task or method, `SpecMismatch` where a method cannot see what it needs and
    `WeightsMissing` or `BadWeights` for its weights: all of it before any work is done.
    """
    from methods.base import has_tokens

    if not seeds:
        raise ConfigError("no seeds: --seeds takes 0, 0,1,2 or 0:3")
    refuse_too_many(settings, tasks, methods, seeds)
    folder = weights_folder(settings.runtime.weights_dir)
    language = settings.suite.language
    text = text_weights(language, folder)
    variants: dict[str, Any] = {}
    for method in methods:
        card = class_of(method).card
        refuse_edited(method)
        same = next((other for other in variants if class_of(other).card.name == card.name), None)
        if same is not None:
            raise ConfigError(f"{method} and {same} are both called {card.name}: give one of their cards another name")
        try:
            options = card.choose_options({**settings.method_options, **_own_options(settings, card)})
        except ValueError as error:
            raise ConfigError(str(error)) from error
        chosen = weights if isinstance(weights, Weights) else choose_weights(card.under(options), weights, folder)
        label = method_label(card.name, options, chosen, language)
        named_in_paths("the method's label", label)
        variants[method] = (label, options, chosen, text)
    for task in settings.suite.cells(tasks):
        named_in_paths("the cell's tasks,", task)
    settings_of = {method: _with_own_head(settings, method) for method in methods}
    begun = policy_weights(settings.head, folder)
    cells = [
        Cell(settings_of[method], task, method, label, seed, options, chosen, text, begun)
        for task in settings.suite.cells(tasks)
        for method, (label, options, chosen, text) in variants.items()
        for seed in seeds
    ]
    for cell in cells:
        _check_not_seen(cell)
    for cell in {cell.method: cell for cell in cells}.values():
        cell.specs()
        check_views(cell)
        check_actions(cell)
        head = cell.settings.head
        _check_parts(cell)
        if isinstance(head, PolicyConfig) and not head.whole:
            refuse_edited(head.policy)
            _check_sets(cell)
        if isinstance(head, PolicyConfig):
            _check_policy(cell, head)
        if isinstance(head, DiffusionConfig) and head.condition == "tokens" and not has_tokens(cell.representation):
            raise SpecMismatch(f"{cell.method_name} keeps no tokens, only one feature: use head.condition=pooled")
    for cell in cells:  # a task may have a horizon of its own
        check_chunk(cell)
    return cells


def policy_weights(head: HeadConfig | DiffusionConfig | PolicyConfig, folder: Path) -> Weights:
    """What a policy over a representation begins with. Raises `WeightsMissing` or `BadWeights`."""
    if not isinstance(head, PolicyConfig) or not head.weights:
        return Weights(NONE)
    card: MethodCard = policy_class(head.policy).card
    assert isinstance(card, PolicyCard)
    if card.begins_as:  # what it has without pre-training is that policy's, and lies in its folder
        whole = policy_class(card.begins_as).card
        known = {option.name for option in whole.options}
        card = whole.under({name: value for name, value in head.options.items() if name in known})
    also = policy_class(head.policy).card.under(head.options).weights  # beside those that are said
    if also and head.weights in (WITHOUT, RANDOM):
        said = ",".join(f"policy.{name}={value}" for name, value in sorted(head.options.items()))
        raise ConfigError(f"{said} takes a part of a pre-trained policy: give policy.weights=FILE, not {head.weights}")
    try:
        found = choose_weights(card, None if head.weights == WITHOUT else head.weights, folder)
        if also:
            found = Weights(found.label, (*choose_weights(card, None, folder).files, *found.files))
        return found
    except WeightsMissing as error:
        raise WeightsMissing(str(error).replace("--weights ", "policy.weights=")) from error


def _with_own_head(settings: Settings, method: str) -> Settings:
    """A policy that brings its own head gets it. Raises `ConfigError` where another was asked for by name."""
    card = class_of(method).card
    if isinstance(card, PolicyCard):
        return _of_whole(settings, method, card)
    own = card.head
    if own is None or own == base_of(settings.head.name):
        return settings
    if settings.head_asked:
        raise ConfigError(
            f"{method} brings its own head, {own}, and cannot take {settings.head.name}: leave --head and head.* out, "
            f"or change its own with --head {own} head.KEY=VALUE"
        )
    return dataclasses.replace(settings, head=load_head(own))


def _of_whole(settings: Settings, method: str, card: PolicyCard) -> Settings:
    """Of a policy in the place of a method, with `policy.KEY=VALUE`. Raises `ConfigError` where a head was named."""
    if card.representation:
        raise ConfigError(f"{method} is a policy over a representation: give it as --policy, and --method NAME with it")
    if settings.head_asked and not isinstance(settings.head, PolicyConfig):
        raise ConfigError(f"{method} is a whole policy and takes no head: leave --head and head.* out")
    if isinstance(settings.head, PolicyConfig) and not settings.head.whole:
        raise ConfigError(f"{method} is a whole policy, over which {settings.head.policy} cannot stand")
    if isinstance(settings.head, PolicyConfig):
        return dataclasses.replace(settings, head=dataclasses.replace(settings.head, policy=method))
    return dataclasses.replace(settings, head=policy_config(method, card, settings.policy_options, {}))


def _own_options(settings: Settings, card: MethodCard) -> dict[str, Any]:
    """Of a whole policy, the options among `policy.KEY=VALUE`. Raises `ConfigError` for those that nothing reads."""
    given = settings.policy_options
    if isinstance(card, PolicyCard) and not card.representation:
        if WEIGHTS in given:
            raise ConfigError(f"{card.name} is a whole policy: its weights are given as --weights, not policy.weights")
        return {key: value for key, value in given.items() if key not in WINDOW}
    if given and not isinstance(settings.head, PolicyConfig):
        raise ConfigError(f"policy.{next(iter(given))} changes nothing without --policy")
    return {}


def check_chunk(cell: Cell) -> None:
    """Raises `ConfigError` for a chunk that reaches past the end of every episode from its first step on."""
    head, horizon = cell.settings.head, max(cell.settings.of_task(task).horizon for task in cell.tasks)
    ahead = 1 if isinstance(head, HeadConfig) else head.chunk - head.lead
    if ahead > horizon:
        raise ConfigError(
            f"{cell.label}: a chunk of {ahead} actions is longer than an episode, which has {horizon} at "
            "most; make the chunk shorter"
        )


def _check_parts(cell: Cell) -> None:
    """Raises `BadTerms` for a loss or scaling that is not of this simulator's action, before any work."""
    protocol, action = cell.settings.protocol, cell.settings.simulator().action_spec
    terms = loss_terms(protocol.action_loss, action)
    scalings(protocol.action_scaling, action, "none")
    head = cell.settings.head
    if terms and isinstance(head, DiffusionConfig) and head.prediction == "epsilon":
        raise ConfigError("protocol.action_loss scores actions: it takes head.prediction=sample, which predicts them")


def _check_sets(cell: Cell) -> None:
    """Raises `SpecMismatch` where a policy looks at tokens that its representation does not keep."""
    from methods.base import Representation, has_tokens

    card = cell.cards[-1]
    assert isinstance(card, PolicyCard)
    wanted, kind = card.token_sets, cell.representation
    if not wanted:
        raise SpecMismatch(f"{card.name} stands over a representation and names no token_sets on its card")
    other = [name for name in wanted if name not in ("pooled", "tokens")]
    if "tokens" in wanted and not has_tokens(kind):
        raise SpecMismatch(f"{cell.method_name} keeps no tokens, which {card.name} looks at")
    if other and kind.token_set is Representation.token_set:
        raise SpecMismatch(f"{cell.method_name} has no token set {other[0]}, which {card.name} looks at")


def _check_policy(cell: Cell, head: PolicyConfig) -> None:
    """Raises `BadMethod` for a window, an action or terms that the policy does not do, before any work."""
    from benchmark.policy.build import window_of
    from methods.policy import PolicySpecs

    protocol, action = cell.settings.protocol, cell.settings.simulator().action_spec
    said = protocol.action_loss, protocol.action_scaling
    policy_class(head.policy).check(PolicySpecs(cell.specs(), action, 0, window_of(head), *said))


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
    """What would stop every cell stops before the first: no such device, GL library, package, log or simulator."""
    resolve_device(cells[0].settings.runtime)
    check_log(cells[0].settings.runtime.log)
    here = cells[0].settings.env_python is None  # another interpreter chooses what it draws with
    if here and any(cell.request.renders for cell in cells):
        choose_backend()
    for cell in {cell.method: cell for cell in cells}.values():
        for package, install in (pair for card in cell.cards for pair in card.requires):
            if importlib.util.find_spec(package) is None:
                raise ConfigError(f"{cell.method_name} needs the package {package}, which is not installed: {install}")
    python = cells[0].settings.env_python
    if python and not shutil.which(python):
        raise ConfigError(f"{interpreter_setting(cells[0].settings.suite.env)}={python} is no program that can be run")
    cells[0].settings.simulator().versions()


def _check_not_seen(cell: Cell) -> None:
    """A task that an encoder was pre-trained on would not be scored like the others. Raises `ConfigError`."""
    for file in (*cell.weights.files, *cell.policy_weights.files):
        refuse_seen(cell, seen_tasks(file), f"{file} was")


def refuse_seen(cell: Cell, seen: Mapping[str, Sequence[Source]], whose: str) -> None:
    """seen: task -> where a pre-training has demonstrations of it from. whose: "FILE was", the beginning of what is
    said. Raises `ConfigError`.
    """
    for task in cell.tasks:
        for source in seen.get(task, ()):
            if _of_another_simulator(source.name, cell.settings.suite.env, source.env):
                continue
            raise ConfigError(
                f"{whose} pre-trained on demonstrations of {task} ({source.name}), so its number there "
                "would not compare; pre-train on data without the task (`bench list data`)"
            )


def _of_another_simulator(source: str, env: str, seen_in: str | None = None) -> bool:
    """Whether a task of shipped data only shares its name with one of `env`: MetaWorld and ALOHA have a drawer-open
    each. (The port of RLBench's tasks is not another simulator here.) Of what is somebody's own nobody knows.

    seen_in: the source's simulator, where that is known.
    """
    kind = seen_in or (kind_of_data(source) if source in choices("data") else None)
    return kind in ENVS and env in ENVS and not env.startswith(kind) and not kind.startswith(env)
