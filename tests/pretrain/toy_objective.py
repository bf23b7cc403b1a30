"""A whole pre-training objective in one file: two views of a hidden place, contrasted as SigLIP does, and rebuilt.

It is what the contract must hold beside CLAR: two embeddings that are both trained and gathered, one temperature and
one bias for the whole batch, a term that each part decides alone, fields and settings that nothing else has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.pretrain.data.frames import Frames, Shard
from benchmark.settings.bounds import Factor, Range
from benchmark.settings.pretraining import OBJECTIVES, PretrainConfig
from methods import registry
from methods.base import Representation
from methods.card import MethodCard, PointInput
from methods.objective import Batch, FrozenTeacher, Objective, ObjectiveModel, Pairs, Row, stacked
from methods.weights import load_strictly

SIZE, WIDTH = 6, 16


class Toy(Representation):
    """(B, SIZE) `left` to (B, WIDTH)."""

    card = MethodCard(
        name="toy",
        title="Toy",
        summary="a linear map",
        kind="control",
        observes=("proprio",),
        input=PointInput(16, "limits"),
        training="end-to-end",
        batch="3d",
        paper="none",
        licence="MIT",
    )
    feature_dim = WIDTH

    def __init__(self, specs: Any) -> None:
        super().__init__(specs)
        hidden = 2 * WIDTH
        self.network = nn.Sequential(nn.Linear(SIZE, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, WIDTH))

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(observations["left"])


class ToyModel(ObjectiveModel):
    embeddings = ("left", "right")
    gathered = ("said",)
    undecayed = ("bias_of_pairs",)

    def __init__(self, representation: Toy, weight: float, rebuild: bool) -> None:
        super().__init__()
        self.representation, self.weight = representation, weight
        self.other = nn.Linear(SIZE, WIDTH)
        self.decoder = nn.Linear(WIDTH, SIZE) if rebuild else None
        self.log_scale = nn.Parameter(torch.tensor(math.log(10)))
        self.bias_of_pairs = nn.Parameter(torch.tensor(-10.0))

    @property
    def weights(self) -> Mapping[str, float]:
        return {"pairs": self.weight, **({"rebuilt": 1.0} if self.decoder is not None else {})}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = self.representation.encode(batch)
        found = {"left": _unit(features), "right": _unit(self.other(batch["right"]))}
        if self.decoder is not None:
            found["rebuilt"] = functional.mse_loss(self.decoder(features), batch["left"])
        return {**found, "size": features.detach().norm(dim=-1).mean()}

    def batch_terms(self, embeddings: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scores = embeddings["left"] @ embeddings["right"].T * self.log_scale.exp() + self.bias_of_pairs
        same = batch["said"].unsqueeze(0) == batch["said"].unsqueeze(1)
        return {"pairs": -functional.logsigmoid(torch.where(same, scores, -scores)).sum(dim=1).mean()}

    def after_step(self) -> None:
        with torch.no_grad():
            self.log_scale.clamp_(0, math.log(100))

    @property
    def why_no_pairs(self) -> str:
        return ""

    def pairs(self, batch: Mapping[str, Tensor]) -> Pairs:
        found = self(batch)
        return Pairs(found["left"], {"right": found["right"]}, {"right": batch["said"]})

    def facts(self) -> dict[str, Any]:
        return {"bias": round(self.bias_of_pairs.item(), 6)}


class ToyObjective(Objective):
    fields = ("left", "right")
    noise = 0.01

    def __init__(self, kind: type[Toy], specs: Any, weight: float, rebuild: bool) -> None:
        self.kind, self.specs, self.weight, self.rebuild = kind, specs, weight, rebuild

    def batch(self, rows: Sequence[Row], draws: np.random.Generator) -> Batch:
        found = stacked(rows, self.fields)
        found["right"] = found["right"] + torch.from_numpy(draws.normal(0, self.noise, found["right"].shape)).float()
        return {**found, "said": torch.tensor([row.sentence for row in rows])}

    def build(
        self, training: Callable[[], Iterable[Row]], teacher: FrozenTeacher | None, say: Callable[[str], None]
    ) -> ToyModel:
        say(f"{sum(1 for _ in training())} frames")
        return self._model()

    def load(self, tensors: Mapping[str, Tensor], source: str) -> ToyModel:
        model = self._model()
        load_strictly(model, {name.removeprefix("objective."): t for name, t in tensors.items()}, source)
        return model

    def _model(self) -> ToyModel:
        return ToyModel(self.kind(self.specs), self.weight, self.rebuild)


@dataclass(frozen=True)
class ToyConfig(PretrainConfig):
    parts: ClassVar[tuple[str, ...]] = ("rebuild",)

    rebuild: bool
    weight: Factor
    sharpness: Annotated[int, Range(1, 3)]

    def objective(self, kind: type[Representation], specs: Any) -> ToyObjective:
        assert issubclass(kind, Toy)
        return ToyObjective(kind, specs, self.weight, self.rebuild)

    @property
    def variant(self) -> str:
        return "full" if self.rebuild else "without-rebuild"

    @classmethod
    def defaults(cls, method: str) -> dict[str, Any]:
        return {
            "name": method,
            "source": "this file",
            "epochs": 4,
            "warmup_epochs": 1,
            "batch_size": 8,
            "accumulate": 1,
            "learning_rate": 3e-3,
            "last_learning_rate": 1e-6,
            "weight_decay": 0.05,
            "seed": 0,
            "precision": "fp32",
            "log_every": 1,
            "rebuild": True,
            "weight": 0.5,
            "sharpness": 2,
        }


def register(patch: pytest.MonkeyPatch) -> None:
    """The two entries that a shipped method has in its tables."""
    patch.setitem(OBJECTIVES, "toy", "tests.pretrain.toy_objective:ToyConfig")
    patch.setitem(registry._added, "toy", "tests.pretrain.toy_objective:Toy")


def frames() -> Frames:
    """Each of 4 tasks has a place of its own; `left` and `right` see it through fixed matrices."""
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(2, SIZE, SIZE))
    shards = []
    for task in ("north", "east", "south", "west"):
        places = rng.normal(size=SIZE) + 0.1 * rng.normal(size=(20, SIZE))
        left, right = (np.ascontiguousarray(places @ m, np.float32) for m in matrices)
        number = np.arange(20) % 10
        shards.append(
            Shard(
                source="toy",
                task=task,
                instructions=(f"go {task}",) * 20,
                fields={"left": left, "right": right},
                trajectories=tuple(f"{task}/{i}" for i in number),
                held_out=number >= 8,
                key=f"toy-{task}",
                licence="ours",
            )
        )
    return Frames(tuple(shards), {"toy": 1.0})


def _unit(values: Tensor) -> Tensor:
    return functional.normalize(values.float(), dim=-1)


def gradient(model: ToyModel) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
