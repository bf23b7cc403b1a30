"""Behaviour cloning: mean squared error on the expert's actions, Adam at a constant rate.

The order of samples and every random draw of an epoch come from (seed, epoch), so training that was stopped after an
epoch continues to the same weights as training that was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmark import seeds
from benchmark.policy.policy import Policy, PolicyDiverged
from benchmark.protocol import Protocol
from benchmark.storage import write_atomically


@dataclass(frozen=True)
class Samples:
    """Training data: fields (T, ...), with the frozen part's outputs, `feature`, in place of the method's input."""

    inputs: Mapping[str, Tensor]
    actions: Tensor

    def __len__(self) -> int:
        return len(self.actions)

    def batch(self, rows: Tensor, device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
        inputs = {n: v[rows.to(v.device)].to(device, non_blocking=True) for n, v in self.inputs.items()}
        return inputs, self.actions[rows.to(self.actions.device)].to(device, non_blocking=True)


def predict(policy: Policy, inputs: Mapping[str, Tensor]) -> Tensor:
    if "feature" in inputs:
        return policy.from_frozen(inputs["feature"], inputs["proprio"])
    return policy(inputs)


class Trainer:
    """Policy, optimiser and progress of one training run.

    history: one dict for each finished epoch with `train_loss` and, at evaluations, `valid_loss`.
    """

    def __init__(self, policy: Policy, protocol: Protocol, seed: int, batch_size: int, device: torch.device,
                 bf16: bool) -> None:  # fmt: skip
        self.policy, self.protocol, self.seed = policy, protocol, seed
        self.batch_size, self.device, self.bf16 = batch_size, device, bf16
        encoder = [p for p in policy.representation.parameters() if p.requires_grad]
        rate = protocol.learning_rate
        groups = [{"params": list(policy.head.parameters()), "lr": rate}]
        if encoder:
            groups.append({"params": encoder, "lr": rate * protocol.encoder_lr_multiplier})
        self.optimizer = torch.optim.Adam(groups, lr=rate, weight_decay=protocol.weight_decay, fused=True)
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
        for rows in rows_of_epoch.split(self.batch_size):
            if len(rows) == 1 and len(samples) > 1:
                continue  # BatchNorm cannot normalise a single sample
            inputs, actions = samples.batch(rows, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = functional.mse_loss(predict(self.policy, inputs).float(), actions)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
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
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            for rows in torch.arange(len(samples)).split(256):
                inputs, actions = samples.batch(rows, self.device)
                total += float(functional.mse_loss(predict(self.policy, inputs).float(), actions)) * len(rows)
        loss = total / len(samples)
        self.history[-1]["valid_loss"] = loss
        return loss

    def save(self, path: Path, identity: str) -> None:
        state = {
            "identity": identity, "epoch": self.epoch, "steps": self.steps, "history": self.history,
            "policy": self.policy.trained_state(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        write_atomically(path, lambda file: torch.save(state, file))

    def restore(self, path: Path, identity: str) -> None:
        """Continue from a checkpoint. Raises ValueError if it belongs to other settings."""
        state = load_checkpoint(path)
        if state["identity"] != identity:
            raise ValueError(f"{path} was trained under other settings; --overwrite starts again")
        self.policy.load_trained_state(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.steps, self.history = state["epoch"], state["steps"], state["history"]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain data only: a file that wants to run code is refused by torch."""
    return torch.load(path, map_location="cpu", weights_only=True)


def load_policy(policy: Policy, path: Path) -> None:
    policy.load_trained_state(load_checkpoint(path)["policy"])
