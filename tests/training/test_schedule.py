"""The protocol's own schedule of rates: warm-up and cosine, epoch by epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.settings.load import load_settings
from benchmark.settings.protocol import Protocol
from benchmark.system.errors import ConfigError
from benchmark.training.optimizer import epoch_factor
from envs.identity import named_by
from tests.policy import test_diffusion
from tests.training.test_training import samples, trainer, weights

CLAR = load_settings("metaworld-15", "clar", "mlp").protocol
SCHEDULE = {"schedule": "cosine", "warmup_epochs": 2, "epochs": 6, "evaluate_every": 3}


def scheduled(**changes: Any) -> Protocol:
    return dataclasses.replace(CLAR, **{"schedule": "cosine", "warmup_epochs": 10, "epochs": 30} | changes)


def test_it_is_that_of_torchs_schedulers() -> None:
    """Lift3D's: LinearLR from a tenth over 10 epochs, then CosineAnnealingLR over the others."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=10)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    rates = []
    for epoch in range(30):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        (warm if epoch < 10 else cosine).step()
    assert [epoch_factor(scheduled(), epoch) for epoch in range(30)] == pytest.approx(rates, abs=1e-9)
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1) and rates[-1] < 0.01
    assert [epoch_factor(CLAR, epoch) for epoch in (0, 7, 149)] == [1.0] * 3
    assert epoch_factor(scheduled(schedule="constant"), 29) == 1.0
    assert epoch_factor(scheduled(epochs=3, evaluate_every=3), 2) == pytest.approx(0.28), "it may end within"


@pytest.mark.slow
def test_a_training_follows_it_and_goes_on_with_it_after_a_stop(tmp_path: Path) -> None:
    whole, stopped, resumed = (trainer("dp3", **SCHEDULE) for _ in range(3))
    rates = []
    for _ in range(4):
        whole.train_epoch(samples())
        rates.append([group["lr"] for group in whole.optimizer.param_groups])
    factors = [epoch_factor(whole.protocol, epoch) for epoch in range(4)]
    assert factors == pytest.approx([0.1, 0.55, 1.0, 0.8535534])
    assert rates == [[pytest.approx(1e-3 * factor)] * 2 for factor in factors], "the head's and the encoder's"
    stopped.train_epoch(samples())
    stopped.train_epoch(samples())
    stopped.save(tmp_path / "c.pt", "me")
    resumed.restore(tmp_path / "c.pt", "me")
    resumed.train_epoch(samples())
    resumed.train_epoch(samples())
    assert torch.equal(weights(whole), weights(resumed))
    constant = trainer("dp3")
    for _ in range(4):
        constant.train_epoch(samples())
    assert not torch.equal(weights(whole), weights(constant))


def test_a_head_with_a_schedule_of_its_own_keeps_it() -> None:
    one, other = test_diffusion.trainer(), test_diffusion.trainer()
    other.optimization.protocol = dataclasses.replace(other.protocol, **SCHEDULE)
    for step in range(0, 100, 9):
        for trained in (one, other):
            trained.optimization.before_step(step, 100, epoch=step // 20)
        assert one.optimizer.param_groups[0]["lr"] == other.optimizer.param_groups[0]["lr"]


def test_it_is_left_out_of_names_until_it_is_used() -> None:
    assert not {"schedule", "warmup_epochs"} & set(named_by(CLAR))
    assert {"schedule", "warmup_epochs"} <= set(named_by(scheduled()))


def test_the_protocol_of_keyframes_has_it() -> None:
    p = load_settings("rlbench4-port", "clar-rlbench", "mlp").protocol
    assert (p.train_demos, p.valid_demos, p.schedule, p.warmup_epochs) == (100, 20, "cosine", 10)
    assert (p.epochs, p.evaluate_every, p.rollouts, p.retest_rollouts) == (150, 10, 25, 100), "CLAR's, as ever"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "cosin"}, "none of constant, cosine"),
        ({"steps": 100}, "counts epochs, and protocol.steps=100 leaves none to count"),
    ],
)
def test_what_contradicts_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scheduled(**changes)
