"""CLAMP's pre-training from its job to its checkpoint: what it learns, killed, split, loaded, refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.encoders.specs import encoder_specs
from benchmark.experiment.make_cells import make_cells, preflight
from benchmark.pretrain import judge_retrieval
from benchmark.pretrain import run as runs
from benchmark.pretrain.batches import Loader
from benchmark.pretrain.cross_retrieval import cross_retrieval, held_out_examples
from benchmark.pretrain.data.frames import Frames
from benchmark.pretrain.data.sources import load_data, open_frames
from benchmark.pretrain.data.triplets import _check
from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.pretrain.judge_retrieval import judge, retrieval_table
from benchmark.pretrain.loading import load_pretraining, objective_of
from benchmark.pretrain.objectives import open_objective
from benchmark.pretrain.processes import Group
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import facts_for_record
from benchmark.settings.load import load_settings
from benchmark.settings.pretraining import load_pretrain
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from methods.clamp.description import NoText
from methods.clamp.objective import BadActions
from methods.clamp.pretraining import ClampPretraining
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.clamp.string import CayleyString
from methods.errors import BadWeights, WeightsMissing
from methods.objective import Row
from tests.pretrain import clamp_scenes
from tests.pretrain.in_several import assert_processes_have
from tests.pretrain.stopping import stopped_before

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FEW = [
    "epochs=2",
    "warmup_epochs=1",
    "steps_per_epoch=4",
    "batch_size=8",
    "log_every=2",
    "position_digits=1",
    "context=0",
]
ENOUGH = [
    "epochs=8",
    "steps_per_epoch=25",
    "batch_size=25",
    "learning_rate=3e-3",
    "bias=-3",
    "position_digits=1",
    "context=0",
]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(monkeypatch)
    monkeypatch.setattr(runs, "open_frames", lambda *_: clamp_scenes.frames())
    monkeypatch.setattr(judge_retrieval, "open_frames", lambda *_: clamp_scenes.frames())


def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLAMPSmall, "config", clamp_scenes.ENCODER)
    monkeypatch.setattr(CLAMPSmall, "text_config", clamp_scenes.TEXT)


def job(*overrides: str, name: str | None = None, without: tuple[str, ...] = ()) -> PretrainJob:
    return make_job("clamp-small", ["metaworld-34"], without, None, [*(overrides or FEW)], name)


def pretrain(a_job: PretrainJob, tmp_path: Path) -> dict[str, Any]:
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    return runs.pretrain(a_job, Paths(tmp_path, tmp_path / "data"), runtime, "bench pretrain")[0]


def build(*overrides: str, group: Group | None = None) -> tuple[PretrainTrainer, Loader]:
    """A trainer without dropout, whose gradients then do not depend on how a batch is split."""
    group = group or Group()
    config = load_pretrain("clamp-small", [*FEW, *overrides])
    objective = open_objective("clamp-small", config)
    frames = clamp_scenes.frames()
    loader = Loader(frames, objective, None, config.batch_size, 0, group.rank, group.world)
    torch.manual_seed(0)
    model = objective.build(frames.training, None, lambda line: None)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    return PretrainTrainer(model, config, 4, CPU, group), loader


def gradient(trainer: PretrainTrainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def loader_of(frames: Frames, model: ClampPretraining | None = None) -> Loader:
    return Loader(frames, open_objective("clamp-small", load_pretrain("clamp-small", FEW)), None, 8, 0)


def assert_strings_invariance(layer: CayleyString) -> None:
    """Logits depend on differences of position alone, with the parameters that were learnt."""
    torch.manual_seed(0)
    queries, keys = torch.randn(2, 2, len(layer.free), 7, layer.width)
    places = torch.rand(2, 7, 3)

    def logits(positions: Tensor) -> Tensor:
        rotate = layer.rotation(positions)
        return rotate(queries) @ rotate(keys).transpose(-1, -2)

    with torch.no_grad():
        here = logits(places)
        torch.testing.assert_close(logits(places + torch.tensor([0.4, -0.3, 0.2])), here, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(logits(1.1 * places), here, atol=0.1), "positions must matter"


def test_planted_triplets_find_each_other_in_all_directions_and_shuffled_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls = {}
    for shuffled in (False, True):
        frames = clamp_scenes.frames(clamp_scenes.shard(shuffled))
        monkeypatch.setattr(runs, "open_frames", lambda *_, frames=frames: frames)
        one = job(*ENOUGH, name=f"planted-{shuffled}")
        card = pretrain(one, tmp_path)
        model, _ = load_pretraining(one.weights(tmp_path))
        found = cross_retrieval(model, Loader(frames, objective_of(card), None, 25, 0), "all", CPU)
        recalls[shuffled] = {row["query"]: row for row in found["results"]}
        assert found["gallery"] == 25
        layers = [module for module in model.modules() if isinstance(module, CayleyString)]
        moved = [float(layer.free.detach().std()) for layer in layers]
        assert layers and min(moved) > 0.012, f"it began at 0.01 and was trained: {moved}"
        for layer in layers:
            assert_strings_invariance(layer)
    right, wrong = recalls[False], recalls[True]
    assert set(right) == {
        f"{a}-to-{b}@{k}"
        for a in ("image", "text", "action")
        for b in ("image", "text", "action")
        for k in (1, 5)
        if a != b
    }
    assert all(row["recall"] > 0.8 for name, row in right.items()), right
    assert all(row["chance"] == pytest.approx(int(name[-1]) / 25) for name, row in right.items())
    assert all(wrong[name]["recall"] < 0.25 for name in wrong if name.endswith("@1")), wrong


def test_it_trains_its_card_says_what_it_was_and_policies_load_it(tmp_path: Path) -> None:
    card = pretrain(job(), tmp_path)
    assert card["label"] == "metaworld-34-full" and card["teacher"] == "none" and card["steps"] == 8
    terms = {"image_text", "image_action", "text_action"}
    assert set(card["history"][0]["train"]) == set(card["history"][0]["valid"]) == terms | {"total"}
    last = card["history"][-1]["train"]
    assert last["total"] == pytest.approx(sum(last[name] for name in terms) / 3)
    assert card["objective"]["temperature"] != [10.0] and card["objective"]["bias"] != [-4.0], "both are trained"
    path = job().weights(tmp_path)
    facts = facts_for_record(path)
    assert facts is not None and facts["variant"] == "full" and facts["steps"] == 8
    specs = encoder_specs(CLAMPSmall.card)
    model, _ = load_pretraining(path)
    fresh = CLAMPSmall(specs)
    fresh.load_weights([path])
    fresh.fit({"past_actions": torch.full((1, 50, 4), 9.0)})
    assert all(torch.equal(v, fresh.state_dict()[n]) for n, v in model.representation.state_dict().items())
    assert fresh.high[0] == pytest.approx(0.9, abs=0.1), "the range of the pre-training's actions is kept"

    less = pretrain(job(without=("text",)), tmp_path)
    assert less["label"] == "metaworld-34-without-text"
    assert set(less["history"][0]["train"]) == {"image_action", "total"}


def test_its_dropout_is_at_work_though_policies_keep_it_frozen() -> None:
    model = open_objective("clamp-small", load_pretrain("clamp-small", FEW)).build(
        clamp_scenes.frames().training, None, lambda line: None
    )
    assert isinstance(model, ClampPretraining)
    model.train()
    assert model.representation.actions.layers.layers[0].dropout.training
    model.eval()
    assert not model.representation.actions.layers.layers[0].dropout.training
    fresh = CLAMPSmall(encoder_specs(CLAMPSmall.card)).train()
    assert not fresh.training and not fresh.actions.eval().training


def test_killed_it_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pretrain(job(name="whole"), tmp_path)
    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    with stopped_before(5):
        pretrain(job(name="broken"), tmp_path)
    card = pretrain(job(name="broken"), tmp_path)
    assert len(card["attempts"]) == 2 and card["history"] == expected["history"]
    ours, theirs = (load_pretraining(job(name=n).weights(tmp_path))[0].state_dict() for n in ("broken", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_parts_have_the_whole_batchs_gradient() -> None:
    for scales in ("shared", "pair"):
        whole, loader = build(f"scales={scales}")
        parts, _ = build(f"scales={scales}", "accumulate=4")
        batch = next(loader.start(0, 1))
        one, other = whole.train_step(batch), parts.train_step(batch)
        assert other["total"] == pytest.approx(one["total"], rel=1e-5)
        for (name, ours), theirs in zip(parts.model.named_parameters(), whole.model.parameters(), strict=True):
            assert ours.grad is not None and theirs.grad is not None, name
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_four_processes_have_one_processs_gradient(tmp_path: Path) -> None:
    alone, loader = build()
    alone.train_step(next(loader.start(0, 1)))
    assert_processes_have(gradient(alone), tmp_path, "clamp", count=4)


def test_examples_are_chosen_as_appendix_b_says() -> None:
    loader = loader_of(clamp_scenes.frames())
    rows = held_out_examples(loader, "task-step")
    places = [loader.frames.place(row)[0].fields["object_places"][loader.frames.place(row)[1]][0] for row in rows]
    cells = {(int(3 * x), int(3 * y)) for x, y, _ in places}
    assert len(rows) == len(cells) == 9, "one step of one task: each cell once"
    assert len(held_out_examples(loader, "trajectory")) == len(held_out_examples(loader, "all")) == 25
    shard = clamp_scenes.shard()
    shard.fields["step"][:] = 15  # type: ignore[index]
    with pytest.raises(ValueError, match="at least 2 held-out examples, not 0 of 25"):
        held_out_examples(loader_of(clamp_scenes.frames(shard)), "all")


def test_equal_contents_are_right_for_each_other() -> None:
    shard = clamp_scenes.shard()
    past = np.zeros_like(shard.fields["past_actions"])  # as before the first step
    fields = {**shard.fields, "past_actions": past}
    frames = clamp_scenes.frames(dataclasses.replace(shard, fields=fields))
    trainer, _ = build()
    found = cross_retrieval(trainer.model, loader_of(frames), "all", CPU)
    rows = {row["query"]: row for row in found["results"]}
    assert rows["image-to-action@1"]["recall"] == rows["image-to-action@1"]["chance"] == 1
    assert rows["image-to-text@1"]["chance"] == pytest.approx(1 / 25)


def test_bench_retrieval_judges_it(tmp_path: Path) -> None:
    pretrain(job(), tmp_path)
    path, picture = job().weights(tmp_path), tmp_path / "matrix.png"
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    found = judge(path, None, [], None, 1, 0, runtime, tmp_path / "data", None, picture)
    assert found["gallery"] == 9 and found["selection"] == "task-step" and found["trained_on_it"]
    assert picture.stat().st_size > 5_000
    table = retrieval_table(found)
    assert len(table.rows) == 12 and table.rows[0][0] == "image-to-text@1"
    with pytest.raises(ConfigError, match="--select grid is none of task-step, trajectory, all"):
        judge(path, None, [], None, 1, 0, runtime, tmp_path / "data", "grid")


def test_a_task_that_was_pretrained_on_is_not_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clamp_scenes.frames(clamp_scenes.shard(task="reach"))
    monkeypatch.setattr(runs, "open_frames", lambda *_: frames)
    pretrain(job(), tmp_path)
    settings, chosen = load_settings("metaworld-15", "quick", "mlp"), str(job().weights(tmp_path))
    with pytest.raises(ConfigError, match="was pre-trained on demonstrations of reach"):
        make_cells(settings, ["reach"], ["clamp-small"], [0], chosen)
    preflight(make_cells(settings, ["hammer"], ["clamp-small"], [0], chosen))


def test_bad_input_is_named_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shard, kind, message in (
        (clamp_scenes.shard(text=" "), NoText, "no instruction"),
        (clamp_scenes.shard(actions=14), BadActions, "past actions of 14 numbers and others of 4"),
    ):
        frames = clamp_scenes.frames(shard, clamp_scenes.shard())
        monkeypatch.setattr(runs, "open_frames", lambda *_, frames=frames: frames)
        with pytest.raises(kind, match=message):
            pretrain(job(name="bad"), tmp_path)
    monkeypatch.setattr(runs, "open_frames", lambda *_: clamp_scenes.frames())
    pretrain(job(), tmp_path)
    path, specs = job().weights(tmp_path), encoder_specs(CLAMPSmall.card)
    other = clamp_scenes.frames(clamp_scenes.shard(actions=14))
    monkeypatch.setattr(judge_retrieval, "open_frames", lambda *_: other)
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    with pytest.raises(ConfigError, match="actions of 14 numbers, and this encoder reads 4: they are of another robot"):
        judge(path, None, [], None, 1, 0, runtime, tmp_path / "data")
    with torch.device("meta"):
        paper = CLAMP(specs)
    with pytest.raises(BadWeights, match="width 32 with patches of 10 pixels, and clamp has width 768 with 16"):
        paper.load_weights([path])
    wider = {**specs, "past_actions": dataclasses.replace(specs["past_actions"], shape=(50, 14))}
    with pytest.raises(BadWeights, match="pre-trained on actions of 4 numbers, and this robot's have 14"):
        CLAMPSmall(wider).load_weights([path])
    with pytest.raises(ConfigError, match="sign=minus is none of siglip, as_printed"):
        job("sign=minus")
    with pytest.raises(ConfigError, match="none of text"):
        job(without=("mae",))
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="calibrated: no actions and no objects' places"):
        open_frames([load_data("calibrated", [f"calibrated.root={tmp_path}"])], tmp_path, False, 1, True)
    with pytest.raises(WeightsMissing, match="bench weights clamp-text --fetch"):
        open_objective("clamp", load_pretrain("clamp"))


def test_an_empty_cloud_is_named() -> None:
    filled = np.ones((6, 5, 4, 4), bool)
    filled[4] = False
    episodes = type("Episodes", (), {"owners": np.array([0, 0, 0, 1, 1, 1]), "starts": np.array([0, 3])})
    demos: Any = type("Demos", (), {"episodes": episodes, "task": "push"})
    with pytest.raises(ConfigError, match="frame 1 of demonstration 1 of push has an empty cloud"):
        _check(demos, filled)


def test_a_frame_is_described_by_its_fields() -> None:
    shard = clamp_scenes.shard()
    objective: Any = loader_of(clamp_scenes.frames()).objective
    said = objective.describe(Row(shard.fields, 0, shard.instructions[0]))
    assert said.startswith("move it; block at 0.1 0.1 0.0; progress ")
