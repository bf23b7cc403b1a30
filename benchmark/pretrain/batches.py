"""Batches of a pre-training as tensors, read ahead in a thread so that the network does not wait for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from benchmark import seeds
from benchmark.pretrain.frames import CLOUD, Frames
from benchmark.pretrain.order import batches
from benchmark.pretrain.teacher_features import TeacherFeatures

Batch = dict[str, Tensor]
AHEAD = 3


class Loader:
    """Training batches from any step on: the same ones, whenever they are asked for."""

    def __init__(self, frames: Frames, taught: TeacherFeatures | None, size: int, seed: int, rank: int = 0,
                 world: int = 1) -> None:  # fmt: skip
        self.frames, self.taught, self.size, self.seed = frames, taught, size, seed
        self.rank, self.world = rank, world
        self.rows = frames.rows(held_out=False)
        self.steps_per_epoch = max(1, len(self.rows) // size)

    def order(self) -> Iterator[np.ndarray]:
        """Frame numbers (size,) of every step."""
        sources: dict[str, tuple[list[int], list[str]]] = {}
        for row in self.rows:
            shard, at = self.frames.place(int(row))
            numbers, names = sources.setdefault(shard.source, ([], []))
            numbers.append(int(row))
            names.append(shard.trajectories[at])
        chosen = [(name, np.array(numbers), names) for name, (numbers, names) in sources.items()]
        return batches(chosen, self.frames.weights, self.size, self.seed)

    def start(self, step: int, last: int) -> Iterator[Batch]:
        """This process's part of batches `step` to `last - 1`, made ahead of time in a thread."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(AHEAD)
        stop = threading.Event()

        def put(item: Batch | BaseException) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def work() -> None:
            try:
                for number, rows in enumerate(islice(self.order(), step, last), start=step):
                    put(self.batch(rows[self.rank :: self.world], number))
                    if stop.is_set():
                        return
            except BaseException as error:  # handed to whoever waits for the batch
                put(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            for _ in range(step, last):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            thread.join()

    def batch(self, rows: Sequence[int] | np.ndarray, step: int) -> Batch:
        """These frames. Of several cameras one is drawn for each, by `step`: its picture is held against the cloud."""
        found = {name: torch.from_numpy(array) for name, array in self.frames.gather(list(rows), CLOUD).items()}
        if self.taught is None:
            return found
        rng = np.random.default_rng([seeds.training_seed(self.seed, "camera"), step])
        parts: dict[str, list[np.ndarray]] = {}
        said = []
        for row in rows:
            shard, at = self.frames.place(int(row))
            view = int(rng.integers(shard.fields["depth"].shape[1]))
            images = self.taught.images[self.frames.shards.index(shard)]
            for name in ("depth", "intrinsics", "extrinsics"):
                parts.setdefault(name, []).append(shard.fields[name][at, view])
            for name in ("image_feature", "image_map"):
                parts.setdefault(name, []).append(images[name][at, view])
            said.append(self.taught.said(shard.instructions[at]))
        found |= {name: torch.from_numpy(np.stack(arrays)) for name, arrays in parts.items()}
        found["said"] = torch.tensor(said)
        found["text_feature"] = self.taught.texts[found["said"]]
        return found
