"""CLAR's pre-training as an objective: its frames, its teacher, and its model from nothing or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from envs.spec import FieldSpec
from methods.clar.pretraining import Options, Pretraining
from methods.clar.representation import CLAR
from methods.clar.teacher import CARD as TEACHER_CARD
from methods.clar.teacher import RandomTeacher, Teacher
from methods.errors import BadWeights, WeightsMissing
from methods.objective import Batch, FrozenTeacher, Objective, Row, stacked
from methods.weights import choose_weights, load_strictly

CLOUD = ("points", "points_valid")
CAMERA = ("depth", "intrinsics", "extrinsics")
TAUGHT = ("image_feature", "image_map")
"""Of an image, what the teacher makes of it."""


class ClarObjective(Objective):
    """kind: a CLAR encoder, made with `norm` and `feature`. Of several cameras a batch has one for each frame."""

    when_diverged = "form=infonce"

    def __init__(
        self, kind: type[CLAR], specs: Mapping[str, FieldSpec], options: Options, norm: str, feature: str
    ) -> None:
        self.kind, self.specs, self.options, self.norm, self.feature = kind, specs, options, norm, feature
        self.fields = (*CLOUD, "rgb", *CAMERA) if options.taught else CLOUD

    def batch(self, rows: Sequence[Row], draws: np.random.Generator) -> Batch:
        """Clouds; with a teacher also one camera's image of each, which is held against the cloud, and its text."""
        found = stacked(rows, CLOUD)
        if not self.options.taught:
            return found
        chosen: dict[str, list[np.ndarray]] = {name: [] for name in (*CAMERA, *TAUGHT)}
        for row in rows:
            view = int(draws.integers(len(row["depth"])))
            for name, arrays in chosen.items():
                arrays.append(row[name][view])
        found |= {name: torch.from_numpy(np.stack(arrays)) for name, arrays in chosen.items()}
        found["said"] = torch.tensor([row.sentence for row in rows])
        found["text_feature"] = torch.stack([row.text for row in rows if row.text is not None])
        return found

    def build(
        self, training: Callable[[], Iterable[Row]], teacher: FrozenTeacher | None, say: Callable[[str], None]
    ) -> Pretraining:
        """The clouds' range is fitted to the frames that are trained on."""
        representation = self._representation()
        corners = torch.from_numpy(np.stack(cloud_range(training()))).unsqueeze(0)
        both = torch.ones(1, 2, dtype=torch.bool)
        representation.fit({"points": corners, "points_valid": both})
        if self.norm == "fixed":  # of another robot or simulator they may lie far from where policies' clouds will
            low, high = representation.preprocess(corners, both)[0].tolist()
            say(f"norm=fixed: the training clouds reach from {_vector(low)} to {_vector(high)} half-widths of its cube")
        sizes = (teacher.dim, teacher.map_dim) if isinstance(teacher, Teacher) else (512, 768)
        return Pretraining(representation, self.options, *sizes)

    def load(self, tensors: Mapping[str, Tensor], source: str) -> Pretraining:
        """With the clouds' range that is in the checkpoint, which is not fitted again."""
        named = {name.removeprefix("loss."): tensor for name, tensor in tensors.items()}
        try:
            sizes = {
                "teacher_dim": named["contrast.project.weight"].shape[0] if self.options.contrast else 1,
                "map_dim": named["local.sampling.value.weight"].shape[1] if self.options.local else 1,
            }
        except (KeyError, IndexError) as error:
            raise BadWeights(f"{source} is damaged: it lacks {error}, which its card says that it has") from error
        model = Pretraining(self._representation(), self.options, **sizes)
        load_strictly(model, named, source)
        model.representation.preprocess.kept = True
        return model

    def check_teacher(self, name: str, folder: Path) -> None:
        if name != "clip":
            return
        try:
            choose_weights(TEACHER_CARD, None, folder)
        except WeightsMissing as error:
            raise WeightsMissing(
                f"{str(error).splitlines()[0]}\n  (no internet here: bring the files and add --dir FOLDER.) Without a "
                "teacher: --without contrast,local; --teacher random trains the machinery and marks the checkpoint"
            ) from error

    def open_teacher(self, name: str, folder: Path) -> Teacher:
        """`clip` or `random`."""
        self.check_teacher(name, folder)
        return RandomTeacher() if name == "random" else Teacher.load(folder)

    def _representation(self) -> CLAR:
        return self.kind(self.specs, norm=self.norm, feature=self.feature)


def cloud_range(rows: Iterable[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates (3,) of these frames' clouds, metres; one frame at a time."""
    lows, highs = [], []
    for row in rows:
        cloud = row["points"][row["points_valid"]]
        lows.append(cloud.min(axis=0))
        highs.append(cloud.max(axis=0))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _vector(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"
