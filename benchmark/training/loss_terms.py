"""The terms of a policy's loss: that they are what the contract says, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from methods.errors import BadMethod
from methods.policy import Policy


def checked(policy: Policy, terms: Any) -> dict[str, Tensor]:
    """The terms, if they are scalars by name. Raises `BadMethod`; whether they are finite is seen later."""
    kind = type(policy).__name__
    if not isinstance(terms, dict) or not all(isinstance(name, str) for name in terms):
        raise BadMethod(f"losses of {kind} gives a {type(terms).__name__}, a dict of scalars by name is expected")
    if not terms:
        raise BadMethod(f"losses of {kind} gives no term: an empty dict trains nothing")
    for name, value in terms.items():
        if not isinstance(value, Tensor) or value.dim():
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise BadMethod(f"the term {name} of {kind} is {found}, a scalar tensor is expected: take its mean or sum")
    return terms


@dataclass
class Sums:
    """Of an epoch so far, each step weighted by its batch. terms: of a loss of several. samples: their number."""

    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    terms: dict[str, Tensor] = field(default_factory=dict)
    samples: int = 0

    def add(self, loss: Tensor, terms: Mapping[str, Tensor], rows: int) -> None:
        self.loss = self.loss.to(loss.device) + loss * rows
        for name, value in terms.items():
            self.terms[name] = self.terms.get(name, torch.zeros((), device=loss.device)) + value * rows

    def mean(self, value: Tensor) -> float:
        return float(value) / self.samples

    def state(self) -> dict[str, Any]:
        return {"loss": self.loss, "terms": self.terms, "samples": self.samples}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Sums:
        return cls(state["loss"], dict(state["terms"]), state["samples"])
