"""Whatever can change a number changes the name of the number, or is on a reviewed list of what cannot.

The lists are the test: a field that is added to settings, cards or heads is in neither and fails, until somebody has
thought about it.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.data.collect_demos import demo_path
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.instructions import Language
from benchmark.settings.load import load_settings
from benchmark.settings.policy import WINDOW, PolicyConfig
from benchmark.settings.protocol import Protocol
from benchmark.settings.runtime import Runtime
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from envs.class_facts import NoSimulator
from envs.crop import Crop
from envs.identity import later, named_by
from envs.spec import ObservationRequest
from methods.card import FixedPointInput, ImageInput, MethodCard, MethodOption, PointInput, VectorInput, WeightFile
from methods.policy_card import OF_A_POLICY, PolicyCard
from methods.weights import Weights

CANNOT_MATTER: dict[type, dict[str, str]] = {
    Settings: {
        "env_python": "which interpreter; what is installed in it is named by version",
        "method_options": "each method's own choice of them is in the cell",
        "head_asked": "only says whether a method's own head may take its place",
        "policy_options": "what is chosen is in the head, and in the method's options of a whole policy",
    },
    Suite: {
        "title": "words",
        "source": "words",
        "tasks": "which tasks there are; a cell names its own",
        "observation": "as it is resolved it is in the request",
        "stores": "what demonstrations hold, which their hash names",
        "shift": "retests beside the record, named by themselves",
        "joint": "a joint cell names all of its tasks",
    },
    Protocol: {"title": "words", "source": "words"},
    HeadConfig: {},
    PolicyConfig: {
        "policy": "where the file lies; its content is named",
        "card": "whether it is whole is named",
        "weights": "where the file lies; the cell names its content (`policy_weights`)",
    },
    PolicyCard: {
        "representation": "the text of the class is named, and whether it is whole",
        "token_sets": "the text of the class, or its version, is named",
        "as_head": "another policy, which is named by itself",
        "beside": "another policy, which is named by itself",
        "begins_as": "whose weights fit; what it begins with is named by its content",
        **dict.fromkeys(WINDOW, "as the run has it, it is in the head"),
    },
    DiffusionConfig: {},
    Runtime: {
        "device": "rounds otherwise; the record says which",
        "workers": "episodes are the same with any number",
        "threads": "rounds otherwise; the record says how many",
        "worker_timeout": "when a hung simulator is replaced",
        "weights_dir": "where weights are; their content is named",
        "keep_actions": "what is kept beside the record, not what is played",
        "resident_gb": "where training data lies (tests/data/test_residence.py: equal records)",
        "log": "curves beside the record (tests/experiment/test_live_log.py: equal records)",
        "keep_frame_mb": "whether observations are stored (tests/data/test_encode_while_rendering.py: equal records)",
    },
    Language: {},
    TaskRules: {},
    MethodCard: {
        "title": "words",
        "summary": "words",
        "kind": "a group in lists",
        "paper": "words",
        "licence": "words",
        "parameters": "a count that a test compares",
        "parameters_source": "words",
        "notes": "words",
        "weights": "where files come from; what is loaded is named by its content",
        "options": "what can be chosen; what is chosen is named",
        "head": "the cell's head is named",
        "requires": "how packages are installed; their versions are named",
        "reported_as": "where a table shows it",
        "layout": "the observation names it",
    },
    ImageInput: {},
    PointInput: {},
    FixedPointInput: {},
    VectorInput: {},
    WeightFile: dict.fromkeys(
        ("filename", "url", "licence", "sha256", "size", "non_commercial", "note"), "the content of files is named"
    ),
    MethodOption: dict.fromkeys(
        ("name", "default", "allowed", "meaning", "random", "changes"), "what is chosen is named"
    ),
    Weights: {"label": "the content of files is named, and random weights are"},
    Cell: {
        "settings": "its parts are looked at by themselves",
        "method": "the card's name and its code are named",
        "method_name": "made from the card's name and options",
    },
    ObservationRequest: {},
}


def other(value: Any, name: str) -> Any:
    """Another value of the same kind that the dataclass accepts."""
    known: dict[str, Any] = {
        "success": "last-step",
        "select": "last",
        "activation": "relu",
        "init": "default",
        "precision": "bf16",
        "condition": "tokens",
        "sampler": "ddpm",
        "schedule": "linear",
        "prediction": "sample",
        "text": "clip",
        "channels": (8, 16),
        "betas": (0.5, 0.6),
        "batch_size": {"2d": 8, "3d": 8},
        "render": "fast",
        "image": "lift3d",
        "layout": "dome",
        "evaluate_every": 5,
        "training": "frozen",
        "batch": "2d",
        "normalization": "none",
        "field": "proprio",
        "resize": "stretch",
        "interpolation": "bilinear",
        "input": None,
        "observes": ("rgb",),
        "instructions": {"near": ("a", "b", "c")},
        "fields": ("points", "points_valid", "rgb"),
        "cameras": ("corner2",),
        "crop": Crop((0, 0, 0), (1, 1, 1)),
        "sizes": (("corner", 9, 9),),
        "code": {"source": "b"},
        "options": {"kl": "2"},
        "past_actions": 3,
        "virtual": (),
        "width": 512,
        "heads": 2,
        "env": "tests/toy_env.py:Toy",
        "stop_after_success": 7,
        "horizon": 300,
        "min_success_steps": 3,
        "clip_actions": True,
        "frame_every": 4,
    }
    second: dict[str, Any] = {
        "training": "end-to-end",
        "observes": ("points",),
        "input": VectorInput("proprio", "none"),
        "init": "orthogonal",
        "activation": "selu",
        "field": "ground_truth",
        "heads": 4,
        "width": 128,
        "condition": "pooled",
        "sampler": "ddim",
        "normalization": "limits",
        "resize": "none",
        "batch": "3d",
        "interpolation": "bicubic",
    }
    if name in known:
        return known[name] if known[name] != value else second[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return (*value, 7)
    raise AssertionError(f"no other value for {name}={value!r}")


def identity_of(settings: Settings, **changes: Any) -> dict[str, Any]:
    cell = make_cells(SETTINGS, ["reach"], [changes.pop("method", "dp3")], [0])[0]
    return dataclasses.replace(cell, settings=settings, **changes).identity()


def check(kind: type, value: Any, identity: Callable[[Any], dict[str, Any]]) -> None:
    """Each field of `value` in turn has another value: its identity differs, if the field is not on the list."""
    before, listed = identity(value), CANNOT_MATTER[kind]
    names = {field.name for field in dataclasses.fields(value)}
    assert set(listed) <= names, "the list names a field that is not there"
    for field in dataclasses.fields(value):
        if field.name in listed:
            continue
        changed = dataclasses.replace(value)
        object.__setattr__(changed, field.name, other(getattr(value, field.name), field.name))  # past the checks
        assert identity(changed) != before, f"{kind.__name__}.{field.name} changes a number and not its name"


SETTINGS = load_settings("metaworld-15", "clar", "mlp")
TOY_POLICY = f"{Path(__file__).parents[1] / 'policy' / 'toy_policy.py'}:OverFeatures"


def test_every_number_of_a_protocol() -> None:
    check(Protocol, SETTINGS.protocol, lambda p: identity_of(dataclasses.replace(SETTINGS, protocol=p)))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mlp", "bnmlp", "diffusion"])
def test_every_number_of_a_head(head: str) -> None:
    settings = load_settings("metaworld-15", "clar", head)
    check(type(settings.head), settings.head, lambda h: identity_of(dataclasses.replace(settings, head=h)))


def test_every_number_of_a_policy_in_the_place_of_a_head() -> None:
    policy = PolicyConfig("mine", TOY_POLICY, 4, 1, 2, 1, -1, -1.0, "mine", {"source": "a"}, {"kl": "1"})
    check(PolicyConfig, policy, lambda h: identity_of(dataclasses.replace(SETTINGS, head=h), method="state"))
    assert set(CANNOT_MATTER[PolicyCard]) == OF_A_POLICY


def test_the_settings_and_how_it_is_computed() -> None:
    check(Runtime, SETTINGS.runtime, lambda r: identity_of(dataclasses.replace(SETTINGS, runtime=r)))
    assert {f.name for f in dataclasses.fields(Settings)} == {
        "suite",
        "protocol",
        "head",
        "runtime",
        *CANNOT_MATTER[Settings],
    }


def test_the_suite_its_name_its_simulator_and_its_instructions() -> None:
    whole = load_settings("metaworld-multitask", "quick", "mlp", ["suite.language.text=hash"])

    def identity(suite: Suite) -> dict[str, Any]:
        return make_cells(dataclasses.replace(whole, suite=suite), None, ["state"], [0])[0].identity()

    assert whole.suite.language is not None
    renamed, simulator = (dataclasses.replace(whole.suite, **c) for c in ({"name": "x"}, {"env": TOY_OF_THREE}))
    assert identity(renamed) != identity(whole.suite) != identity(simulator)
    told = dataclasses.replace(whole.suite.language, held_out=1)
    assert identity(dataclasses.replace(whole.suite, language=told)) != identity(whole.suite)
    assert {f.name for f in dataclasses.fields(Suite)} == {
        "name",
        "env",
        "language",
        "rules",
        "task_rules",
        *CANNOT_MATTER[Suite],
    }
    before = whole.suite.language.identity(())
    for field, value in (("text", "clip"), ("held_out", 1), ("instructions", {"reach": ("a", "b", "c")})):
        changed = dataclasses.replace(whole.suite.language)
        object.__setattr__(changed, field, value)
        assert changed.identity(()) != before, field
    assert whole.suite.language.identity(("sha",)) != before, "the content of the text encoder's files"
    assert {f.name for f in dataclasses.fields(Language)} == {"text", "held_out", "instructions"}


@pytest.mark.slow
def test_every_rule_of_a_suite_and_of_a_task() -> None:
    def identity(rules: TaskRules) -> dict[str, Any]:
        return identity_of(dataclasses.replace(SETTINGS, suite=dataclasses.replace(SETTINGS.suite, rules=rules)))

    def of_task(rules: TaskRules) -> dict[str, Any]:
        suite = dataclasses.replace(SETTINGS.suite, task_rules={"hammer": rules})
        return identity_of(dataclasses.replace(SETTINGS, suite=suite))

    check(TaskRules, TaskRules(), identity)
    check(TaskRules, TaskRules(), of_task)
    assert identity(TaskRules()) == of_task(TaskRules()) == identity_of(SETTINGS), "nothing said is nothing named"


TOY_OF_THREE = f"{Path(__file__).parents[1] / 'toy_env.py'}:ThreeTasks"


def test_files_and_options_are_named_by_what_is_loaded_and_chosen() -> None:
    for kind in (WeightFile, MethodOption):
        assert {field.name for field in dataclasses.fields(kind)} == set(CANNOT_MATTER[kind])


@pytest.mark.parametrize("method", ["dp3", "state", "r3m-resnet18", "clamp", "clar-small"])
def test_every_field_of_a_card(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_cells(SETTINGS, ["reach"], [method], [0], None if method in ("dp3", "state") else "random")[0]
    kind, card = cell.representation, cell.representation.card

    def identity(changed: MethodCard) -> dict[str, Any]:
        monkeypatch.setattr(kind, "card", changed)
        return cell.identity()

    check(MethodCard, card, identity)
    if card.input is not None:
        check(type(card.input), card.input, lambda i: identity(dataclasses.replace(card, input=i)))
    monkeypatch.undo()


def test_a_cell_its_weights_and_options() -> None:
    (cell,) = make_cells(SETTINGS, ["reach"], ["clar-small"], [0], "random")
    before = cell.identity()
    for changes in ({"task": "hammer"}, {"seed": 1}, {"options": {"norm": "x"}}, {"weights": Weights("none")}):
        assert dataclasses.replace(cell, **changes).identity() != before, changes
    two = [Weights("same", known=(("same.pt", digest),)) for digest in ("a", "b")]
    assert two[0].identity() != two[1].identity(), "another content under one name of a file"
    policy = PolicyConfig("mine", TOY_POLICY, 4, 1, 2, 1, -1, -1.0, "mine", {"source": "a"})
    over = dataclasses.replace(cell, settings=dataclasses.replace(SETTINGS, head=policy))
    begun = [dataclasses.replace(over, policy_weights=one).identity() for one in (*two, Weights("random"))]
    assert all(one != other for one, other in itertools.combinations([over.identity(), *begun], 2))
    named = {"task", "seed", "options", "weights", "text_weights", "policy_weights"}
    assert {f.name for f in dataclasses.fields(Cell)} == {*named, *CANNOT_MATTER[Cell]}
    assert {f.name for f in dataclasses.fields(Weights)} == {"label", "files", "known"}


def test_every_option_of_an_observation() -> None:
    fields = ("points", "points_valid", "point_colors", "rgb", "views", "views_valid")
    request = ObservationRequest(fields, ("corner",), crop=Crop((0, 0, 0), (2, 2, 2)))
    check(ObservationRequest, request, lambda r: r.canonical())


def test_versions_of_the_simulator_are_its_own_interpreters(tmp_path: Path) -> None:
    """Another interpreter with another mujoco: neither the identity nor the demonstrations are the parent's."""
    before = identity_of(SETTINGS)
    assert set(before["env"]["packages"]) == {"metaworld", "mujoco", "fpsample"}
    assert "fpsample" not in identity_of(SETTINGS, method="state")["env"]["packages"], "nothing is sampled"
    installed = tmp_path / "mujoco-9.9.9.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mujoco\nVersion: 9.9.9\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho a banner\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    there = identity_of(dataclasses.replace(SETTINGS, env_python=str(python)))
    assert there["env"]["packages"]["mujoco"] == "9.9.9"
    assert {**there, "env": None} == {**before, "env": None}
    own, other = (demo_path(tmp_path, "s", "metaworld", "reach", SETTINGS.protocol, p) for p in (None, str(python)))
    assert own != other
    same = identity_of(dataclasses.replace(SETTINGS, env_python=sys.executable))
    assert same == before, "which interpreter it is does not matter, what is in it does"


@pytest.mark.parametrize(
    ("python", "words"),
    [("/bin/false", "has no metaworld that could be run"), ("/nowhere/python", "cannot be asked which metaworld")],
)
def test_an_interpreter_without_the_simulator_is_named(python: str, words: str) -> None:
    with pytest.raises(NoSimulator, match=f"{python} {words}"):
        identity_of(dataclasses.replace(SETTINGS, env_python=python))


def test_a_field_that_comes_later_stays_out_while_it_has_its_default() -> None:
    @dataclasses.dataclass(frozen=True)
    class Old:
        epochs: int

    @dataclasses.dataclass(frozen=True)
    class New:
        epochs: int
        ema: float = later(0.0)

    assert named_by(New(3)) == named_by(Old(3)) == {"epochs": 3}
    assert named_by(New(3, 0.9)) == {"epochs": 3, "ema": 0.9}
