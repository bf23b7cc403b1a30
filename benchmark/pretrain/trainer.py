"""One step of pre-training, and what a checkpoint needs to go on as if nothing had happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.pretrain.processes import Group
from benchmark.pretrain.resume import read_state, write_state
from benchmark.settings import seeds
from benchmark.settings.pretraining import PretrainConfig
from benchmark.system.errors import OtherSettings
from benchmark.training.trainer import PolicyDiverged
from methods.objective import Batch, ObjectiveModel


class PretrainTrainer:
    """AdamW, warmed up and lowered along a cosine. Every draw of a step comes from the seed and the step's number."""

    def __init__(
        self,
        model: ObjectiveModel,
        config: PretrainConfig,
        steps_per_epoch: int,
        device: torch.device,
        group: Group | None = None,
        when_diverged: str = "",
    ) -> None:
        self.model, self.config, self.device, self.group = model.to(device), config, device, group or Group()
        self.total = config.epochs * steps_per_epoch
        self.warmup = config.warmup_epochs * steps_per_epoch
        self.step, self.when_diverged = 0, when_diverged
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(model, model.undecayed, config.weight_decay), lr=config.learning_rate
        )

    def rate(self, step: int) -> float:
        """Learning rate of step `step` (from 0)."""
        high, low = self.config.learning_rate, self.config.last_learning_rate
        if step < self.warmup:
            return low + (high - low) * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.total - self.warmup)
        return low + (high - low) * 0.5 * (1 + math.cos(math.pi * share))

    def train_step(self, batch: Batch, norms: bool = False) -> dict[str, float]:
        """Move the weights by one batch (this process's part of it). Returns each term, unweighted, and `total`.

        norms: also `gradient/TERM`, the norm of each weighted term's gradient in the representation (this process's).
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        parts = _split({k: v.to(self.device, non_blocking=True) for k, v in batch.items()}, self.config.accumulate)
        if len(parts) > 1 and self.model.embeddings:
            terms = self._backward_cached(parts)
        else:
            terms = self._backward(parts, norms)
        self.group.average_gradients(self.model.parameters())
        for settings in self.optimizer.param_groups:
            settings["lr"] = self.rate(self.step)
        self.optimizer.step()
        self.model.after_step()
        self.step += 1
        found = read_together(terms)
        if not math.isfinite(found["total"]):
            raise PolicyDiverged(
                f"the loss of step {self.step} is {found['total']} ({found}): pre-training diverged. Try a smaller "
                f"learning_rate (it is {self.config.learning_rate})"
                + (f", or {self.when_diverged}" if self.when_diverged else "")
            )
        return found

    def evaluate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Mean of each term over held-out batches, always with the same masks."""
        self.model.eval()
        sums: dict[str, float] = {}
        with torch.no_grad():
            for number, batch in enumerate(batches):
                self._seed("validation", 0, number)
                part = {k: v.to(self.device) for k, v in batch.items()}
                terms, embeddings = self._forward(part)
                if embeddings:
                    terms |= self.model.batch_terms(embeddings, part)
                for name, value in read_together({**terms, "total": self.model.total(terms)}).items():
                    sums[name] = sums.get(name, 0.0) + value / len(batches)
        return sums

    def save(self, path: Path, identity: str, facts: Mapping[str, Any]) -> None:
        state = {
            "identity": identity,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "facts": dict(facts),
        }
        write_state(path, state)

    def restore(self, path: Path, identity: str) -> dict[str, Any]:
        """Go on from `path`; returns its facts. Raises `OtherSettings` if it belongs to other ones.

        Raises `DamagedCheckpoint`, before anything is changed.
        """
        state = read_state(path)
        if state["identity"] != identity:
            raise OtherSettings(f"{path} is half-finished work of other settings; give another --name, or --overwrite")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return state["facts"]

    # -- one step -------------------------------------------------------------------------------------------------

    def _backward(self, parts: Sequence[Batch], norms: bool) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(parts):
            self._seed("step", self.step, number)
            terms, embeddings = self._forward(part)
            if embeddings:
                others = {name: self.group.gather(part[name]) for name in self.model.gathered}
                everyone = {name: self.group.gather(values) for name, values in embeddings.items()}
                terms |= self.model.batch_terms(everyone, others)
            if norms and number == 0:
                sums |= self._norms(terms)
            total = self.model.total(terms)
            (total / len(parts)).backward()
            _add(sums, {**terms, "total": total}, len(parts))
        return sums

    def _backward_cached(self, parts: Sequence[Batch]) -> dict[str, Tensor]:
        """Terms over the whole batch with the memory of a part (Gao et al. 2021, "GradCache").

        All embeddings are computed without a graph, the batch terms' gradient with respect to them is kept, and every
        part is computed again with the same draws to carry it on. Only BatchNorm sees parts, not the batch.
        """
        with torch.no_grad(), _statistics_kept(self.model):
            own = []
            for number, part in enumerate(parts):
                self._seed("step", self.step, number)
                own.append(self._forward(part)[1])
        everyone = {
            name: self.group.gather(torch.cat([found[name] for found in own])).detach().requires_grad_()
            for name in self.model.embeddings
        }
        whole = {name: self.group.gather(torch.cat([part[name] for part in parts])) for name in self.model.gathered}
        over_batch = self.model.batch_terms(everyone, whole)
        # each process computes the whole batch's loss; what is averaged over processes later must add up to it
        self.model.total(over_batch).backward()
        kept = self._own_gradients(everyone, [_size(part) for part in parts])
        sums = {name: value.detach() for name, value in over_batch.items()}
        rest: dict[str, Tensor] = {}
        for number, (part, gradients) in enumerate(zip(parts, kept, strict=True)):
            self._seed("step", self.step, number)
            terms, embeddings = self._forward(part)
            others = self.model.total(terms)
            carried = sum((embeddings[name] * gradient).sum() for name, gradient in gradients.items())
            (carried + others / len(parts)).backward()
            _add(rest, terms, len(parts))
        sums |= rest
        return {**sums, "total": self.model.total(sums)}

    def _own_gradients(self, everyone: Mapping[str, Tensor], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
        """Of each of this process's parts: the gradient with respect to each embedding (B, ...)."""
        first, count = self.group.rank * sum(sizes), sum(sizes)
        found: list[dict[str, Tensor]] = [{} for _ in sizes]
        for name, values in everyone.items():
            if values.grad is None:  # no batch term uses it with these options
                continue
            own = (values.grad[first : first + count] * self.group.world).split(list(sizes))
            for part, gradient in zip(found, own, strict=True):
                part[name] = gradient
        return found

    def _forward(self, part: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Terms, and embeddings for `batch_terms`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            terms = self.model(part)
        return terms, {name: terms.pop(name) for name in self.model.embeddings}

    def _norms(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shared = [p for p in self.model.representation.parameters() if p.requires_grad]
        found = {}
        for name, weight in self.model.weights.items():
            if name in terms and terms[name].requires_grad:
                gradients = torch.autograd.grad(weight * terms[name], shared, retain_graph=True, allow_unused=True)
                reached = [g.norm() for g in gradients if g is not None]
                if reached:  # a term may train other parts only
                    found[f"gradient/{name}"] = torch.stack(reached).norm()
        return found

    def _seed(self, purpose: str, step: int, part: int) -> None:
        index = (step * self.config.accumulate + part) * self.group.world + self.group.rank
        torch.manual_seed(seeds.training_seed(self.config.seed, f"pretrain {purpose}", index))


def read_together(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars as numbers, to the last bit of each, for which a GPU is waited for once and not once a term."""
    values = torch.stack([value.detach().double().reshape(()) for value in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))


def _split(batch: Batch, parts: int) -> list[Batch]:
    size = _size(batch) // parts
    return [{name: values[i * size : (i + 1) * size] for name, values in batch.items()} for i in range(parts)]


def _size(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor], parts: int) -> None:
    for name, value in terms.items():
        sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() / parts


def _parameter_groups(model: nn.Module, undecayed: Sequence[str], decay: float) -> list[dict[str, Any]]:
    """No decay on biases, norms, temperatures and tokens, as in every recipe this follows."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    free = [p for name, p in named if p.ndim < 2 or name.rpartition(".")[2] in undecayed]
    ids = {id(p) for p in free}
    return [
        {"params": [p for _, p in named if id(p) not in ids], "weight_decay": decay},
        {"params": free, "weight_decay": 0.0},
    ]


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """BatchNorm's running statistics are as before afterwards: a pass that is made twice counts once."""
    before = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(model.buffers(), before, strict=True):
                buffer.copy_(value)
