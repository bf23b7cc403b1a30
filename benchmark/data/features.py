"""What a frozen network makes of the demonstrations, encoded once and shared by seeds, heads and jobs.

A cache entry is a folder named by what its content depends on: the observations' own key, the method's code, input
and options, the bytes of the frozen weights, the torch version, precision and device (`kind_of_device`). It can be
deleted at any time. Episodes are encoded one after the other, so a killed job goes on where it stopped; a lock lets one
job encode while the others wait for the result.

No key names every line that a feature depends on. So two frames' inputs are kept beside the features
(`benchmark.data.sample_inputs`), and whoever takes the entry encodes them again: an entry that says something else is
never used, but made again. Against disks every episode has a checksum of its bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.data.array_cache import COMPLETE, DONE, Parts, Sums, finish, read_plain, resume, whole
from benchmark.data.cache_places import Places, in_order, obtain
from benchmark.data.episodes import Episodes
from benchmark.data.observation_source import Fields, Frames
from benchmark.data.sample_inputs import Kept, Unusable, departure, keep, recall
from benchmark.system.files import explain, write_json
from benchmark.system.gpu import kind_of_device
from benchmark.system.progress import bar, say
from methods.errors import not_finite
from methods.frozen import fingerprint
from methods.policy import Policy

FORMAT = 2
SHAPES = "shapes.json"
BATCH = 64
"""Frames at a time. Part of the numbers: on a CPU a frame's last bits depend on how many share its batch."""
SAME = {False: 1e-4, True: 2e-2}
"""bf16 or not -> the largest difference, relative to a feature's largest value, of frames encoded by the same code."""


