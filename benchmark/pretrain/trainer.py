"""One step of pre-training, and what a checkpoint needs to go on as if nothing had happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.pretrain.batches import Batch
from benchmark.pretrain.config import PretrainConfig
from benchmark.pretrain.parallel import Group
from benchmark.storage import write_atomically
from benchmark.train import PolicyDiverged, load_checkpoint
from benchmark.workfolder import OtherSettings
from methods.clar.pretraining import Pretraining

SHARED = ("image_feature", "text_feature", "said")
"""Of a batch, what contrast needs from all processes and parts."""


class PretrainTrainer:
    """AdamW, warmed up and lowered along a cosine. Every draw of a step comes from the seed and the step's number."""

    def __init__(self, model: Pretraining, config: PretrainConfig, steps_per_epoch: int, device: torch.device,
                 group: Group | None = None) -> None:  # fmt: skip
        self.model, self.config, self.device, self.group = model.to(device), config, device, group or Group()
        self.total = config.epochs * steps_per_epoch
        self.warmup = config.warmup_epochs * steps_per_epoch
        self.step = 0
        self.optimizer = torch.optim.AdamW(_parameter_groups(model, config.weight_decay), lr=config.learning_rate)

    def rate(self, step: int) -> float:
        """Learning rate of step `step` (from 0)."""
        high, low = self.config.learning_rate, self.config.last_learning_rate
        if step < self.warmup:
            return low + (high - low) * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.total - self.warmup)
        return low + (high - low) * 0.5 * (1 + math.cos(math.pi * share))

    def train_step(self, batch: Batch, norms: bool = False) -> dict[str, float]:
        """Move the weights by one batch (this process's part of it). Returns each term, unweighted, and `total`.

        norms: also `gradient/TERM`, the norm of each weighted term's gradient in the encoder (this process's).
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        parts = _split({k: v.to(self.device, non_blocking=True) for k, v in batch.items()}, self.config.accumulate)
        if len(parts) > 1 and self.model.contrast is not None:
            terms = self._backward_cached(parts)
        else:
            terms = self._backward(parts, norms)
        self.group.average_gradients(self.model.parameters())
        for settings in self.optimizer.param_groups:
            settings["lr"] = self.rate(self.step)
        self.optimizer.step()
        self.model.after_step()
        self.step += 1
        found = {name: float(value) for name, value in terms.items()}
        if not math.isfinite(found["total"]):
            raise PolicyDiverged(
                f"the loss of step {self.step} is {found['total']} ({found}): pre-training diverged. Try a smaller "
                f"learning_rate (it is {self.config.learning_rate}), or form=infonce"
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
                terms = self._forward(part)
                if "clouds" in terms:
                    terms |= self.model.contrast_terms(terms.pop("clouds"), part)
                for name, value in {**terms, "total": self.model.total(terms)}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) / len(batches)
        return sums

    def save(self, path: Path, identity: str, facts: Mapping[str, Any]) -> None:
        state = {
            "identity": identity, "step": self.step, "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "facts": dict(facts),
        }  # fmt: skip
        write_atomically(path, lambda file: torch.save(state, file))

    def restore(self, path: Path, identity: str) -> dict[str, Any]:
        """Go on from `path`; returns its facts. Raises `OtherSettings` if it belongs to other ones."""
        state = load_checkpoint(path)
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
            terms = self._forward(part)
            if "clouds" in terms:
                others = {name: self.group.gather(part[name]) for name in SHARED}
                terms |= self.model.contrast_terms(self.group.gather(terms.pop("clouds")), others)
            if norms and number == 0:
                sums |= self._norms(terms)
            total = self.model.total(terms)
            (total / len(parts)).backward()
            _add(sums, {**terms, "total": total}, len(parts))
        return sums

    def _backward_cached(self, parts: Sequence[Batch]) -> dict[str, Tensor]:
        """Contrast over the whole batch with the memory of a part (Gao et al. 2021, "GradCache").

        All clouds' vectors are computed without a graph, the contrast's gradient with respect to them is kept, and
        every part is computed again with the same draws to carry it on. Only BatchNorm sees parts, not the batch.
        """
        with torch.no_grad(), _statistics_kept(self.model):
            own = []
            for number, part in enumerate(parts):
                self._seed("step", self.step, number)
                own.append(self._forward(part)["clouds"])
        mine = torch.cat(own)
        everyone = self.group.gather(mine).detach().requires_grad_()
        whole = {name: self.group.gather(torch.cat([part[name] for part in parts])) for name in SHARED}
        contrast = self.model.contrast_terms(everyone, whole)
        # each process computes the whole batch's loss; what is averaged over processes later must add up to it
        self.model.total(contrast).backward()
        assert everyone.grad is not None
        first = self.group.rank * len(mine)
        kept = (everyone.grad[first : first + len(mine)] * self.group.world).split(
            [len(part["points"]) for part in parts]
        )
        sums = {name: value.detach() for name, value in contrast.items()}
        rest: dict[str, Tensor] = {}
        for number, (part, gradient) in enumerate(zip(parts, kept, strict=True)):
            self._seed("step", self.step, number)
            terms = self._forward(part)
            clouds = terms.pop("clouds")
            others = self.model.total(terms)
            carried = (clouds * gradient).sum()
            (carried + others / len(parts)).backward()
            _add(rest, terms, len(parts))
        sums |= rest
        return {**sums, "total": self.model.total(sums)}

    def _forward(self, part: Batch) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            return self.model(part)

    def _norms(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        encoder = [p for p in self.model.representation.encoder.parameters() if p.requires_grad]
        found = {}
        for name, weight in self.model.objective.weights.items():
            if terms[name].requires_grad:
                gradients = torch.autograd.grad(weight * terms[name], encoder, retain_graph=True, allow_unused=True)
                found[f"gradient/{name}"] = torch.stack([g.norm() for g in gradients if g is not None]).norm()
        return found

    def _seed(self, purpose: str, step: int, part: int) -> None:
        index = (step * self.config.accumulate + part) * self.group.world + self.group.rank
        torch.manual_seed(seeds.training_seed(self.config.seed, f"pretrain {purpose}", index))


def _split(batch: Batch, parts: int) -> list[Batch]:
    size = len(batch["points"]) // parts
    return [{name: values[i * size : (i + 1) * size] for name, values in batch.items()} for i in range(parts)]


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor], parts: int) -> None:
    for name, value in terms.items():
        sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach() / parts


def _parameter_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """No decay on biases, norms, temperatures and tokens, as in every recipe this follows."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    free = [p for name, p in named if p.ndim < 2 or name.rpartition(".")[2] in ("cls_token", "cls_pos", "mask_token")]
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
