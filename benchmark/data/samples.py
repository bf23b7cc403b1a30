"""Demonstrations as training data: which observations and which actions belong to a row of a batch."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.data.demos import Demos
from benchmark.data.episodes import Episodes, equal_pieces
from benchmark.system.errors import ConfigError
from benchmark.system.gpu import pinned
from benchmark.system.read_ahead import read_ahead
from methods.policy import Looks


@dataclass(frozen=True)
class Part:
    """Of a task's demonstrations those that are trained on, or those that are held out: its rows of what was seen and
    of the actions, the actions of each, and `Samples.frames`."""

    seen: slice
    acted: slice
    lengths: tuple[int, ...]
    frames: Tensor | None


def parts_of(demos: Demos, every: int) -> tuple[Part, Part]:
    """every: how many steps lie between two frames that are seen."""
    seen, acted = demos.every(every).train_rows, demos.train_rows
    own = demos.episodes.first(demos.train).lengths, demos.episodes.after(demos.train).lengths
    steps = torch.from_numpy(demos.rows_of_every(every))
    frames = (steps[:seen], steps[seen:] - acted) if every > 1 else (None, None)
    return (
        Part(slice(0, seen), slice(0, acted), own[0], frames[0]),
        Part(slice(seen, None), slice(acted, None), own[1], frames[1]),
    )


Batch = tuple[dict[str, Tensor], Tensor, Tensor]
"""Inputs, targets, and which targets lie outside the episode."""


class Joined:
    """Tensors (T_i, ...) end to end without a copy: files of features that are larger than the memory."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        devices = {part.device for part in parts}
        self.parts, self.device = parts, parts[0].device if len(devices) == 1 else torch.device("cpu")
        self.ends = torch.tensor([len(part) for part in parts]).cumsum(0)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Rows of any shape, as a tensor's own indexing gives them."""
        flat = rows.flatten().cpu()
        owner = torch.bucketize(flat, self.ends, right=True)
        found = torch.empty((len(flat), *self.parts[0].shape[1:]), dtype=self.parts[0].dtype, device=self.device)
        for number, part in enumerate(self.parts):
            mine = owner == number
            own = flat[mine] - (int(self.ends[number]) - len(part))
            found[mine] = part[own.to(part.device)].to(self.device)
        return found.view(*rows.shape, *found.shape[1:])


@dataclass(frozen=True)
class Picked:
    """seen: frames that a batch looks at, (B,) or (B, obs_steps). aimed: those whose actions it is trained on, (B,) or
    (B, chunk); padded: (B, chunk) bool. read: of what it looks at, the fields that are not on the device.
    """

    seen: Tensor
    aimed: Tensor
    padded: Tensor
    read: dict[str, Tensor]

    def pinned(self, device: torch.device) -> Picked:
        """In memory that the GPU copies from by itself."""
        own = pinned({"seen": self.seen, "aimed": self.aimed, "padded": self.padded}, device)
        return Picked(**own, read=pinned(self.read, device))


