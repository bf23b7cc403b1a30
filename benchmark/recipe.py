"""How weights are moved: optimiser, its rate over time, and the average that is played.

The direct heads take the protocol's recipe (Adam at a constant rate). A diffusion head brings its own: AdamW, warmed
up and lowered along a cosine, and an exponential moving average of the weights (Diffusion Policy, DP3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from benchmark.policy.diffusion import DiffusionHead
from benchmark.policy.policy import Policy
from benchmark.protocol import DiffusionConfig, Protocol


class Recipe:
    """Constant rate, no average."""

    def __init__(self, policy: Policy, optimizer: torch.optim.Optimizer) -> None:
        self.policy, self.optimizer = policy, optimizer

    def before_step(self, step: int, total: int) -> None:
        """Set the rates of step `step` (from 0) of `total`."""

    def after_step(self) -> None: ...

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the policy has the weights that are to be played."""
        yield

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside policy and optimiser."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None: ...


class DiffusionRecipe(Recipe):
    def __init__(self, policy: Policy, optimizer: torch.optim.Optimizer, config: DiffusionConfig) -> None:
        from diffusers.training_utils import EMAModel

        super().__init__(policy, optimizer)
        self.config = config
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.named = {name: p for name, p in policy.named_parameters() if p.requires_grad}
        self.ema: Any = None
        if config.ema_power:
            self.ema = EMAModel(
                list(self.named.values()), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=config.ema_power
            )

    def before_step(self, step: int, total: int) -> None:
        warm = self.config.warmup_steps
        if step < warm:
            factor = (step + 1) / warm
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def after_step(self) -> None:
        if self.ema is not None:
            self.ema.step(list(self.named.values()))

    @contextmanager
    def averaged(self) -> Iterator[None]:
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
        if self.ema is None:
            return {}
        averaged = dict(zip(self.named, self.ema.shadow_params, strict=True))
        return {"averaged": averaged, "averaged_steps": self.ema.optimization_step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        if self.ema is not None:
            self.ema.optimization_step = state["averaged_steps"]
            for shadow, name in zip(self.ema.shadow_params, self.named, strict=True):
                shadow.copy_(state["averaged"][name])


def make_recipe(policy: Policy, protocol: Protocol) -> Recipe:
    own = policy.head.config if isinstance(policy.head, DiffusionHead) else None
    rate = own.learning_rate if own else protocol.learning_rate
    encoder = [p for p in policy.representation.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": _trained(policy.head), "lr": rate}]
    if encoder:
        groups.append({"params": encoder, "lr": rate * protocol.encoder_lr_multiplier})
    if own is None:
        adam = torch.optim.Adam(groups, lr=rate, weight_decay=protocol.weight_decay, fused=True)
        return Recipe(policy, adam)
    adamw = torch.optim.AdamW(groups, lr=rate, betas=own.betas, weight_decay=own.weight_decay, fused=True)
    return DiffusionRecipe(policy, adamw, own)


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]
