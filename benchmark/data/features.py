"""What a frozen network makes of the demonstrations, encoded once and shared by seeds, heads and jobs.

A cache entry is a folder named by what its content depends on: the observations' own key, the method's code, input
and options, the bytes of the frozen weights, the torch version, precision and kind of device. It can be deleted at any
time. Episodes are encoded one after the other, so a killed job goes on where it stopped; a lock lets one job encode
while the others wait for the result.

No key names every line that a feature depends on. So two frames' inputs are kept beside the features
(`benchmark.data.kept`), and whoever takes the entry encodes them again: an entry that says something else is never
used, but made again.
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

from benchmark.data.kept import Unusable, departure, keep, recall, stored
from benchmark.policy.policy import Policy, latest
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from methods.frozen import fingerprint

FORMAT = 2
BATCH = 64
"""Frames at a time. Part of the numbers: on a CPU a frame's last bits depend on how many share its batch."""
SAME = {False: 1e-4, True: 2e-2}
"""bf16 or not -> the largest difference, relative to a feature's largest value, of frames encoded by the same code."""

Fields = Mapping[str, np.ndarray]


class FeatureCache:
    """The entry of one (demonstrations, observation, method's code, frozen network, precision).

    code: plain data that changes with the method's code (`methods.code.code_facts`).
    """

    def __init__(self, root: Path, title: str, observations_key: str, policy: Policy, options: Mapping[str, str],
                 code: Mapping[str, Any], device: torch.device, bf16: bool) -> None:  # fmt: skip
        representation = policy.representation
        part = representation.frozen_part
        assert part is not None, "only what is frozen can be cached"
        self.policy, self.device, self.bf16, self.title = policy, device, bf16, title
        card = representation.card.as_dict()
        self.facts: dict[str, Any] = {
            "format": FORMAT, "observations": observations_key, "method": card["name"], "input": card["input"],
            "observes": card["observes"], "past_actions": card["past_actions"], "options": dict(options),
            "code": dict(code), "weights": fingerprint(part), "torch": torch.__version__, "device": device.type,
            "bf16": bf16, "condition": policy.condition,
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = root / "features" / f"{title}-{key}"

    def load(self, observations: Callable[[], Fields], steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Read-only memory maps of features (T, ...) and proprio (T, S).

        observations: gives the fields (T, ...), and is not called if everything is there. steps: frames an episode.
        """
        with exclusive(self.folder.with_suffix(".lock"), f"features of {self.title}", wait=True, notify=say):
            if any((self.folder / name).exists() for name in ("done.json", "complete.json")):
                try:
                    self._check(steps)
                except Unusable as reason:
                    say(f"{self.folder} {reason}: made again")
                    discard(self.folder)
            if not (self.folder / "complete.json").exists():
                self._encode(observations(), steps)
            shapes = self._shapes()
            feature, proprio = (stored(self.folder, name, shapes[name], "float32") for name in ("feature", "proprio"))
        return feature, proprio

    def _check(self, steps: int) -> None:
        """Encode again the kept frames of what is there, whole or begun. Raises `Unusable`.

        What `encode` itself raises is not caught: it would raise the same on the demonstrations.
        """
        shapes, kept = self._shapes(), recall(self.folder)
        feature, proprio = (stored(self.folder, name, shapes[name], "float32") for name in ("feature", "proprio"))
        whole = (self.folder / "complete.json").exists()
        kept = kept.upto(len(feature) if whole else self._done() * steps)
        rows = list(kept.rows)
        if "proprio" not in kept.inputs or not np.array_equal(proprio[rows], kept.inputs["proprio"]):
            raise Unusable("has a proprio.npy that is not that of its demonstrations")
        again = self._encode_kept(kept.inputs, min(BATCH, steps))
        found = departure(feature[rows], again)
        if found > SAME[self.bf16]:
            raise Unusable(f"was made by other code or weights (a kept frame's feature departs by {found:.1e})")

    def _encode_kept(self, inputs: Fields, batch: int) -> np.ndarray:
        """On a GPU the kernel is chosen by the batch's shape, so there a few frames are encoded as a full batch."""
        count = len(next(iter(inputs.values())))
        fill = [number % count for number in range(max(batch, count) if self.device.type == "cuda" else count)]
        filled = {name: array[fill] for name, array in inputs.items()}
        return self._encode_rows(filled, slice(0, len(fill))).numpy()[:count]

    def _shapes(self) -> dict[str, list[int]]:
        try:
            found = json.loads((self.folder / "shapes.json").read_text())
            return {name: list(found[name]) for name in ("feature", "proprio")}
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise Unusable("has no readable shapes.json") from error

    def _done(self) -> int:
        """Episodes that are encoded."""
        file = self.folder / "done.json"
        try:
            return int(json.loads(file.read_text())) if file.exists() else 0
        except (ValueError, TypeError) as error:
            raise Unusable("has a damaged done.json") from error

    def _encode(self, fields: Fields, steps: int) -> None:
        frames = len(fields["proprio"])
        episodes = frames // steps
        done = self._done()
        if not done:
            discard(self.folder)
            shape = self._encode_rows(fields, slice(0, 1)).shape[1:]
            shapes = {"feature": (frames, *shape), "proprio": fields["proprio"].shape}
            for name, size in shapes.items():
                allocate(self.folder / f"{name}.npy", size, "float32")
            # from the middle of the first demonstration and of the last
            keep(self.folder, fields, sorted({steps // 2, (episodes - 1) * steps + steps // 2}))
            write_json(self.folder / "shapes.json", shapes)
        sizes = self._shapes()
        feature, proprio = (stored(self.folder, name, sizes[name], "float32", "r+") for name in ("feature", "proprio"))
        with explain(self.folder), bar(f"features {self.title}", episodes, done) as advance:
            for episode in range(done, episodes):
                rows = slice(episode * steps, (episode + 1) * steps)
                feature[rows] = self._encode_rows(fields, rows).numpy()
                proprio[rows] = fields["proprio"][rows]
                feature.flush()
                proprio.flush()
                write_json(self.folder / "done.json", episode + 1)
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
