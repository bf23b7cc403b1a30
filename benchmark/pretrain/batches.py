"""Batches of a pre-training as tensors, read ahead in a thread so that the network does not wait for the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from benchmark.pretrain.batch_order import batches
from benchmark.pretrain.data.frames import Frames
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.settings import seeds
from benchmark.system.gpu import pinned
from benchmark.system.read_ahead import read_ahead
from methods.objective import Batch, Objective, Row


class Loader:
    """Training batches from any step on: the same ones, whenever they are asked for."""

    def __init__(
        self,
        frames: Frames,
        objective: Objective,
        taught: TeacherFeatures | None,
        size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        device: torch.device | None = None,
    ) -> None:
        """device: that batches are for. For a GPU those of `start` lie in pinned memory, from where they are copied
        while the GPU computes."""
        self.device = device or torch.device("cpu")
        self.frames, self.objective, self.taught, self.size, self.seed = frames, objective, taught, size, seed
        arrays = taught.arrays if taught is not None else [{} for _ in frames.shards]
        self._fields = [{**shard.fields, **more} for shard, more in zip(frames.shards, arrays, strict=True)]
        self._sentences = {sentence: number for number, sentence in enumerate(frames.sentences())}
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
        chosen = enumerate(islice(self.order(), step, last), start=step)
        return read_ahead(pinned(self.batch(rows[self.rank :: self.world], n), self.device) for n, rows in chosen)

    def batch(self, rows: Sequence[int] | np.ndarray, step: int) -> Batch:
        """These frames as the objective's tensors; what it chooses of them is drawn by `step`."""
        # the name is from when cameras were all that was drawn; another would draw other cameras
        draws = np.random.default_rng([seeds.training_seed(self.seed, "camera"), step])
        return self.objective.batch([self._row(int(row)) for row in rows], draws)

    def _row(self, number: int) -> Row:
        shard, at = self.frames.place(number)
        fields, sentence = self._fields[self.frames.shards.index(shard)], shard.instructions[at]
        if self.taught is None:
            return Row(fields, at, sentence, self._sentences[sentence])
        return Row(fields, at, sentence, self._sentences[sentence], self.taught.texts[self._sentences[sentence]])
