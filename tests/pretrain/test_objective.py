"""The contract is open: an objective in one file trains, resumes, runs in two processes, is judged, and has a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.pretrain import run as runs
from benchmark.pretrain.batches import Loader
from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.pretrain.loading import load_pretraining, objective_of
from benchmark.pretrain.objectives import check_fields, open_objective
from benchmark.pretrain.processes import Group
from benchmark.pretrain.retrieval import retrieval
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import card_inside, facts_for_record
from benchmark.settings.load import choices
from benchmark.settings.pretraining import OBJECTIVES, config_class, load_pretrain
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from methods import METHODS
from methods.errors import BadWeights
from tests.pretrain import scenes, toy_objective
from tests.pretrain.in_several import assert_processes_have
from tests.pretrain.stopping import stopped_before

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
LOOP = (
    "trainer",
    "run",
    "batches",
    "loading",
    "processes",
    "checkpoint",
    "resume",
    "job",
    "judge_retrieval",
    "retrieval",
    "cross_retrieval",
    "teacher_features",
    "objectives",
)
WORDS = (
    "methods.clar",
    "clar_pretraining",
    "image_feature",
    "image_map",
    "text_feature",
    '"clouds',
    "points",
    "contrast.",
    "methods.clamp",
    "clamp_pretraining",
    '"views',
    '"tokens',
    '"past_actions',
    '"object_',
)
"""Of CLAR and CLAMP: modules, tensors, parts of their models."""


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    toy_objective.register(monkeypatch)
    monkeypatch.setattr(runs, "open_frames", lambda *_: toy_objective.frames())


def job(name: str | None = None, *overrides: str, without: tuple[str, ...] = ()) -> PretrainJob:
    return make_job("toy", ["metaworld-35"], without, None, overrides, name)


def pretrain(a_job: PretrainJob, tmp_path: Path) -> dict[str, Any]:
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    return runs.pretrain(a_job, Paths(tmp_path, tmp_path / "data"), runtime, "bench pretrain")[0]


def build(*overrides: str, group: Group | None = None) -> tuple[PretrainTrainer, Loader]:
    """A trainer without dropout and noise, whose gradients then do not depend on how a batch is split."""
    group = group or Group()
    config = load_pretrain("toy", overrides)
    objective = open_objective("toy", config)
    objective.noise = 0.0  # type: ignore[attr-defined]
    frames = toy_objective.frames()
    loader = Loader(frames, objective, None, config.batch_size, 0, group.rank, group.world)
    torch.manual_seed(0)
    model = objective.build(frames.training, None, lambda line: None)
    model.representation.network[2].p = 0.0  # type: ignore[union-attr]
    return PretrainTrainer(model, config, loader.steps_per_epoch, CPU, group), loader


@pytest.mark.slow
def test_it_trains_and_its_card_says_what_it_was(tmp_path: Path) -> None:
    card = pretrain(job(), tmp_path)
    assert card["method"] == "toy" and card["label"] == "metaworld-35-full" and card["teacher"] == "none"
    assert set(card["history"][0]["train"]) == set(card["history"][0]["valid"]) == {"pairs", "rebuilt", "size", "total"}
    first, last = card["history"][0]["train"], card["history"][-1]["train"]
    assert last["pairs"] < 0.7 * first["pairs"] and last["rebuilt"] < first["rebuilt"]
    path = job().weights(tmp_path)
    model, inside = load_pretraining(path)
    assert isinstance(model, toy_objective.ToyModel) and not model.training
    assert card["objective"] == inside["objective"] == {"bias": round(model.bias_of_pairs.item(), 6)}
    assert card["objective"]["bias"] != -10, "the bias is trained"
    facts = facts_for_record(path)
    assert facts is not None and facts["variant"] == "full" and not facts["untrained_teacher"]
    assert (path.parent / "curves.png").exists()
    less = pretrain(job(None, without=("rebuild",)), tmp_path)
    assert less["label"] == "metaworld-35-without-rebuild" and "rebuilt" not in less["history"][0]["train"]


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_killed_it_ends_with_the_same_weights(accumulate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = f"accumulate={accumulate}"
    expected = pretrain(job("whole", split), tmp_path)
    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    with stopped_before(13):
        pretrain(job("broken", split), tmp_path)
    card = pretrain(job("broken", split), tmp_path)
    assert len(card["attempts"]) == 2 and card["history"] == expected["history"]
    ours, theirs = (load_pretraining(job(n, split).weights(tmp_path))[0].state_dict() for n in ("broken", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_parts_have_the_whole_batchs_gradient_in_both_embeddings_temperature_and_bias() -> None:
    whole, loader = build()
    batch = next(loader.start(0, 1))
    parts, _ = build("accumulate=4")
    one, other = whole.train_step(batch), parts.train_step(batch)
    assert other["pairs"] == pytest.approx(one["pairs"], rel=1e-5)
    for (name, ours), theirs in zip(parts.model.named_parameters(), whole.model.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None and theirs.grad.norm() > 0, name
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_gradient_norms_leave_out_what_is_not_there() -> None:
    trainer, loader = build("rebuild=false")
    terms = trainer.train_step(next(loader.start(0, 1)), norms=True)
    assert set(terms) == {"pairs", "size", "total", "gradient/pairs"}


@pytest.mark.slow
def test_two_processes_have_one_processs_gradient(tmp_path: Path) -> None:
    alone, loader = build()
    alone.train_step(next(loader.start(0, 1)))
    expected = toy_objective.gradient(alone.model)  # type: ignore[arg-type]
    assert_processes_have(expected, tmp_path, "toy")


@pytest.mark.slow
def test_it_is_judged_by_the_pairs_it_has(tmp_path: Path) -> None:
    card = pretrain(job(None, "epochs=40"), tmp_path)
    model, _ = load_pretraining(job(None, "epochs=40").weights(tmp_path))
    found = retrieval(model, Loader(toy_objective.frames(), objective_of(card), None, 1, 0), 4, 0, CPU)
    rows = {row["query"]: row for row in found["results"]}
    assert set(rows) == {"right@1", "right@5"} and rows["right@1"]["queries"] == 4 * 4, "one query an instruction"
    assert rows["right@1"]["recall"] > 0.9 > rows["right@1"]["chance"]


def test_what_it_needs_and_what_it_is_told_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"frames of scenes \(blobs\) have no left, right, .* they have depth"):
        check_fields(scenes.frames(), toy_objective.ToyObjective.fields)
    for overrides, message in ((("sharpness=4",), "at most 3"), (("weight=-1",), "at least 0")):
        with pytest.raises(ConfigError, match=message):
            job(None, *overrides)
    with pytest.raises(ConfigError, match="none of rebuild"):
        job(None, without=("mae",))
    with pytest.raises(ConfigError, match="none of nothing: this method's pre-training has no such choice"):
        make_job("toy", ["metaworld-35"], teacher="clip")


@pytest.mark.slow
def test_weights_of_an_objective_that_is_not_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = job().weights(tmp_path)
    pretrain(job(), tmp_path)
    monkeypatch.delitem(OBJECTIVES, "toy")
    with pytest.raises(BadWeights, match="said to be of toy, which has no pre-training here"):
        card_inside(path)


def test_the_loop_names_no_objective() -> None:
    for name in LOOP:
        text = (ROOT / "benchmark" / "pretrain" / f"{name}.py").read_text()
        for word in WORDS:
            assert word not in text, f"{name}.py names {word}"


def test_each_shipped_objective_has_its_method_its_file_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OBJECTIVES, "toy")
    assert sorted(OBJECTIVES) == choices("pretrain") and set(OBJECTIVES) <= set(METHODS)
    assert all(type(load_pretrain(name)) is config_class(name) for name in OBJECTIVES)
