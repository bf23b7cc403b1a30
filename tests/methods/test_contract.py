"""Every registered method keeps the contract, one rule at a time.

Large networks with fewer equal blocks: every block has the same code, so what one rule says of two it says of twelve.
How many parameters there are is counted on the whole, and tests/methods/test_certificates.py makes each of them whole.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from baselines import BASELINES
from envs.spec import FieldSpec
from methods import METHODS
from methods.base import Representation
from methods.behaviour import shorten
from methods.frozen import count_parameters
from methods.registry import method_class, table
from methods.testing import SMALL, RepresentationContract

RULES = [name for name in dir(RepresentationContract) if name.startswith("test_")]
NAMES = {target: name for name, target in reversed({**METHODS, **BASELINES}.items())}
"""Each class under the first of its names."""

WHOLE = {"state", "random-features", "proprio-only", "dp3", "pointnext", "r3m-resnet18"}
FAST = {"state", "random-features", "proprio-only", "dp3", "dp3-policy", "clar-small", "pointnet"}
TINY_VGGT = f"{Path(__file__).parent / 'tiny_vggt.py'}:TinyVGGT"


class ShortContract(RepresentationContract):
    """Of a network with two blocks of each row of equal ones; its parameters are counted on the whole."""

    def kind(self) -> type[Representation]:
        whole = super().kind()
        config = getattr(whole, "config", None)
        if not hasattr(config, "depth"):
            return whole
        return type(whole.__name__, (whole,), {"config": dataclasses.replace(config, depth=2)})

    def new(self, specs: Mapping[str, FieldSpec]) -> Representation:
        representation = super().new(specs)
        shorten(representation)
        return representation

    def test_parameter_count(self) -> None:
        kind = super().kind()
        if kind.card.parameters is not None:
            with torch.device("meta"):  # nothing is drawn
                whole = kind(self.specs(), **self.options)
            assert count_parameters(whole) == kind.card.parameters, f"published: {kind.card.parameters_source}"

    def test_cameras_of_different_sizes(self) -> None:
        if (self.kind().card.parameters or 0) <= SMALL:
            super().test_cameras_of_different_sizes()


def contract(method: str, kind: type[RepresentationContract] = RepresentationContract) -> RepresentationContract:
    found = kind()
    found.method = method  # type: ignore[misc]
    found.batch = 6 if method in WHOLE else 2  # type: ignore[misc]
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
    whole = method in WHOLE or method == TINY_VGGT
    getattr(contract(method, RepresentationContract if whole else ShortContract), rule)()


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