@dataclass(frozen=True)
class Samples:
    """Training data: fields (T, ...), with the frozen part's outputs, `feature`, in place of the method's input.

    steps: frames of each episode, one number if all are of one length; they follow each other. None: a single one. A
    window never leaves its episode: at the ends the first observation and the last action are repeated.
    frames: where not every step is looked at (`Protocol.frame_every`), the rows of `actions` (T, A) at which the N rows
    of the fields stand, (N,) int64 on the CPU; `steps` counts actions.
    """

    inputs: Mapping[str, Tensor]
    actions: Tensor
    steps: int | Sequence[int] | None = None
    frames: Tensor | None = None

    def __len__(self) -> int:
        """How many frames there are to look at."""
        return len(self.actions) if self.frames is None else len(self.frames)

    @functools.cached_property
    def episodes(self) -> Episodes:
        """Raises ValueError for episodes that are not as many frames as there are."""
        every = len(self.actions)
        steps = self.steps or max(1, every)
        episodes = equal_pieces(every, steps) if isinstance(steps, int) else Episodes(tuple(steps))
        if episodes.rows != every:
            raise ValueError(f"episodes of {episodes.rows} frames together, and there are {every}")
        return episodes

    @functools.cached_property
    def at(self) -> Tensor:
        """The row of `actions` at which each frame stands: (N,) int64 on the CPU."""
        return torch.arange(len(self.actions)) if self.frames is None else self.frames

    @functools.cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Of each frame its episode's first action, and the one behind its last: (N,) int64 on the CPU."""
        own, lengths = self.episodes.owners[self.at.numpy()], np.array(self.episodes.lengths, np.int64)
        first = self.episodes.starts[own]
        return torch.from_numpy(first), torch.from_numpy(first + lengths[own])

    def rows(self, head: Looks) -> Tensor:
        """Those that the head is trained on, in order: none of an episode that is too short. Raises `ConfigError` if
        all are."""
        every = torch.arange(len(self))
        first, end = self.ends
        if len(self) and not (longest := int((end - first).max())) > head.left_out:
            raise ConfigError(
                f"head.pad_after leaves out the last {head.left_out} frames of an episode, and episodes have {longest}"
            )
        return every[self.at < end - head.left_out] if head.left_out else every

    def batch(self, rows: Tensor, device: torch.device, head: Looks | None = None) -> Batch:
        """Inputs (B, ...), or (B, obs_steps, ...), and targets (B, A), or (B, chunk, A), as the policy wants them; and
        (B, chunk) bool, True where a target lies outside the episode, whose last (first) action stands there.
        """
        return self.placed(self.picked(rows, head), device)

    def batches(self, chosen: Sequence[Tensor], device: torch.device, head: Looks | None = None) -> Iterator[Batch]:
        """`batch` of each of these rows. What a GPU needs from files is read in a thread while it computes."""
        picks = (self.picked(rows, head) for rows in chosen)
        if device.type == "cuda" and any(values.device.type == "cpu" for values in self.inputs.values()):
            picks = read_ahead(one.pinned(device) for one in picks)  # type: ignore[assignment]
        return (self.placed(one, device) for one in picks)

    def picked(self, rows: Tensor, head: Looks | None = None) -> Picked:
        """What of `batch` is done on the CPU."""
        seen, aimed = rows, self.at[rows] if self.frames is not None else rows
        padded = torch.zeros(len(rows), 1, dtype=torch.bool)
        if head is not None and (head.obs_steps > 1 or head.chunk > 1):
            first, end = (of_each[rows].unsqueeze(1) for of_each in self.ends)
            if head.obs_steps > 1:
                assert self.frames is None, "a cell that looks back has every frame (`Cell.specs`)"
                seen = (rows.unsqueeze(1) + torch.arange(1 - head.obs_steps, 1)).maximum(first)
            if head.chunk > 1:
                aimed = aimed.unsqueeze(1) + torch.arange(-head.lead, head.chunk - head.lead)
                wanted, aimed = aimed, aimed.maximum(first).minimum(end - 1)
                padded = wanted != aimed
        read = {name: values[seen] for name, values in self.inputs.items() if values.device.type == "cpu"}
        return Picked(seen, aimed, padded, read)

    def placed(self, picked: Picked, device: torch.device) -> Batch:
        """The rest: `picked` on the device, with what lies there already."""
        seen, aimed = picked.seen.to(device, non_blocking=True), picked.aimed.to(device, non_blocking=True)
        inputs = {
            name: picked.read[name].to(device, non_blocking=True) if name in picked.read else values[seen]
            for name, values in self.inputs.items()
        }
        on_device = self.actions.device.type == device.type
        targets = self.actions[aimed if on_device else picked.aimed].to(device, non_blocking=True)
        return inputs, targets, picked.padded.to(device, non_blocking=True)
