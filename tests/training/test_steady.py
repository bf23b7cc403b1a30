"""`protocol=steady`: a moving average of any head's weights is played, and nothing is selected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.settings.load import load_protocol, load_settings
from benchmark.settings.settings import Settings
from benchmark.training.checkpoint import load_policy
from tests.records.forging import forge
from tests.training.test_training import samples, trainer

pytestmark = pytest.mark.slow

AVERAGE = {"average_power": 0.75}


def parameters(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def test_the_average_is_the_formulas_and_is_what_is_played(tmp_path: Path) -> None:
    """rate_t = min(1 - (1 + t)^-power, 0.9999), t from 0 at the first step, which takes the weights as they are."""
    one = trainer("dp3", **AVERAGE)
    expected, step = parameters(one.policy), one.optimization.after_step
    count = 0

    def watched() -> None:
        nonlocal count
        step()
        count += 1
        rate = min(1 - count**-0.75, 0.9999)
        for mean, weight in zip(expected, one.policy.parameters(), strict=True):
            mean.mul_(rate).add_(weight.detach(), alpha=1 - rate)

    one.optimization.after_step = watched  # type: ignore[method-assign]
    for _ in range(3):
        one.train_epoch(samples())
    trained = parameters(one.policy)
    with one.optimization.averaged():
        for mean, weight in zip(expected, one.policy.parameters(), strict=True):
            torch.testing.assert_close(weight, mean, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(a, b) for a, b in zip(trained, expected, strict=True))
    one.save(tmp_path / "c.pt", "me")
    played = trainer("dp3", **AVERAGE).policy
    load_policy(played, tmp_path / "c.pt")
    for mean, weight in zip(expected, played.parameters(), strict=True):
        torch.testing.assert_close(weight, mean, rtol=1e-4, atol=1e-6)


def test_a_training_that_stopped_goes_on_to_the_same_average(tmp_path: Path) -> None:
    whole, stopped, resumed = (trainer("dp3", **AVERAGE) for _ in range(3))
    for _ in range(4):
        whole.train_epoch(samples())
    for one in (stopped, resumed):
        if one is resumed:
            stopped.save(tmp_path / "c.pt", "me")
            one.restore(tmp_path / "c.pt", "me")
        one.train_epoch(samples())
        one.train_epoch(samples())
    with whole.optimization.averaged(), resumed.optimization.averaged():
        for a, b in zip(whole.policy.parameters(), resumed.policy.parameters(), strict=True):
            assert torch.equal(a, b)


def test_without_it_nothing_is_averaged() -> None:
    assert trainer("dp3").optimization.ema is None
    steady, clar = load_protocol("steady"), load_protocol("clar")
    assert (steady.clip_actions, steady.schedule, steady.select) == (True, "cosine", "final")
    assert steady.average_power == 0.75 and clar.average_power == 0
    words = ("name", "title", "source", "clip_actions", "schedule", "average_power", "select")
    assert dataclasses.replace(steady, **{word: getattr(clar, word) for word in words}) == clar


def test_the_last_checkpoint_is_the_headline_and_another_is_found(toy_settings: Settings, tmp_path: Path) -> None:
    small = {"train_demos": 4, "valid_demos": 1, "horizon": 60, "epochs": 4, "evaluate_every": 2, "rollouts": 4}
    changes = [f"protocol.{key}={value}" for key, value in (small | {"retest_rollouts": 6}).items()]
    steady = load_settings("metaworld-15", "steady", "mlp", [*changes, "runtime.workers=2"])
    settings = dataclasses.replace(steady, suite=toy_settings.suite)
    found = {}
    for seed in (0, 1):
        (cell,) = make_cells(settings, ["far"], ["state"], [seed])
        paths = Paths(tmp_path, tmp_path / "data")
        record, _ = run_cell(cell, paths, "test")
        assert record.selected_epoch == record.retest.epoch == record.evaluations[-1].epoch
        found[cell.record(paths)] = [one.tally.k for one in record.evaluations]
    path = next(iter(found))
    forge(path, lambda d: (d.update(selected_epoch=2), d["retest"].update(epoch=2)))
    with pytest.raises(BadRecord, match="epoch 2 was retested, but epoch 4 is the last"):
        read(path)
