"""The feature cache: one encoding for all who need it, resumable, and keyed by everything the numbers depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import features
from benchmark.data.features import FeatureCache
from benchmark.policy.heads import Head, make_head
from benchmark.policy.policy import Policy
from benchmark.protocol import Settings
from methods.base import Representation
from methods.registry import method_class
from methods.testing import random_observations
from tests.methods.test_contract import TINY_VGGT, contract

CPU = torch.device("cpu")
EPISODES, STEPS = 3, 5


def build(method: str, seed: int = 0) -> tuple[Representation, dict[str, np.ndarray]]:
    specs = contract(method).specs()
    torch.manual_seed(seed)
    representation = method_class(method)(specs)
    representation.freeze_as_card_says()
    fields = random_observations(specs, EPISODES * STEPS)
    return representation, {name: value.numpy() for name, value in fields.items()}


def cache(root: Path, representation: Representation, key: str = "demos", **options: str) -> FeatureCache:
    return FeatureCache(root, "task-method", key, Policy(representation, Head()), options, CPU, bf16=False)


@pytest.mark.parametrize("method", ["random-features", TINY_VGGT])
def test_features_are_what_the_frozen_part_gives_and_are_encoded_once(tmp_path: Path, method: str) -> None:
    representation, fields = build(method)
    feature, proprio = cache(tmp_path, representation).load(lambda: fields, STEPS)
    with torch.no_grad():
        expected = representation.encode_frozen({n: torch.from_numpy(a) for n, a in fields.items()})
    np.testing.assert_allclose(feature, expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(proprio, fields["proprio"])

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("everything is there: nobody may render or encode again")

    again, _ = cache(tmp_path, representation).load(never, STEPS)
    np.testing.assert_array_equal(again, feature)


def test_a_stopped_encoding_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    representation, fields = build("random-features")
    whole, _ = cache(tmp_path / "whole", representation).load(lambda: fields, STEPS)
    real, calls = features.encode_rows, []

    def dies(*args: object) -> torch.Tensor:
        calls.append(args)
        if len(calls) == 4:  # the first call asks for a frame's shape
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "encode_rows", dies)
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path / "stopped", representation).load(lambda: fields, STEPS)
    first = len(calls)
    resumed, _ = cache(tmp_path / "stopped", representation).load(lambda: fields, STEPS)
    assert len(calls) - first == 1, "two of three episodes were there"
    np.testing.assert_array_equal(resumed, whole)


def test_the_key_knows_weights_observations_and_options(tmp_path: Path) -> None:
    one, other = build("random-features", 0)[0], build("random-features", 1)[0]
    base = cache(tmp_path, one).folder
    assert base == cache(tmp_path, build("random-features", 0)[0]).folder
    assert base != cache(tmp_path, other).folder, "other weights"
    assert base != cache(tmp_path, one, "other demos").folder
    assert base != cache(tmp_path, one, compat="lift3d").folder


@pytest.mark.parametrize("method", ["random-features", TINY_VGGT, "dp3"])
def test_checkpoints_leave_out_what_never_changes(method: str, toy_settings: Settings) -> None:
    representation, fields = build(method)
    policy = Policy(representation, make_head(toy_settings.head, representation.feature_dim, 4, 4)).eval()
    state = policy.trained_state()
    part = representation.frozen_part
    frozen = 0 if part is None else len(part.state_dict())
    assert len(state) == len(policy.state_dict()) - frozen
    observations = {n: torch.from_numpy(a) for n, a in fields.items()}
    expected = policy.plan(observations, range(EPISODES * STEPS))
    saved = {name: tensor.clone() for name, tensor in state.items()}
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    policy.load_trained_state(saved)
    torch.testing.assert_close(policy.plan(observations, range(EPISODES * STEPS)), expected)
    with pytest.raises(RuntimeError, match="Missing key"):
        policy.load_trained_state({})
