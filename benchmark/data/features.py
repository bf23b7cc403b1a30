"""What a frozen network makes of the demonstrations, encoded once and shared by seeds, heads and jobs.

A cache entry is a folder named by what its content depends on: the observations' own key, the method's input and
options, the bytes of the frozen weights, the torch version, precision and kind of device. It can be deleted at any
time. Episodes are encoded one after the other, so a killed job goes on where it stopped; a lock lets one job encode
while the others wait for the result.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.policy.policy import Policy, latest
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from methods.frozen import fingerprint

FORMAT = 1
BATCH = 64
"""Frames at a time. Part of the numbers: on a CPU a frame's last bits depend on how many share its batch."""

Fields = Mapping[str, np.ndarray]


class FeatureCache:
    """The entry of one (demonstrations, observation, frozen network, precision)."""

    def __init__(self, root: Path, title: str, observations_key: str, policy: Policy,
                 options: Mapping[str, str], device: torch.device, bf16: bool) -> None:  # fmt: skip
        representation = policy.representation
        part = representation.frozen_part
        assert part is not None, "only what is frozen can be cached"
        self.policy, self.device, self.bf16, self.title = policy, device, bf16, title
        card = representation.card.as_dict()
        self.facts: dict[str, Any] = {
            "format": FORMAT, "observations": observations_key, "method": card["name"], "input": card["input"],
            "options": dict(options), "weights": fingerprint(part), "torch": torch.__version__,
            "device": device.type, "bf16": bf16, "condition": policy.condition,
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = root / "features" / f"{title}-{key}"

    def load(self, observations: Callable[[], Fields], steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Read-only memory maps of features (T, ...) and proprio (T, S).

        observations: gives the fields (T, ...), and is not called if everything is there. steps: frames an episode.
        """
        with exclusive(self.folder.with_suffix(".lock"), f"features of {self.title}", wait=True, notify=say):
            if not (self.folder / "complete.json").exists():
                self._encode(observations(), steps)
        feature, proprio = (np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("feature", "proprio"))
        return feature, proprio

    def _encode(self, fields: Fields, steps: int) -> None:
        done_file = self.folder / "done.json"
        done: int = json.loads(done_file.read_text()) if done_file.exists() else 0
        frames = len(fields["proprio"])
        if not done:
            discard(self.folder)
            shape = self._encode_rows(fields, slice(0, 1)).shape[1:]
            allocate(self.folder / "feature.npy", (frames, *shape), "float32")
            allocate(self.folder / "proprio.npy", fields["proprio"].shape, "float32")
        feature, proprio = (
            np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="r+") for name in ("feature", "proprio")
        )
        episodes = frames // steps
        with explain(self.folder), bar(f"features {self.title}", episodes, done) as advance:
            for episode in range(done, episodes):
                rows = slice(episode * steps, (episode + 1) * steps)
                feature[rows] = self._encode_rows(fields, rows).numpy()
                proprio[rows] = fields["proprio"][rows]
                feature.flush()
                proprio.flush()
                write_json(done_file, episode + 1)
                advance()
        write_json(self.folder / "complete.json", self.facts)

    def _encode_rows(self, fields: Fields, rows: slice) -> Tensor:
        return encode_rows(self.policy, fields, rows, self.device, self.bf16)


def encode_rows(policy: Policy, fields: Fields, rows: slice, device: torch.device, bf16: bool) -> Tensor:
    """The frozen part's outputs (rows, ...) float32 on the CPU."""
    parts = []
    policy.eval()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for first in range(rows.start, rows.stop, BATCH):
            part = slice(first, min(first + BATCH, rows.stop))
            inputs = {name: torch.from_numpy(np.array(array[part])).to(device) for name, array in fields.items()}
            parts.append(policy.encode_frozen(inputs).float().cpu())
    return torch.cat(parts).clone()  # an inference tensor could not be trained on


def histories(actions: np.ndarray, count: int) -> np.ndarray:
    """The `count` actions before each step of each demonstration: (E, T, A) to (E * T, count, A) float32."""
    return np.stack(
        [latest(episode[:step], count, actions.shape[-1]) for episode in actions for step in range(len(episode))]
    )


def mapped(array: np.ndarray) -> Tensor:
    """A tensor over a read-only memory map, without a copy. It is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
