"""Every registered method keeps the contract, one rule at a time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from baselines import BASELINES
from methods import METHODS
from methods.registry import method_class, table
from methods.testing import RepresentationContract

RULES = [name for name in dir(RepresentationContract) if name.startswith("test_")]
NAMES = {target: name for name, target in reversed({**METHODS, **BASELINES}.items())}
"""Each class under the first of its names."""

FAST = {"state", "random-features", "proprio-only", "dp3", "pointnext", "r3m-resnet18"}
TINY_VGGT = f"{Path(__file__).parent / 'tiny_vggt.py'}:TinyVGGT"


def contract(method: str) -> RepresentationContract:
    found = RepresentationContract()
    found.method = method  # type: ignore[misc]
    found.batch = 6 if method in FAST else 2  # type: ignore[misc]
    return found


def cases() -> list[object]:
    found: list[object] = []
    for name in [*sorted(NAMES.values()), TINY_VGGT]:
        marks = [] if name in FAST or name == TINY_VGGT else [pytest.mark.slow]
        absent = [p for p, _ in method_class(name).card.requires if importlib.util.find_spec(p) is None]
        if absent:
            marks.append(pytest.mark.skip(reason=f"the package {absent[0]} is not installed"))
        found.append(pytest.param(name, marks=marks, id=name.rpartition(":")[2]))
    return found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", cases())
def test_method(method: str, rule: str) -> None:
    getattr(contract(method), rule)()


@pytest.mark.parametrize(("name", "target"), sorted({**METHODS, **BASELINES}.items()))
def test_the_card_carries_its_registry_name(name: str, target: str) -> None:
    card = method_class(name).card
    assert {**METHODS, **BASELINES}[card.name] == target, "an alias leads to the class of the card's own name"
    assert card.summary
    assert card.paper
    assert card.licence
    assert card.parameters_source, "say where the count is from, or why there is none"
    assert all(file.licence for file in card.weights)
    assert all(option.default in option.allowed for option in card.options)


def test_all_are_listed() -> None:
    papers = {"clip", "r3m", "vc1", "vggt", "spa", "pointnet", "pointnet2", "pointnext", "dp3", "lift3d", "clar"}
    assert set(table()) >= {"state", "random-features", "proprio-only"} | papers
