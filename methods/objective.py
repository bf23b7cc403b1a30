"""What a pre-training objective is: the contract between a method's loss and the loop that trains it.

An `Objective` is one configuration, before any weights exist: which fields of frames it needs, how frames become
tensors, what a frozen teacher computes once, how its model is built and read back. An `ObjectiveModel` is what is
trained: a representation and whatever its loss needs beside it. The loop (`benchmark.pretrain`) splits batches over
parts and processes, caches gradients, saves and resumes, and knows none of their tensors by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from methods.base import Representation

Batch = dict[str, Tensor]
"""Tensors whose first axis is the batch."""


@dataclass(frozen=True, eq=False)
class Row:
    """One frame: `row["depth"]` is that field of it, without the batch's axis, read from the disk only when it is used.

    fields: (n, ...) arrays of the frames that are stored together, the teacher's features among them. at: which one.
    sentence: a number that is equal where instructions are. text: (D,) the teacher's feature of the instruction.
    """

    fields: Mapping[str, np.ndarray]
    at: int
    instruction: str
    sentence: int = 0
    text: Tensor | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.fields[name][self.at]

    def __contains__(self, name: str) -> bool:
        return name in self.fields


def stacked(rows: Sequence[Row], names: Sequence[str]) -> Batch:
    """These fields of these frames, (B, ...)."""
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in names}


@dataclass(frozen=True)
class Feature:
    """An array that a teacher gives for each frame. tolerance: the largest difference, relative to the largest value,
    of a frame that the same code computes again.
    """

    shape: tuple[int, ...]
    dtype: str
    tolerance: float


class FrozenTeacher(Protocol):
    """What is computed once for each frame and each instruction, and never trained."""

    @property
    def inputs(self) -> Sequence[str]:
        """The fields that it sees."""

    def identity(self) -> str:
        """Changes with its weights: part of every cache key."""

    def to(self, device: torch.device) -> FrozenTeacher:
        """Move its weights."""

    def outputs(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Feature]:
        """Name -> what it gives for one frame whose inputs have these shapes."""

    def features(self, inputs: Mapping[str, np.ndarray], device: torch.device) -> dict[str, np.ndarray]:
        """Inputs (B, ...) to arrays (B, *shape) of the dtypes that `outputs` says."""

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """(n, D)."""


@dataclass(frozen=True)
class Pairs:
    """Unit vectors of held-out frames in one space, to judge a pre-training by.

    own: (B, D), of what is found. queries: name -> (B, D), of what it is found by; row i belongs to row i.
    groups: name -> (B,) int; rows with equal numbers are one query, and each of them is right.
    """

    own: Tensor
    queries: Mapping[str, Tensor]
    groups: Mapping[str, Tensor] = field(default_factory=dict)


class ObjectiveModel(nn.Module, ABC):
    """What is trained: `representation`, which policies use afterwards, and the parts that the loss needs.

    A term is a scalar with a name. Terms that one part of a batch decides come from `forward`. Terms that compare all
    samples of a batch with each other (contrast) come from `batch_terms`, which gets the embeddings of all parts and of
    all processes; the loop carries their gradients back part by part (Gao et al. 2021, "GradCache"), so every parameter
    that a batch term uses beside the embeddings (a shared temperature, a bias) must be used there and not in `forward`.
    """

    representation: Representation
    embeddings: Sequence[str] = ()
    """Of what `forward` gives: (B, ...) tensors with gradients for `batch_terms`. The rest are terms."""
    gathered: Sequence[str] = ()
    """Of a batch: what `batch_terms` needs of all processes and parts."""
    undecayed: Sequence[str] = ()
    """Last names of parameters without weight decay, beside biases, norms and scalars."""

    @property
    def action_size(self) -> int | None:
        """Numbers of an action that it reads; None where it reads none."""
        return None

    @property
    @abstractmethod
    def weights(self) -> Mapping[str, float]:
        """Weight of each term that is trained for. A term without a weight is only noted."""

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fields (B, ...) to scalars by term, and to embeddings by name. Draws come from torch's global generator."""

    def batch_terms(self, embeddings: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms of the whole batch: embeddings (B, ...) and the `gathered` fields (B, ...). {} without any."""
        return {}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum over the terms that are there."""
        return sum(weight * terms[name] for name, weight in self.weights.items() if name in terms)  # type: ignore[return-value]

    def after_step(self) -> None:
        """After every step of the optimiser; temperatures are held in their range here."""

    def parts(self) -> dict[str, Any]:
        """The checkpoint's tensors, nested; `representation` is what `load_weights` of the method reads."""
        rest = {n: t for n, t in self.state_dict().items() if not n.startswith("representation.")}
        return {"representation": self.representation.state_dict(), "objective": rest}

    @property
    def why_no_pairs(self) -> str:
        """Why there is no space in which held-out frames are found, or ""."""
        return "its objective has no space that representation and queries share"

    def pairs(self, batch: Mapping[str, Tensor]) -> Pairs:
        """Held-out frames in the shared space. Only called where `why_no_pairs` is ""."""
        raise NotImplementedError

    @property
    def modalities(self) -> Mapping[str, str]:
        """Of an objective whose modalities find each other, in all directions: name -> the field of a batch that it is
        computed from. {} for one that is judged by `pairs`.
        """
        return {}

    def spaces(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Unit vectors (B, D) of each of `modalities`, in one space."""
        raise NotImplementedError

    def probabilities(self, pair: tuple[str, str], left: Tensor, right: Tensor) -> Tensor:
        """(B, C): how likely `left` (B, D) of the pair's first modality and `right` (C, D) of its second match."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What the checkpoint's card says of the objective beside its settings; plain data."""
        return {}


class Objective(ABC):
    """One configuration of a pre-training, cheap to make.

    fields: of frames, which `batch` and the teacher read; sources render no others. when_diverged: what to try, in
    words.
    """

    fields: Sequence[str]
    when_diverged: str = ""
    selections: Sequence[str] = ("all",)
    """Rules by which `examples` chooses, the default one first."""

    def examples(self, rows: Sequence[Row], trajectories: Sequence[str], selection: str) -> list[int]:
        """Which of the held-out frames (n,), of these trajectories, are what `modalities` are judged on."""
        return list(range(len(rows)))

    @abstractmethod
    def batch(self, rows: Sequence[Row], draws: np.random.Generator) -> Batch:
        """Frames as tensors. draws: this step's; whatever is chosen of a frame (one of its cameras) comes from it."""

    @abstractmethod
    def build(
        self, training: Callable[[], Iterable[Row]], teacher: FrozenTeacher | None, say: Callable[[str], None]
    ) -> ObjectiveModel:
        """The model at its start, under the seed that torch's generator has.

        training: gives the frames that are trained on, for what is fitted to them. say: takes a line for a person.
        """

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor], source: str) -> ObjectiveModel:
        """The model of a checkpoint: `parts` with names joined by dots. Raises `BadWeights`, which names `source`."""

    def check_teacher(self, name: str, folder: Path) -> None:  # noqa: B027  (many have nothing to check)
        """Raises `WeightsMissing`, with the commands that mend it, before any work. folder: where weights are."""

    def open_teacher(self, name: str, folder: Path) -> FrozenTeacher:
        """One of the configuration's `teachers`. Raises `WeightsMissing`."""
        raise NotImplementedError
