"""How weights are moved: optimiser, its rates over time, and the average that is played.

A policy says its groups of parameters, each with rate, decay and schedule (`methods.policy.ParameterGroup`), and
whether an average is played. The direct heads take the protocol's recipe (Adam, at a constant rate unless it has a
schedule). A diffusion head
brings its own: AdamW, warmed up and lowered along a cosine, and an exponential moving average of the weights (Diffusion
Policy, DP3).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from benchmark.settings.protocol import Protocol
from envs.errors import UserError
from methods.policy import Average, ParameterGroup, Policy, Recipe


class BadGroups(UserError, ValueError):
    """A policy whose parameter groups leave out what is trained, or name it twice."""


class Optimization:
    """The optimiser with its groups' rates over time, and the average, if the policy plays one."""

    def __init__(
        self, policy: Policy, optimizer: torch.optim.Optimizer, groups: Sequence[ParameterGroup], protocol: Protocol
    ) -> None:
        self.policy, self.optimizer, self.groups, self.protocol = policy, optimizer, groups, protocol
        self.named = {name: p for name, p in policy.named_parameters() if p.requires_grad}
        self.ema: Any = None
        average = policy.average
        if average is None and protocol.average_power and any(group.follows_protocol for group in groups):
            average = Average(protocol.average_power)
        if average is not None:
            from diffusers.training_utils import EMAModel

            self.ema = EMAModel(
                list(self.named.values()),
                decay=0.9999,
                use_ema_warmup=True,
                inv_gamma=1.0,
                power=average.power,
                update_after_step=average.after,
            )

    def before_step(self, step: int, total: int, epoch: int = 0) -> None:
        """Set the rates of step `step` (from 0) of `total`, in the epoch `epoch` (from 0)."""
        of_epoch = epoch_factor(self.protocol, epoch)
        for group, settings in zip(self.optimizer.param_groups, self.groups, strict=True):
            factor = _factor(settings, step, total)
            group["lr"] = settings.learning_rate * (factor * of_epoch if settings.follows_protocol else factor)

    def after_step(self) -> None:
        if self.ema is not None:
            self.ema.step(list(self.named.values()))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the policy has the weights that are to be played."""
        if self.ema is None:
            yield
            return
        parameters = list(self.named.values())
        self.ema.store(parameters)
        self.ema.copy_to(parameters)
        try:
            yield
        finally:
            self.ema.restore(parameters)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside policy and optimiser."""
        if self.ema is None:
            return {}
        averaged = dict(zip(self.named, self.ema.shadow_params, strict=True))
        return {"averaged": averaged, "averaged_steps": self.ema.optimization_step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        if self.ema is not None:
            self.ema.optimization_step = state["averaged_steps"]
            for shadow, name in zip(self.ema.shadow_params, self.named, strict=True):
                shadow.copy_(state["averaged"][name])


def epoch_factor(protocol: Protocol, epoch: int) -> float:
    """What the protocol's rate is multiplied by in an epoch (from 0), as torch's LinearLR from 0.1 and then
    CosineAnnealingLR, both stepped once an epoch (Lift3D's recipe for RLBench)."""
    warm = protocol.warmup_epochs
    if epoch < warm:
        return 0.1 + 0.9 * epoch / warm
    if protocol.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (epoch - warm) / (protocol.epochs - warm)))


def _factor(group: ParameterGroup, step: int, total: int) -> float:
    warm = group.warmup_steps
    if step < warm:
        return (step + 1) / warm
    if group.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def make_optimization(policy: Policy, protocol: Protocol) -> Optimization:
    """Raises `BadGroups`."""
    recipe = Recipe(protocol.learning_rate, protocol.encoder_lr_multiplier, protocol.weight_decay)
    groups = policy.parameter_groups(recipe)
    _check(policy, groups)
    kind = torch.optim.Adam if policy.optimizer == "adam" else torch.optim.AdamW
    plain = [
        {"params": list(g.parameters), "lr": g.learning_rate, "weight_decay": g.weight_decay, "betas": g.betas}
        for g in groups
    ]
    return Optimization(policy, kind(plain, fused=True), groups, protocol)


def _check(policy: Policy, groups: Sequence[ParameterGroup]) -> None:
    """Every parameter that is trained stands in one group, and in no two."""
    named = {id(p): name for name, p in policy.named_parameters()}
    found = Counter(id(p) for group in groups for p in group.parameters)
    kind = type(policy).__name__
    if unknown := [one for one in found if one not in named]:
        raise BadGroups(f"{len(unknown)} parameters in the groups of {kind} are none of its own")
    if twice := [named[one] for one, times in found.items() if times > 1]:
        raise BadGroups(f"{twice[0]} stands in two parameter groups of {kind}: name each parameter once")
    missing = [name for name, p in policy.named_parameters() if p.requires_grad and id(p) not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise BadGroups(
            f"{missing[0]}{more} stands in no parameter group of {kind}, and asks for gradients: name it, or switch "
            "its requires_grad off"
        )
