"""Clouds found by their image and their instruction: the measure itself, and that it can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.pretrain.judge_retrieval import _sources
from benchmark.pretrain.retrieval import chance_of, retrieval
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.system.errors import ConfigError
from methods.clar.encoder import EncoderConfig
from methods.clar.objective import cloud_range
from methods.clar.pretraining import Pretraining
from methods.clar.representation import CLAR
from methods.clar.teacher import RandomTeacher
from tests.methods.test_clar_objective import SPECS
from tests.pretrain import planted
from tests.pretrain.test_training import build, config, loader_of, run, taught_frames

CPU = torch.device("cpu")


def recall(model: Pretraining, frames: object, taught: TeacherFeatures, galleries: int = 2) -> dict[str, float]:
    found = retrieval(model, loader_of(frames, taught, 1), galleries, 0, CPU)
    return {row["query"]: row["recall"] for row in found["results"]}


def test_an_oracle_finds_everything_and_a_constant_what_chance_gives(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    model = build(config())
    rows = frames.rows(held_out=True)
    batch = loader_of(frames, taught, 1).batch(rows, 0)
    by_cloud = {tuple(p.flatten().tolist()): f for p, f in zip(batch["points"], batch["image_feature"], strict=True)}

    class Oracle(nn.Module):
        def forward(self, observations: dict[str, Tensor]) -> Tensor:
            return torch.stack([by_cloud[tuple(p.flatten().tolist())] for p in observations["points"]])

    assert model.contrast is not None
    oracle = Oracle()
    oracle.encode = oracle.forward  # type: ignore[assignment]
    model.representation = oracle  # type: ignore[assignment]
    model.contrast.project = nn.Identity()  # type: ignore[assignment]
    found = retrieval(model, loader_of(frames, taught, 1), 3, 0, CPU)
    assert found["gallery"] == 6, "held-out trajectories: 2 of one task, seen by two cameras, and 4 of the other"
    results = {row["query"]: row for row in found["results"]}
    assert results["image@1"]["recall"] == 1 and results["image@1"]["queries"] == 18
    assert results["image@1"]["chance"] == 1 / 6 and results["image@5"]["chance"] == 5 / 6
    by_cloud = {cloud: torch.ones(16) for cloud in by_cloud}
    constant = recall(model, frames, taught, 3)
    assert constant["image@1"] == 1 / 6, "of equal scores the first wins"


def test_chance_is_that_of_a_blind_draw() -> None:
    assert chance_of(1, 10, 1) == pytest.approx(0.1)
    assert chance_of(1, 10, 5) == pytest.approx(0.5)
    assert chance_of(2, 10, 5) == pytest.approx(1 - (8 * 7 * 6 * 5 * 4) / (10 * 9 * 8 * 7 * 6))
    assert chance_of(8, 10, 5) == 1


def test_without_contrast_or_held_out_frames_there_is_nothing_to_measure(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    with pytest.raises(ValueError, match="without contrast"):
        retrieval(build(config("contrast=false")), loader_of(frames, taught, 1), 1, 0, CPU)


class Learner(CLAR):
    config = EncoderConfig(patches=8, patch_points=12, width=64, depth=2, heads=4, drop_path=0.0, hidden=(16, 32, 32))


@pytest.mark.slow
def test_a_planted_correspondence_is_learnt(tmp_path: Path) -> None:
    """The whole objective, from chance (1.6 %) to more than 80 % of unseen images finding their cloud first."""
    torch.manual_seed(0)
    frames = planted.frames()
    taught = TeacherFeatures(frames, RandomTeacher(size=32, patch=4, dim=64, map_dim=64), tmp_path, CPU)
    # the planted things lie around the origin, not in the cube of norm=fixed
    c = config("epochs=8", "batch_size=32", "learning_rate=3e-3", "norm=task")
    model = Pretraining(Learner(SPECS, norm=c.norm), c.options(), 64, 64)
    low, high = cloud_range(frames.training())
    corners = torch.from_numpy(np.stack([low, high])).unsqueeze(0)
    model.representation.fit({"points": corners, "points_valid": torch.ones(1, 2, dtype=torch.bool)})
    before = recall(model, frames, taught)
    loader = loader_of(frames, taught, 32)
    trainer = PretrainTrainer(model, c, loader.steps_per_epoch, CPU)
    terms = run(trainer, loader, 8 * loader.steps_per_epoch)
    after = recall(model, frames, taught)
    assert before["image@1"] < 0.1
    assert after["image@1"] > 0.8, after
    assert after["text@1"] == 1, after
    assert terms[-1]["local"] < 0.5 * terms[0]["local"], "patches find their pixels, too"
    assert terms[-1]["mae"] < 0.5 * terms[0]["mae"]


CARD = {
    "identity": {
        "config": {},
        "data": [
            {"name": "aloha-pretrain", "kind": "aloha", "demos": 3, "env_options": ["stand_ins=true", "noise=0.02"]},
            {"name": "metaworld-34", "kind": "metaworld", "demos": 3},
        ],
    }
}


def test_settings_of_one_source_leave_the_others_as_their_card_has_them() -> None:
    def found(*overrides: str) -> list[tuple[int, dict[str, str]]]:
        sources = _sources(CARD, None, overrides)
        return [(one.demos, dict(text.split("=") for text in one.env_options)) for one in sources]

    options = {"stand_ins": "true", "noise": "0.02"}
    assert found() == [(3, options), (3, {})]
    assert found("aloha-pretrain.demos=4") == [(4, options), (3, {})]
    assert found("env.aloha.root=/x") == [(3, {**options, "root": "/x"}), (3, {})], "and what else is said of it stays"
    assert found("env.aloha.noise=0.05")[0] == (3, {**options, "noise": "0.05"})


@pytest.mark.parametrize("idle", ["foo=3", "metaworld34.demos=3", "metaworld-35.demos=3", "env.rlbench.headless=true"])
def test_a_setting_of_no_source_is_refused(idle: str) -> None:
    for data in (None, ["metaworld-34"]):
        with pytest.raises(ConfigError, match=f"{idle} changes nothing here"):
            _sources(CARD, data, [idle])
