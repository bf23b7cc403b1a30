"""Heads, behaviour cloning, checkpoints, whole cells on the toy simulator."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.features import encode_rows
from benchmark.data.samples import Samples
from benchmark.experiment import cell_run, work_folder
from benchmark.experiment.cell import Cell
from benchmark.experiment.existing_work import check_demos
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.act import EmptyCloud, act
from benchmark.policy.build import make_head
from benchmark.policy.direct import BatchNormMLPHead, MLPHead
from benchmark.policy.episode_memory import Memory
from benchmark.policy.policy import HeadPolicy, PolicyDiverged
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.records.record import Record
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError, OtherSettings
from benchmark.training.trainer import Trainer
from envs.errors import SpecMismatch
from envs.pool import EnvConfig, Pool
from envs.registry import env_class
from envs.spec import ObservationRequest
from methods.registry import method_class

CPU = torch.device("cpu")


def config(name: str, **changes: Any) -> Any:
    return dataclasses.replace(load_settings("metaworld-15", "clar", name).head, **changes)


def test_the_mlp_head_projects_each_modality_and_is_orthogonal() -> None:
    head = make_head(config("mlp"), 64, 4, 4)
    assert isinstance(head, MLPHead)
    assert head.project_feature.weight.shape == (256, 64)
    assert head.project_proprio.weight.shape == (256, 4)
    linear = [m for m in head.layers if isinstance(m, torch.nn.Linear)]
    assert [m.weight.shape for m in linear] == [(256, 512), (256, 256), (256, 256), (4, 256)]
    for layer, gain in zip(linear, [math.sqrt(2)] * 3 + [0.01], strict=True):
        torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(len(layer.weight)) * gain**2)
    assert sum(isinstance(m, torch.nn.SELU) for m in head.layers) == 3
    blind = make_head(config("mlp"), 0, 4, 4)
    assert blind(torch.zeros(2, 0), torch.zeros(2, 4)).shape == (2, 4)


def test_the_bnmlp_head_normalises_the_raw_concatenation() -> None:
    head = make_head(config("bnmlp"), 64, 4, 4)
    assert isinstance(head, BatchNormMLPHead)
    assert head.normalize.num_features == 68
    assert head.normalize.weight.unique().item() == 1
    assert make_head(config("bnmlp", input_scale=0.01), 64, 4, 4).normalize.weight.unique().item() == pytest.approx(
        0.01
    )


def test_lift3ds_mlp_head_keeps_torchs_biases() -> None:
    torch.manual_seed(0)
    right = make_head(config("mlp"), 64, 4, 4)
    torch.manual_seed(0)
    theirs = make_head(config("mlp", compat="lift3d"), 64, 4, 4)
    for one, other in zip(right.layers, theirs.layers, strict=True):
        if isinstance(one, torch.nn.Linear):
            assert torch.equal(one.weight, other.weight)
            assert not one.bias.any()
            assert 0 < other.bias.abs().max() <= one.in_features**-0.5, "torch's default: uniform in 1 / sqrt(inputs)"
    with pytest.raises(ConfigError, match=r"head.compat=lift3d is of the mlp head alone"):
        config("bnmlp", compat="lift3d")


def memories(rows: int = 9) -> list[Memory]:
    return [Memory(seed) for seed in range(rows)]


def samples(rows: int = 40) -> Samples:
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "points": torch.rand(rows, 64, 3, generator=generator),
        "points_valid": torch.ones(rows, 64, dtype=torch.bool),
        "proprio": torch.rand(rows, 2, generator=generator),
    }
    return Samples(inputs, torch.rand(rows, 2, generator=generator))


def trainer(method: str = "dp3", seed: int = 0, **protocol: Any) -> Trainer:
    specs = env_class("metaworld").specs(ObservationRequest(("points", "points_valid"), ("corner",), num_points=64))
    torch.manual_seed(seed)
    representation = method_class(method)(specs)
    representation.freeze_as_card_says()
    policy = HeadPolicy(representation, make_head(config("mlp"), representation.feature_dim, 2, 2))
    settings = dataclasses.replace(load_settings("metaworld-15", "quick", "mlp").protocol, **protocol)
    return Trainer(policy, settings, seed, 16, CPU, False)


def weights(t: Trainer) -> torch.Tensor:
    return torch.cat([v.flatten().float() for v in t.policy.state_dict().values()])


@pytest.mark.parametrize("method", ["dp3", pytest.param("pointnet", marks=pytest.mark.slow)])
def test_training_that_stopped_continues_to_the_same_weights(method: str, tmp_path: Path) -> None:
    whole = trainer(method)
    for _ in range(3):
        whole.train_epoch(samples())
    stopped = trainer(method)
    stopped.train_epoch(samples())
    stopped.save(tmp_path / "c.pt", "me")
    resumed = trainer(method, seed=0)
    torch.rand(100)
    resumed.restore(tmp_path / "c.pt", "me")
    for _ in range(2):
        resumed.train_epoch(samples())
    assert torch.equal(weights(whole), weights(resumed))
    assert whole.history == resumed.history
    assert whole.steps == resumed.steps == 9
    with pytest.raises(ValueError, match="other settings; --overwrite"):
        resumed.restore(tmp_path / "c.pt", "you")


def test_another_seed_is_another_run() -> None:
    assert not torch.equal(weights(trainer(seed=0)), weights(trainer(seed=1)))


def test_a_frozen_methods_features_are_computed_once_and_train_alike() -> None:
    live, cached = trainer("random-features"), trainer("random-features")
    whole = samples()
    arrays = {name: value.numpy() for name, value in whole.inputs.items()}
    feature = encode_rows(cached.policy, arrays, slice(0, len(whole)), CPU, False)
    features = Samples({"feature": feature, "proprio": whole.inputs["proprio"]}, whole.actions)
    live.train_epoch(samples())
    cached.train_epoch(features)
    torch.testing.assert_close(weights(live), weights(cached), rtol=1e-3, atol=1e-5)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    bad = samples()
    bad.actions[3, 0] = float("nan")
    with pytest.raises(PolicyDiverged, match="training loss is nan in epoch 1.*protocol.learning_rate"):
        trainer().train_epoch(bad)


def test_an_action_that_is_not_finite_is_an_error_and_rows_do_not_depend_on_their_batch() -> None:
    policy = trainer().policy.eval()
    observations = {name: value.numpy() for name, value in samples(9).inputs.items()}
    whole = act(policy, observations, memories(), CPU, False)
    for rows in ([0], [4, 2], [8, 7, 6], list(range(9))[::-1]):
        np.testing.assert_array_equal(
            act(policy, {k: v[rows] for k, v in observations.items()}, memories(len(rows)), CPU, False), whole[rows]
        )
    with torch.no_grad():
        policy.head.layers[-1].bias[0] = float("inf")
    with pytest.raises(PolicyDiverged, match="action is not finite"):
        act(policy, observations, memories(), CPU, False)


def test_a_cloud_without_points_is_an_error() -> None:
    observations = {name: value.numpy().copy() for name, value in samples(3).inputs.items()}
    observations["points_valid"][1] = False
    with pytest.raises(EmptyCloud, match="nothing is inside the crop"):
        act(trainer().policy.eval(), observations, memories(), CPU, False)


@pytest.mark.cuda
def test_the_same_code_on_cuda() -> None:
    t = trainer()
    t.policy.to("cuda")
    cuda = Trainer(t.policy, t.protocol, 0, 16, torch.device("cuda"), True)
    assert math.isfinite(cuda.train_epoch(samples()))


def test_bf16_trains() -> None:
    t = trainer()
    assert math.isfinite(Trainer(t.policy, t.protocol, 0, 16, CPU, True).train_epoch(samples()))


# -- whole cells ------------------------------------------------------------------------------------------------------


def cell(settings: Settings, method: str = "state", seed: int = 0) -> Cell:
    return make_cells(settings, ["near"], [method], [seed])[0]


def facts(record: Record) -> dict[str, Any]:
    data = dataclasses.asdict(record)
    for name in ("timings", "provenance", "seal"):  # the seal is of all of the file, these two as well
        data.pop(name)
    return data


def test_half_finished_work_learns_on_from_the_demonstrations_it_began_with(tmp_path: Path) -> None:
    check_demos(tmp_path, "a" * 64)
    check_demos(tmp_path, "a" * 64)
    with pytest.raises(OtherSettings, match="learned from other demonstrations"):
        check_demos(tmp_path, "b" * 64)


@pytest.mark.slow
def test_a_cell_from_nothing_to_its_record(tmp_path: Path, toy_settings: Settings) -> None:
    paths = Paths(tmp_path / "out", tmp_path / "data")
    record, new = run_cell(cell(toy_settings), paths, "bench run")
    assert new
    path = tmp_path / "out/records" / record.protocol / "toy-suite/near/state/mlp-s0.json"
    assert record.protocol.startswith("quick+epochs=4,evaluate_every=2,horizon=60,")
    assert path.exists()
    assert path.with_suffix(".png").stat().st_size > 5000
    assert facts(read(path)) == facts(record)
    assert [e.epoch for e in record.evaluations] == [2, 4]
    assert [len(e.episodes) for e in record.evaluations] == [4, 4]
    assert record.retest.tally.n == 6
    assert record.frozen["by_card"]
    assert record.frozen["unchanged"]
    assert record.training["optimizer_steps"] == 4 * math.ceil(4 * 60 / 16)
    with np.load(path.with_suffix(".actions.npz")) as actions:
        assert sorted(actions) == sorted(str(seed) for seed, *_ in record.retest.episodes)
        with Pool(EnvConfig(toy_settings.suite.env, "near", ObservationRequest(("proprio",))), 1) as pool:
            for seed, success, steps, _ in record.retest.episodes:
                ((_, flags),) = pool.map("replay", [(seed, actions[str(seed)])])
                assert (any(flags), len(flags)) == (bool(success), steps), "the kept actions replay to the outcome"
    again, new = run_cell(cell(toy_settings), paths, "bench run")
    assert not new
    assert facts(again) == facts(record)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dp3", "proprio-only"])
def test_other_methods_and_heads(method: str, tmp_path: Path, toy_settings: Settings) -> None:
    settings = dataclasses.replace(toy_settings, head=config("bnmlp"))
    record, _ = run_cell(cell(settings, method), Paths(tmp_path, tmp_path), "x")
    assert record.frozen["unchanged"] == (method == "proprio-only")
    assert record.training["parameters_encoder"] == (59_072 if method == "dp3" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["after training", "in the rollouts", "in the retest"])
def test_a_cell_that_was_stopped_ends_with_the_same_record(
    stop: str, tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run_cell(cell(toy_settings, "dp3"), Paths(tmp_path / "a", tmp_path / "d"), "x")
    real, calls = cell_run.rollout, 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if (stop, calls) in {("after training", 1), ("in the rollouts", 2), ("in the retest", 3)}:
            if stop == "in the rollouts":
                real(*arguments, **options)
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(cell_run, "rollout", interrupted)
    paths = Paths(tmp_path / "b", tmp_path / "d")
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell(toy_settings, "dp3"), paths, "x")
    resumed, _ = run_cell(cell(toy_settings, "dp3"), paths, "x")
    assert facts(resumed) == facts(whole)


@pytest.mark.slow
def test_training_is_saved_between_two_evaluations_as_well(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run_cell(cell(toy_settings), Paths(tmp_path / "a", tmp_path / "d"), "x")
    monkeypatch.setattr(work_folder, "SAVE_EVERY", 0.0)
    real, calls = Trainer.train_epoch, 0

    def interrupted(self: Trainer, samples: Samples) -> float:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(self, samples)

    monkeypatch.setattr(Trainer, "train_epoch", interrupted)
    paths = Paths(tmp_path / "b", tmp_path / "d")
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell(toy_settings), paths, "x")
    assert [file.name for file in (tmp_path / "b").rglob("resume-*.pt")] == ["resume-0003.pt"]
    resumed, _ = run_cell(cell(toy_settings), paths, "x")
    assert calls == 5, "only the fourth epoch was trained again"
    assert facts(resumed) == facts(whole)
    assert not list((tmp_path / "b").rglob("resume-*.pt"))
    assert len(resumed.provenance["attempts"]) == 2


@pytest.mark.slow
def test_records_of_other_settings_are_never_taken_for_this_cells(tmp_path: Path, toy_settings: Settings) -> None:
    paths = Paths(tmp_path, tmp_path)
    tiny = dataclasses.replace(toy_settings.protocol, name="tiny")  # whose numbers no file of ours says
    run_cell(cell(dataclasses.replace(toy_settings, protocol=tiny)), paths, "x")
    other = dataclasses.replace(toy_settings, protocol=dataclasses.replace(tiny, learning_rate=0.5e-3))
    with pytest.raises(OtherSettings, match=r"protocol.learning_rate: 0.001 there, 0.0005 here.*--overwrite"):
        run_cell(cell(other), paths, "x")
    record, new = run_cell(cell(other), paths, "x", overwrite=True)
    assert new
    assert record.identity["protocol"]["learning_rate"] == 0.5e-3


def test_a_method_that_sees_what_the_simulator_cannot_give(tmp_path: Path, toy_settings: Settings) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from methods.base import Representation\nfrom methods.card import *\n"
        "class Mine(Representation):\n"
        "    card = MethodCard('mine', 'm', 's', '2d', ('rgb',), None, 'frozen', '2d', 'p', 'MIT')\n"
        "    feature_dim = 1\n"
    )
    with pytest.raises(SpecMismatch, match=r"mine observes \['rgb'\], which toy cannot give"):
        make_cells(toy_settings, None, [f"{file}:Mine"], [0])


def test_a_damaged_record_names_the_mend(tmp_path: Path, toy_settings: Settings) -> None:
    paths = Paths(tmp_path, tmp_path)
    path = cell(toy_settings).record(paths)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(BadRecord, match="or use --overwrite, to compute it again"):
        run_cell(cell(toy_settings), paths, "x")


def test_bad_records_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, message in (
        ("{", "it is no record"),
        ('{"schema": 99}', "it has schema 99, and this version reads 1"),
        ('{"schema": 1}', "it is no record"),
        ('{"schema": 2}', "there is no suite"),
    ):
        path.write_text(text)
        with pytest.raises(BadRecord, match=f"x.json: .*{message}"):
            read(path)
