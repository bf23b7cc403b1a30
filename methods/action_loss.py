"""Losses of actions part by part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from envs.spec import ActionSpec
from methods.action_terms import Term


def action_losses(terms: Sequence[Term], guess: Tensor, target: Tensor, action: ActionSpec) -> dict[str, Tensor]:
    """Weighted scalars by name, of (..., A) each: one term `action`, the mean square, where no terms are given."""
    target = nearer(guess, target, action)
    if not terms:
        return {"action": functional.mse_loss(guess, target)}
    found: dict[str, Tensor] = {}
    for term in terms:
        one, other = guess[..., term.part.slice], target[..., term.part.slice]
        if term.kind == "cosine":
            value = (1 - functional.cosine_similarity(one, other, dim=-1).abs()).mean()
        else:
            value = (functional.mse_loss if term.kind == "mse" else functional.l1_loss)(one, other)
        name = term.part.name if term.part.name not in found else f"{term.part.name}_{term.kind}"
        found[name] = term.weight * value
    return found


def nearer(guess: Tensor, target: Tensor, action: ActionSpec) -> Tensor:
    """The target with its quaternions on the guess's side: q and -q are one rotation."""
    if not action.quaternions:
        return target
    target = target.clone()
    for part in action.quaternions:
        same = (guess[..., part].detach() * target[..., part]).sum(-1, keepdim=True) >= 0
        target[..., part] = torch.where(same, target[..., part], -target[..., part])
    return target
