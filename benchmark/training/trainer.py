"""Behaviour cloning: the policy's loss on the expert's actions, under the policy's or the protocol's recipe.

The order of samples and every random draw of an epoch come from (seed, epoch), so training that was stopped after an
epoch continues to the same weights as training that was not. Under a protocol of steps the order comes from (seed,
pass) and the draws from (seed, step), so it may be stopped after any step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from benchmark.data.samples import Samples
from benchmark.policy.policy import PolicyDiverged
from benchmark.settings import seeds
from benchmark.settings.protocol import Protocol
from benchmark.system.files import write_atomically
from benchmark.training.checkpoint import load_checkpoint, played_digest
from benchmark.training.loss_terms import Sums, checked
from benchmark.training.optimizer import make_optimization
from benchmark.training.state_digest import state_digest
from methods.errors import no_gradient, not_finite
from methods.policy import Policy, total

GROWN, FAST = 1e4, 0.1
"""A feature whose largest value grows by so much in an epoch, and a learning rate above that, are a divergence: the
optimiser moves each parameter by up to the learning rate in one step."""


PART, SECONDS = 100, 15.0
"""Steps, or seconds, after which a protocol of steps shows progress and may save. No number depends on them."""


@dataclass
class Watched:
    """Of one step: its loss, the largest value of what the representation gave, and its terms, if there are several."""

    loss: Tensor
    largest: Tensor
    terms: Mapping[str, Tensor]


def _largest(encoded: Tensor | None) -> Tensor:
    """Of absolute values, without waiting for the device; NaN where there is one. 0 where nothing was encoded."""
    if encoded is None or not encoded.numel():
        return torch.zeros(())
    return torch.linalg.vector_norm(encoded.float().flatten(), float("inf"))


class Trainer:
    """Policy, optimiser and progress of one training run.

    Under a protocol of steps an epoch is what is trained between two evaluations: `protocol.evaluate_every` steps.
    history: one dict for each finished epoch with `train_loss`, at evaluations `valid_loss`, of a loss of several terms
    their means as `terms`, and under a protocol of steps `step`.
    """

    def __init__(
        self, policy: Policy, protocol: Protocol, seed: int, batch_size: int, device: torch.device, bf16: bool
    ) -> None:
        self.policy, self.protocol, self.seed = policy, protocol, seed
        self.batch_size, self.device, self.bf16 = batch_size, device, bf16
        self.optimization = make_optimization(policy, protocol)
        self.optimizer = self.optimization.optimizer
        self.epoch = 0
        self.steps = 0
        self.history: list[dict[str, Any]] = []
        self.sums = Sums()
        self._order: tuple[int, list[Tensor]] | None = None
        self._watched: list[Watched] = []
        policy.steps_without_gradient = 0  # a probe may have trained a step

    @property
    def loss(self) -> float:
        """The mean of the epoch under way, else of the last one."""
        return self.sums.mean(self.sums.loss) if self.sums.samples else self.history[-1]["train_loss"]

    def advance(self, samples: Samples) -> int:
        """An epoch, or a part of one (`PART`); returns how many epochs or steps there are now. Raises as
        `train_epoch`."""
        if not self.protocol.steps:
            self.train_epoch(samples)
            return self.epoch
        self._train_part(samples, PART)
        return self.steps

    def train_epoch(self, samples: Samples) -> float:
        """One pass over the samples, or the rest of the steps before the next evaluation; returns the mean loss. If
        that is not finite, raises `BadFeature` where the method's feature was the first that was not, else
        `PolicyDiverged`.
        """
        before = self.epoch
        while self.protocol.steps and self.epoch == before:
            self._train_part(samples, PART)
        if not self.protocol.steps:
            torch.manual_seed(seeds.training_seed(self.seed, "noise", self.epoch))
            rows = len(samples.rows(self.policy))
            self._train(samples, self._batches(samples, self.epoch), self._length(rows))
            self.sums.samples = rows
            self._end_epoch()
        return self.history[-1]["train_loss"]

    def _train_part(self, samples: Samples, most: int) -> None:
        """At most so many steps, none beyond the next evaluation. Any step begins with a draw of its own, so that
        training goes on from wherever it was stopped."""
        end = min(self.steps + most, (self.epoch + 1) * self.protocol.evaluate_every)
        chosen = []
        for step in range(self.steps, end):
            if self._order is None or step // len(self._order[1]) != self._order[0]:
                count = len(self._order[1]) if self._order is not None else len(self._batches(samples, 0))
                self._order = (step // count, self._batches(samples, step // count))
            chosen.append(self._order[1][step % len(self._order[1])])
        before = self.steps
        self._train(samples, chosen, self.protocol.steps, SECONDS)
        self.sums.samples += sum(map(len, chosen[: self.steps - before]))
        if len(self._watched) >= PART:
            self._look_back()
        if self.steps == (self.epoch + 1) * self.protocol.evaluate_every:
            self._end_epoch()

    def _length(self, rows: int) -> int:
        """Steps of the whole training, for schedules of rates; a last batch of one sample, left out, counts."""
        return self.protocol.optimizer_steps(-(-rows // self.batch_size))

    def _batches(self, samples: Samples, number: int) -> list[Tensor]:
        """The rows of the `number`-th pass over the samples, batch by batch."""
        order = torch.Generator().manual_seed(seeds.training_seed(self.seed, "order", number))
        trained = samples.rows(self.policy)
        batches = trained[torch.randperm(len(trained), generator=order)].split(self.batch_size)
        # BatchNorm cannot normalise a single sample
        return [rows for rows in batches if len(rows) > 1 or len(trained) == 1]

    def _train(self, samples: Samples, batches: Sequence[Tensor], steps: int, seconds: float | None = None) -> None:
        """One step for each batch, of a training of `steps` in all. With `seconds`, steps draw each for themselves,
        and after that time no further one begins."""
        self.policy.train()
        begun = time.monotonic()
        ready = samples.batches(batches, self.device, self.policy)
        for rows, (inputs, actions, padded) in zip(batches, ready, strict=True):
            if seconds is not None:
                torch.manual_seed(seeds.training_seed(self.seed, "noise", self.steps))
            self.policy.encoded = None
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                terms = checked(self.policy, self.policy.losses(inputs, actions, padded))
                loss = total(terms)
            known = {name: value.detach() for name, value in terms.items()} if len(terms) > 1 else {}
            self._watched.append(Watched(loss.detach(), _largest(self.policy.encoded), known))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimization.before_step(self.steps, steps, self.epoch)
            self.optimizer.step()
            self.optimization.after_step()
            self.sums.add(loss.detach(), known, len(rows))
            self.steps += 1
            if seconds is not None and time.monotonic() - begun > seconds:
                break
        if not math.isfinite(float(self.sums.loss)):
            self._refuse(self._watched)

    def _look_back(self) -> None:
        """Over the steps of an epoch, or `PART` of them: has a gradient reached the representation in any?"""
        if self.policy.steps_without_gradient == len(self._watched) > 0:
            raise no_gradient(type(self.policy.representation), self.epoch + 1)
        self._watched, self.policy.steps_without_gradient = [], 0

    def _end_epoch(self) -> None:
        self._look_back()
        self.epoch += 1
        found: dict[str, Any] = {"train_loss": self.sums.mean(self.sums.loss)}
        if self.sums.terms:
            found["terms"] = {name: self.sums.mean(value) for name, value in self.sums.terms.items()}
        if self.protocol.steps:
            found["step"] = self.steps
        self.history.append(found)
        self.sums = Sums()

    def _refuse(self, watched: Sequence[Watched]) -> NoReturn:
        if self._encoders(watched):
            raise not_finite(type(self.policy.representation), f"in epoch {self.epoch + 1} of training")
        first = next((one.terms for one in watched if not math.isfinite(float(one.loss))), {})
        odd = [f"{name} is {float(value)}" for name, value in first.items() if not math.isfinite(float(value))]
        of = f" ({', '.join(odd)})" if odd else ""
        raise PolicyDiverged(
            f"the training loss is {float(self.sums.loss)}{of} in epoch {self.epoch + 1}: training diverged. Try a "
            f"smaller protocol.learning_rate (it is {self.protocol.learning_rate})"
        )

    def _encoders(self, watched: Sequence[Watched]) -> bool:
        """Whether the method's feature became NaN or infinite by itself, not because training had diverged before.

        watched: of each step of an epoch, its loss and the feature's largest value.
        """
        losses = torch.stack([one.loss.float() for one in watched]).tolist()
        largest = torch.stack([one.largest.float() for one in watched]).tolist()
        # of losses that are finite and too large to be added, the last
        first = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), len(losses) - 1)
        before = [value for value in largest[:first] if value > 0]
        grown = bool(before) and before[-1] > GROWN * before[0]
        fast = any(group["lr"] > FAST for group in self.optimizer.param_groups)
        return not math.isfinite(largest[first]) and not grown and not fast

    def validate(self, samples: Samples) -> float | None:
        """Mean loss on held-out demonstrations, None without any. Raises as `train_epoch`."""
        if not len(samples):
            return None
        self.policy.eval()
        summed = 0.0
        torch.manual_seed(seeds.training_seed(self.seed, "validation", self.epoch))
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            parts = samples.rows(self.policy).split(256)
            ready = samples.batches(parts, self.device, self.policy)
            for rows, (inputs, actions, padded) in zip(parts, ready, strict=True):
                self.policy.encoded = None
                terms = checked(self.policy, self.policy.losses(inputs, actions, padded))
                value = float(total(terms))
                if not math.isfinite(value):
                    if not math.isfinite(float(_largest(self.policy.encoded))):
                        raise not_finite(type(self.policy.representation), "on a held-out demonstration")
                    raise PolicyDiverged(
                        f"the loss on held-out demonstrations is {value} after epoch {self.epoch}: training "
                        "diverged. Try a smaller protocol.learning_rate"
                    )
                summed += value * len(rows)
        loss = summed / len(samples.rows(self.policy))
        self.history[-1]["valid_loss"] = loss
        return loss

    def save(self, path: Path, identity: str) -> str:
        """Write a checkpoint, and return the hash of the weights in it that are played."""
        state = {
            "identity": identity,
            "epoch": self.epoch,
            "steps": self.steps,
            "history": self.history,
            "policy": self.policy.trained_state(),
            "optimizer": self.optimizer.state_dict(),
            **self.optimization.state(),
        }
        if self.sums.samples:  # between two evaluations of a protocol of steps
            state["sums"] = self.sums.state()
        state["digest"] = state_digest(state)
        write_atomically(path, lambda file: torch.save(state, file))
        return played_digest(state)

    def restore(self, path: Path, identity: str) -> None:
        """Continue from a checkpoint. Raises ValueError if it belongs to other settings."""
        state = load_checkpoint(path)
        if state["identity"] != identity:
            raise ValueError(f"{path} was trained under other settings; --overwrite starts again")
        self.policy.load_trained_state(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.optimization.load_state(state)
        self.epoch, self.steps, self.history = state["epoch"], state["steps"], state["history"]
        self.sums = Sums.of(state["sums"]) if "sums" in state else Sums()
