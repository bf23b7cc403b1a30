"""Every registered method keeps the contract, one rule at a time."""

from __future__ import annotations

import pytest

from baselines import BASELINES
from methods import METHODS
from methods.registry import method_class, table
from methods.testing import RepresentationContract

RULES = [name for name in dir(RepresentationContract) if name.startswith("test_")]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=pytest.mark.slow) if m == "pointnet" else m for m in sorted({**METHODS, **BASELINES})],
)
def test_method(method: str, rule: str) -> None:
    contract = RepresentationContract()
    contract.method = method  # type: ignore[misc]
    getattr(contract, rule)()


@pytest.mark.parametrize("method", sorted({**METHODS, **BASELINES}))
def test_the_card_carries_its_registry_name(method: str) -> None:
    card = method_class(method).card
    assert card.name == method
    assert card.summary
    assert card.paper
    assert card.licence
    assert card.parameters is not None, "say the count, or why not, and its source"


def test_all_are_listed() -> None:
    assert set(table()) >= {"state", "random-features", "proprio-only", "pointnet", "dp3"}
