"""Behaviour cloning: the head's loss on the expert's actions, under the head's or the protocol's recipe.

The order of samples and every random draw of an epoch come from (seed, epoch), so training that was stopped after an
epoch continues to the same weights as training that was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.policy.heads import Head
from benchmark.policy.policy import Policy, PolicyDiverged
from benchmark.protocol import Protocol
from benchmark.recipe import make_recipe
from benchmark.storage import write_atomically


class Joined:
    """Tensors (T_i, ...) end to end without a copy: files of features that are larger than the memory."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts, self.device = parts, parts[0].device
        self.ends = torch.tensor([len(part) for part in parts]).cumsum(0)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Rows of any shape, as a tensor's own indexing gives them."""
        flat = rows.flatten().cpu()
        owner = torch.bucketize(flat, self.ends, right=True)
        found = self.parts[0].new_empty((len(flat), *self.parts[0].shape[1:]))
        for number, part in enumerate(self.parts):
            mine = owner == number
            found[mine] = part[flat[mine] - (int(self.ends[number]) - len(part))]
        return found.view(*rows.shape, *found.shape[1:])


@dataclass(frozen=True)
class Samples:
    """Training data: fields (T, ...), with the frozen part's outputs, `feature`, in place of the method's input.

    steps: frames of each episode; they follow each other. None: a single one. A window never leaves its episode: at
    the ends the first observation and the last action are repeated.
    """

    inputs: Mapping[str, Tensor]
    actions: Tensor
    steps: int | None = None

    def __len__(self) -> int:
        return len(self.actions)

    def batch(self, rows: Tensor, device: torch.device, head: Head | None = None) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs (B, ...), or (B, obs_steps, ...), and targets (B, A), or (B, chunk, A), as the head wants them."""
        seen, aimed = rows, rows
        if head is not None and (head.obs_steps > 1 or head.chunk > 1):
            steps = self.steps or len(self)
            first = (rows // steps * steps).unsqueeze(1)
            if head.obs_steps > 1:
                seen = (rows.unsqueeze(1) + torch.arange(1 - head.obs_steps, 1)).maximum(first)
            if head.chunk > 1:
                aimed = rows.unsqueeze(1) + torch.arange(-head.lead, head.chunk - head.lead)
                aimed = aimed.maximum(first).minimum(first + steps - 1)
        inputs = {n: v[seen.to(v.device)].to(device, non_blocking=True) for n, v in self.inputs.items()}
        return inputs, self.actions[aimed.to(self.actions.device)].to(device, non_blocking=True)


class Trainer:
    """Policy, optimiser and progress of one training run.

    history: one dict for each finished epoch with `train_loss` and, at evaluations, `valid_loss`.
    """

    def __init__(self, policy: Policy, protocol: Protocol, seed: int, batch_size: int, device: torch.device,
                 bf16: bool) -> None:  # fmt: skip
        self.policy, self.protocol, self.seed = policy, protocol, seed
        self.batch_size, self.device, self.bf16 = batch_size, device, bf16
        self.recipe = make_recipe(policy, protocol)
        self.optimizer = self.recipe.optimizer
        self.epoch = 0
        self.steps = 0
        self.history: list[dict[str, float]] = []

    def train_epoch(self, samples: Samples) -> float:
        """One pass over the samples; returns the mean loss. Raises `PolicyDiverged` if it is not finite."""
        self.policy.train()
        order = torch.Generator().manual_seed(seeds.training_seed(self.seed, "order", self.epoch))
        torch.manual_seed(seeds.training_seed(self.seed, "noise", self.epoch))
        total = torch.zeros((), device=self.device)
        rows_of_epoch = torch.randperm(len(samples), generator=order)
        batches = rows_of_epoch.split(self.batch_size)
        for rows in batches:
            if len(rows) == 1 and len(samples) > 1:
                continue  # BatchNorm cannot normalise a single sample
            inputs, actions = samples.batch(rows, self.device, self.policy.head)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = self.policy.loss(inputs, actions)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.recipe.before_step(self.steps, self.protocol.epochs * len(batches))
            self.optimizer.step()
            self.recipe.after_step()
            total += loss.detach() * len(rows)
            self.steps += 1
        mean = float(total) / len(samples)
        if not mean < float("inf"):
            raise PolicyDiverged(
                f"the training loss is {mean} in epoch {self.epoch + 1}: training diverged. Try a smaller "
                f"protocol.learning_rate (it is {self.protocol.learning_rate})"
            )
        self.epoch += 1
        self.history.append({"train_loss": mean})
        return mean

    def validate(self, samples: Samples) -> float | None:
        """Mean loss on held-out demonstrations, None without any."""
        if not len(samples):
            return None
        self.policy.eval()
        total = 0.0
        torch.manual_seed(seeds.training_seed(self.seed, "validation", self.epoch))
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            for rows in torch.arange(len(samples)).split(256):
                inputs, actions = samples.batch(rows, self.device, self.policy.head)
                total += float(self.policy.loss(inputs, actions)) * len(rows)
        loss = total / len(samples)
        self.history[-1]["valid_loss"] = loss
        return loss

    def save(self, path: Path, identity: str) -> None:
        state = {
            "identity": identity, "epoch": self.epoch, "steps": self.steps, "history": self.history,
            "policy": self.policy.trained_state(), "optimizer": self.optimizer.state_dict(), **self.recipe.state(),
        }  # fmt: skip
        write_atomically(path, lambda file: torch.save(state, file))

    def restore(self, path: Path, identity: str) -> None:
        """Continue from a checkpoint. Raises ValueError if it belongs to other settings."""
        state = load_checkpoint(path)
        if state["identity"] != identity:
            raise ValueError(f"{path} was trained under other settings; --overwrite starts again")
        self.policy.load_trained_state(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recipe.load_state(state)
        self.epoch, self.steps, self.history = state["epoch"], state["steps"], state["history"]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain data only: a file that wants to run code is refused by torch."""
    return torch.load(path, map_location="cpu", weights_only=True)


def load_policy(policy: Policy, path: Path) -> None:
    """The weights that are to be played: averaged ones where the recipe keeps an average."""
    state = load_checkpoint(path)
    policy.load_trained_state({**state["policy"], **state.get("averaged", {})})