class FeatureCache:
    """The entry of one (demonstrations, observation, method's code, frozen network, precision).

    places: where it is looked for, and made. code: plain data that changes with the method's code
    (`methods.code.code_facts`).
    """

    def __init__(
        self,
        places: Places,
        title: str,
        observations_key: str,
        policy: Policy,
        options: Mapping[str, str],
        code: Mapping[str, Any],
        device: torch.device,
        bf16: bool,
    ) -> None:
        representation = policy.representation
        assert representation is not None, "a whole policy has no features"
        part = representation.frozen_part
        assert part is not None, "only what is frozen can be cached"
        self.policy, self.device, self.bf16, self.title = policy, device, bf16, title
        card = representation.card.as_dict()
        self.facts: dict[str, Any] = {
            "format": FORMAT,
            "observations": observations_key,
            "method": card["name"],
            "input": card["input"],
            "observes": card["observes"],
            "past_actions": card["past_actions"],
            "options": dict(options),
            "code": dict(code),
            "weights": fingerprint(part),
            "torch": torch.__version__,
            "device": kind_of_device(device),
            "bf16": bf16,
            "condition": policy.condition,
        }
        key = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:16]
        self.name = f"features/{title}-{key}"
        self.places, self.folder = places, in_order(places)[0] / self.name

    def load(self, observations: Callable[[], Frames], episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
        """Read-only memory maps of features (T, ...) and proprio (T, S).

        observations: gives the frames, and is not called if everything is there. episodes: where each begins and ends.
        """

        def take(folder: Path) -> dict[str, np.ndarray]:
            if read_plain(folder / COMPLETE) is None:
                raise Unusable("")
            parts = self._parts(folder, episodes)
            arrays = whole(parts, self.facts)
            self._check(parts, arrays, range(parts.count))
            return arrays

        found = obtain(
            self.places,
            self.name,
            f"features of {self.title}",
            take,
            lambda folder: self._encode(folder, observations(), episodes),
        )
        return found["feature"], found["proprio"]

    def _check(self, parts: Parts, arrays: Fields, done: Collection[int]) -> None:
        """Encode again the kept frames of the episodes that are done. Raises `Unusable`.

        What `encode` itself raises is not caught: it would raise the same on the demonstrations.
        """
        kept = recall(parts.folder).within(parts.spans(done))
        rows = list(kept.rows)
        if not rows:
            raise Unusable("has no kept frame that is whole")
        if "proprio" not in kept.inputs or not np.array_equal(arrays["proprio"][rows], kept.inputs["proprio"]):
            raise Unusable("has a proprio.npy that is not that of its demonstrations")
        shortest = min(parts.pieces.lengths[parts.pieces.owners[row]] for row in rows)
        again = self._encode_kept(kept.inputs, min(BATCH, shortest))
        found = departure(arrays["feature"][rows], again)
        if found > SAME[self.bf16]:
            raise Unusable(f"was made by other code or weights (a kept frame's feature departs by {found:.1e})")

    def _encode_kept(self, inputs: Fields, batch: int) -> np.ndarray:
        """On a GPU the kernel is chosen by the batch's shape, so there a few frames are encoded as a full batch."""
        count = len(next(iter(inputs.values())))
        fill = [number % count for number in range(max(batch, count) if self.device.type == "cuda" else count)]
        filled = {name: array[fill] for name, array in inputs.items()}
        return self._encode_rows(filled, slice(0, len(fill))).numpy()[:count]

    def _parts(self, folder: Path, episodes: Episodes) -> Parts:
        """Raises `Unusable`."""
        try:
            shapes = {name: tuple(map(int, size)) for name, size in dict(read_plain(folder / SHAPES) or {}).items()}
            if set(shapes) != {"feature", "proprio"} or {size[0] for size in shapes.values()} != {episodes.rows}:
                raise ValueError("they are of other arrays")
        except (ValueError, TypeError, IndexError) as error:
            raise Unusable(f"has no readable {SHAPES}") from error
        return Parts(folder, shapes, dict.fromkeys(shapes, "float32"), episodes)

    def _begun(self, folder: Path, episodes: Episodes) -> tuple[Parts, dict[str, np.ndarray], Sums] | None:
        """What can be gone on with, whole or half made; None if there is nothing. What cannot be is said."""
        if not any(os.path.lexists(folder / name) for name in (DONE, COMPLETE)):
            return None
        try:
            parts = self._parts(folder, episodes)
        except Unusable as reason:
            say(f"{folder} {reason}: made again")
            return None
        check = functools.partial(self._check, parts)
        arrays, done = resume(parts, self.facts, "made again", check)
        return (parts, arrays, done) if done else None

    def _encode(self, folder: Path, frames: Frames, episodes: Episodes) -> dict[str, np.ndarray]:
        begun = self._begun(folder, episodes)
        if begun is None:
            # from the middle of the first demonstration and of the last
            first, last = episodes.lengths[0], episodes.lengths[-1]
            rows = sorted({first // 2, episodes.rows - last + last // 2})
            kept = Kept(tuple(rows), frames.at(rows))
            shape = tuple(self._encode_rows(kept.inputs, slice(0, 1)).shape[1:])
            shapes = {"feature": (episodes.rows, *shape), "proprio": (episodes.rows, *kept.inputs["proprio"].shape[1:])}
            parts, done = Parts(folder, shapes, dict.fromkeys(shapes, "float32"), episodes), Sums()
            arrays = parts.allocate()
            keep(folder, kept)
            write_json(folder / SHAPES, shapes)
        else:
            parts, arrays, done = begun
        missing = [episode for episode in range(parts.count) if episode not in done]
        with explain(folder), bar(f"features {self.title}", parts.count, len(done)) as advance:
            for episode, values in self._encoded(frames, parts, missing):
                parts.write(arrays, done, episode, values)
                advance()
        return finish(parts, self.facts)

    def _encoded(self, frames: Frames, parts: Parts, missing: list[int]) -> Iterator[tuple[int, Fields]]:
        """Feature and proprio of each missing episode, as its last piece comes. Pieces are whole batches but for an
        episode's last, so that a frame has the same neighbours in its batch however it came.
        """
        jobs = [(episode, piece) for episode in missing for piece in frames.pieces(parts.span(episode))]
        found: dict[int, dict[int, dict[str, np.ndarray]]] = {episode: {} for episode in missing}
        for number, fields, rows in frames.draw([piece for _, piece in jobs]):
            episode, piece = jobs[number]
            values = {"feature": self._encode_rows(fields, rows).numpy(), "proprio": np.array(fields["proprio"][rows])}
            found[episode][piece.start] = values
            if sum(len(one["proprio"]) for one in found[episode].values()) == parts.pieces.lengths[episode]:
                of_episode = [one for _, one in sorted(found.pop(episode).items())]
                yield episode, {name: np.concatenate([one[name] for one in of_episode]) for name in values}

    def _encode_rows(self, fields: Fields, rows: slice) -> Tensor:
        return encode_rows(self.policy, fields, rows, self.device, self.bf16)


def encode_rows(policy: Policy, fields: Fields, rows: slice, device: torch.device, bf16: bool) -> Tensor:
    """The frozen part's outputs (rows, ...) float32 on the CPU. Raises `BadFeature`."""
    parts = []
    policy.eval()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for first in range(rows.start, rows.stop, BATCH):
            part = slice(first, min(first + BATCH, rows.stop))
            inputs = {name: torch.from_numpy(np.array(array[part])).to(device) for name, array in fields.items()}
            parts.append(policy.encode_frozen(inputs).float().cpu())
            if not parts[-1].isfinite().all():
                frames = f"{part.start} to {part.stop - 1}"
                raise not_finite(type(policy.representation), f"on the demonstrations (one of frames {frames})")
    return torch.cat(parts).clone()  # an inference tensor could not be trained on


def mapped(array: np.ndarray) -> Tensor:
    """A tensor over a read-only memory map, without a copy. It is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
