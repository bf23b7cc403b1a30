"""The numbers of the experiment and the suite it is run on, as typed data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from benchmark.settings.bounds import Count, Factor, Range, Rate, check_bounds, one_of, shown
from benchmark.settings.labels import named_in_paths
from benchmark.system.errors import ConfigError
from envs.identity import later
from methods.action_terms import LOSSES, SCALINGS, split_terms

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Protocol:
    """See `benchmark/conf/protocol/clar.yaml` for each number's source."""

    name: str
    title: str
    source: str
    train_demos: Annotated[int, Range(1, 100_000)]
    valid_demos: Annotated[int, Range(0, 100_000)]
    horizon: Annotated[int, Range(1, 100_000)]
    min_success_steps: Annotated[int, Range(0, 100_000)]
    max_expert_failures: Annotated[int, Range(0, 1_000_000)]
    epochs: Count
    evaluate_every: Count
    rollouts: Annotated[int, Range(1, 10_000)]
    """More would reuse the seeds of the next evaluation."""
    retest_rollouts: Annotated[int, Range(1, 10_000)]
    success: str
    select: str
    learning_rate: Rate
    encoder_lr_multiplier: Factor
    weight_decay: Factor
    batch_size: Mapping[str, Annotated[int, Range(2, 65_536)]]
    clip_actions: bool
    stop_after_success: Annotated[int, Range(0, 100_000)] | None = later(None)
    """A demonstration ends this many steps after the first with success; None: it goes on to the horizon."""
    action_loss: str = later("")
    action_scaling: str = later("")
    """Of the action's parts, in the words of `methods.action_terms`; nothing: the head's own."""
    steps: Annotated[int, Range(0, 1_000_000_000)] = later(0)
    """Optimiser steps in place of epochs, whose number then says nothing; `evaluate_every` counts them. 0: epochs."""
    schedule: str = later("constant")
    """Of the rate of what takes the protocol's, epoch by epoch after the warm-up: `constant`, or `cosine`, to zero."""
    warmup_epochs: Annotated[int, Range(0, 100_000)] = later(0)
    """In which that rate rises evenly, from a tenth. A shorter training ends within them."""
    frame_every: Annotated[int, Range(1, 100_000)] = later(1)
    """A policy is trained on each demonstration's first step and every so-manieth after it; what it is to do there, a
    chunk too, are the actions of every step."""
    average_power: Annotated[float, Range(0, 1)] = later(0.0)
    """Of the moving average of the weights that is played (`methods.policy.Average`), where a policy has the protocol's
    rate. 0: the trained weights are."""

    def __post_init__(self) -> None:
        check_bounds(self, "protocol")
        named_in_paths("protocol.name", self.name)
        if self.steps and self.evaluate_every > self.steps:
            raise ConfigError(
                f"protocol.evaluate_every={self.evaluate_every} is more than protocol.steps={self.steps}: "
                "no checkpoint would ever be evaluated"
            )
        if not self.steps and self.evaluate_every > self.epochs:
            raise ConfigError(
                f"protocol.evaluate_every={self.evaluate_every} is more than protocol.epochs={self.epochs}: "
                "no checkpoint would ever be evaluated"
            )
        if self.min_success_steps > self.horizon:
            raise ConfigError(
                f"protocol.min_success_steps={self.min_success_steps} is more than protocol.horizon={self.horizon}: "
                "no demonstration would ever be kept"
            )
        if self.stop_after_success is not None and self.min_success_steps > self.stop_after_success + 1:
            raise ConfigError(
                f"stop_after_success={self.stop_after_success} leaves {self.stop_after_success + 1} steps with success "
                f"in a demonstration, and min_success_steps={self.min_success_steps} are wanted: none would be kept"
            )
        one_of("protocol.schedule", self.schedule, SCHEDULES)
        if self.steps and (self.schedule != "constant" or self.warmup_epochs):
            raise ConfigError(
                f"protocol.schedule={self.schedule} with warmup_epochs={self.warmup_epochs} counts epochs, and "
                f"protocol.steps={self.steps} leaves none to count: set protocol.steps=0, or schedule=constant and "
                "warmup_epochs=0"
            )
        split_terms(self.action_loss, LOSSES, "protocol.action_loss")
        split_terms(self.action_scaling, SCALINGS, "protocol.action_scaling")
        one_of("protocol.success", self.success, ("any-step", "last-step"))
        one_of("protocol.select", self.select, ("first", "last", "final"))
        if set(self.batch_size) != {"2d", "3d"}:
            raise ConfigError(f"protocol.batch_size={shown(self.batch_size)} is not allowed: it has 2d and 3d")

    @property
    def demos(self) -> int:
        return self.train_demos + self.valid_demos

    @property
    def evaluation_epochs(self) -> list[int]:
        """After which epochs there is an evaluation; under a protocol of steps the evaluations' own numbers."""
        if self.steps:
            return list(range(1, self.steps // self.evaluate_every + 1))
        return list(range(self.evaluate_every, self.epochs + 1, self.evaluate_every))

    @property
    def unit(self) -> str:
        """What training is counted in."""
        return "steps" if self.steps else "epochs"

    @property
    def length(self) -> int:
        """Of training, in epochs or steps."""
        return self.steps or self.epochs

    def optimizer_steps(self, batches: int) -> int:
        """Of training to its end, where a pass over the samples has so many batches."""
        return self.steps or self.epochs * batches
