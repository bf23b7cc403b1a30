"""What a representation gives is checked at every step, not by the probe alone: a slip may come late."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from benchmark.data.samples import Samples
from benchmark.policy.build import make_policy
from benchmark.policy.policy import HeadPolicy
from benchmark.settings.load import load_settings
from benchmark.training.trainer import Trainer
from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, VectorInput
from methods.errors import BadFeature


class Late(Representation):
    """Right at first, then as `slip` makes it."""

    card = MethodCard(
        name="late",
        title="Late",
        summary="",
        kind="3d",
        observes=("proprio",),
        training="end-to-end",
        input=VectorInput("proprio", "none"),
        batch="3d",
        paper="",
        licence="MIT",
    )
    feature_dim = 4

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.layer, self.calls, self.slip = torch.nn.Linear(3, 4), 0, "none"

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        self.calls += 1
        found = self.layer(observations["proprio"])
        if self.calls < 3:
            return found
        if self.slip == "every other" and self.calls % 2:
            return found.detach()
        slips = {"complex": found + 0j, "detached": found.detach(), "short": found[:-1]}
        if self.slip == "numpy":
            return found.detach().numpy()  # type: ignore[return-value]
        return slips.get(self.slip, found)


def policy(slip: str) -> HeadPolicy:
    representation = Late({"proprio": FieldSpec("proprio", (3,), "float32", "m", "robot")})
    representation.slip = slip
    made = make_policy(load_settings("metaworld-15", "clar", "mlp").head, representation, 3, 2)
    return made.train()


@pytest.mark.parametrize(
    ("slip", "said"),
    [("complex", "is complex64, float32 is expected"), ("numpy", "is ndarray, float32"), ("short", r"\(4, 4\)")],
)
def test_a_slip_that_comes_late_is_named(slip: str, said: str) -> None:
    batch = {"proprio": torch.randn(4, 3)}
    made = policy(slip)
    for _ in range(2):
        made.loss(batch, torch.randn(4, 2)).backward()
    with pytest.raises(BadFeature, match=said):
        made.loss(batch, torch.randn(4, 2))


def test_an_epoch_without_any_gradient_is_named_and_one_with_some_is_not() -> None:
    protocol = dataclasses.replace(load_settings("metaworld-15", "quick", "mlp").protocol, epochs=3, evaluate_every=1)
    samples = Samples({"proprio": torch.randn(8, 3)}, torch.randn(8, 2))
    trainer = Trainer(policy("detached"), protocol, 0, 4, torch.device("cpu"), False)
    trainer.train_epoch(samples)  # two steps, both before the slip
    with pytest.raises(BadFeature, match="no gradient flowed from the feature of Late .* in any step of epoch 2"):
        trainer.train_epoch(samples)


def test_by_steps_it_is_the_same_however_short_the_parts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.training.trainer.SECONDS", -1.0)  # a slow step: each is a part of its own
    protocol = dataclasses.replace(load_settings("metaworld-15", "quick", "mlp").protocol, steps=8, evaluate_every=4)
    samples = Samples({"proprio": torch.randn(8, 3)}, torch.randn(8, 2))
    trainer = Trainer(policy("every other"), protocol, 0, 4, torch.device("cpu"), False)
    while trainer.epoch < 2:
        trainer.advance(samples)
    trainer = Trainer(policy("detached"), protocol, 0, 4, torch.device("cpu"), False)
    assert [trainer.advance(samples) for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(BadFeature, match="in any step of epoch 2"):
        trainer.advance(samples)


def test_no_gradient_is_wanted_in_a_rollout() -> None:
    made = policy("detached").eval()
    for _ in range(4):
        assert made.plan({"proprio": torch.randn(1, 3)}, [0]).shape == (1, 1, 2)


def test_autocast_narrows_a_feature_and_that_is_no_slip() -> None:
    made = policy("none")
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16):
            assert made.loss({"proprio": torch.randn(4, 3)}, torch.randn(4, 2)).isfinite()
