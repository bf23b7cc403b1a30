"""Training by steps: the same weights wherever it is stopped and however it is cut, and its order and rates."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.data.samples import Samples
from benchmark.settings import seeds
from benchmark.settings.load import load_protocol
from benchmark.training import trainer as module
from benchmark.training.trainer import Trainer
from tests.policy.test_diffusion import CPU, data, make
from tests.training.test_training import trainer as of_method

pytestmark = pytest.mark.slow


def by_steps(kind: str, **changes: Any) -> tuple[Trainer, Samples]:
    """60 samples in batches of 16: a pass is 4 steps, an evaluation comes every 7."""
    numbers = {"steps": 21, "evaluate_every": 7, **changes}
    protocol = dataclasses.replace(load_protocol("quick"), **numbers)
    if kind == "mlp":
        made = of_method("dp3")
        from tests.training.test_training import samples

        return Trainer(made.policy, protocol, 0, 11, CPU, False), samples()
    policy = make()
    policy.fit(data().actions, data().inputs["proprio"])
    return Trainer(policy, protocol, 0, 16, CPU, False), data()


def state(one: Trainer) -> dict[str, Any]:
    """What is trained, what is played, and what is said of it."""
    with one.optimization.averaged():
        played = {name: tensor.clone() for name, tensor in one.policy.state_dict().items()}
    return {"played": played, "trained": one.policy.state_dict(), "history": one.history, "at": (one.epoch, one.steps)}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    tensors = all(torch.equal(one[k][n], other[k][n]) for k in ("played", "trained") for n in one[k])
    return tensors and one["history"] == other["history"] and one["at"] == other["at"]


@pytest.mark.parametrize("kind", ["mlp", "diffusion"])
def test_stopped_anywhere_it_ends_with_the_same_weights(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, samples = by_steps(kind)
    while whole.epoch < 3:
        whole.advance(samples)
    assert (whole.epoch, whole.steps, len(whole.history)) == (3, 21, 3)
    assert [entry["step"] for entry in whole.history] == [7, 14, 21]
    for part, seconds in ((1, 15.0), (5, 15.0), (100, -1.0)):
        monkeypatch.setattr(module, "PART", part)
        monkeypatch.setattr(module, "SECONDS", seconds)
        stopped, _ = by_steps(kind)
        while stopped.steps < 10:
            stopped.advance(samples)
        stopped.save(tmp_path / "c.pt", "me")
        assert stopped.steps == (12 if part == 5 else 10) and stopped.epoch == 1
        resumed, _ = by_steps(kind)
        torch.rand(50)
        resumed.restore(tmp_path / "c.pt", "me")
        monkeypatch.setattr(module, "PART", 100)
        monkeypatch.setattr(module, "SECONDS", 15.0)
        while resumed.epoch < 3:
            resumed.advance(samples)
        assert same(state(resumed), state(whole)), part


def test_every_pass_has_each_sample_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    one, samples = by_steps("diffusion")
    seen: list[list[int]] = []
    real = Samples.picked

    def watching(self: Samples, rows: torch.Tensor, *rest: Any) -> Any:
        seen.append(rows.tolist())
        return real(self, rows, *rest)

    monkeypatch.setattr(Samples, "picked", watching)
    while one.epoch < 3:
        one.advance(samples)
    passes = [[row for batch in seen[at : at + 4] for row in batch] for at in range(0, 20, 4)]
    assert all(sorted(rows) == list(range(60)) for rows in passes)
    order = torch.Generator().manual_seed(seeds.training_seed(0, "order", 2))
    assert passes[2] == torch.randperm(60, generator=order).tolist(), "by (seed, pass)"
    assert len({tuple(rows) for rows in passes}) == 5


def test_the_rates_are_those_of_the_whole_training_and_an_epochs_loss_is_the_mean() -> None:
    one, samples = by_steps("diffusion", steps=60, evaluate_every=30)
    one.train_epoch(samples)
    last = 1e-2 * 0.5 * (1 + math.cos(math.pi * (29 - 5) / (60 - 5)))  # five steps of warm-up, then a cosine over 60
    assert one.steps == 30 and one.optimizer.param_groups[0]["lr"] == pytest.approx(last)
    cut, _ = by_steps("diffusion", steps=23)
    while cut.epoch < 3:
        cut.advance(samples)
    assert cut.steps == 21 and cut.protocol.evaluation_epochs == [1, 2, 3], "it ends with the last evaluation"
