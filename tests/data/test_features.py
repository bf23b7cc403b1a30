"""The feature cache: one encoding for all who need it, resumable, and keyed by everything the numbers depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import features
from benchmark.data.episodes import Episodes
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Whole
from benchmark.policy.build import make_head
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.settings.settings import Settings
from methods.base import Representation
from methods.registry import method_class
from methods.testing import random_observations
from tests.conftest import TOY
from tests.methods.test_contract import TINY_VGGT, contract
from tests.warm_bench import warm_start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
EPISODES, STEPS = 3, 5
WHOLE = Episodes((STEPS,) * EPISODES)


def build(method: str, seed: int = 0) -> tuple[Representation, dict[str, np.ndarray]]:
    specs = contract(method).specs()
    torch.manual_seed(seed)
    representation = method_class(method)(specs)
    representation.freeze_as_card_says()
    fields = random_observations(specs, EPISODES * STEPS)
    return representation, {name: value.numpy() for name, value in fields.items()}


def cache(root: Path, representation: Representation, key: str = "demos", **options: str) -> FeatureCache:
    policy = HeadPolicy(representation, Head())
    return FeatureCache(root, "task-method", key, policy, options, {"version": 1}, CPU, bf16=False)


@pytest.mark.parametrize("method", ["random-features", TINY_VGGT])
def test_features_are_what_the_frozen_part_gives_and_are_encoded_once(tmp_path: Path, method: str) -> None:
    representation, fields = build(method)
    feature, proprio = cache(tmp_path, representation).load(lambda: Whole(fields), WHOLE)
    with torch.no_grad():
        expected = representation.encode_frozen({n: torch.from_numpy(a) for n, a in fields.items()})
    np.testing.assert_allclose(feature, expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(proprio, fields["proprio"])

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("everything is there: nobody may render or encode again")

    again, _ = cache(tmp_path, representation).load(never, WHOLE)
    np.testing.assert_array_equal(again, feature)


def test_a_stopped_encoding_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    representation, fields = build("random-features")
    whole, _ = cache(tmp_path / "whole", representation).load(lambda: Whole(fields), WHOLE)
    real = features.encode_rows
    calls: list[tuple[Any, ...]] = []

    def dies(*args: Any) -> torch.Tensor:
        calls.append(args)
        if len(calls) == 4:  # the first call asks for a frame's shape
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(features, "encode_rows", dies)
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path / "stopped", representation).load(lambda: Whole(fields), WHOLE)
    calls.clear()
    resumed, _ = cache(tmp_path / "stopped", representation).load(lambda: Whole(fields), WHOLE)
    rows = [(part.start, part.stop) for _, _, part, *_ in calls]
    assert rows == [(0, 1), (2 * STEPS, 3 * STEPS)], "a kept frame of the first episode, and the third episode"
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
    policy = HeadPolicy(representation, make_head(toy_settings.head, representation.feature_dim, 4, 4)).eval()
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


def test_two_jobs_at_once_encode_once(tmp_path: Path) -> None:
    """Two seeds of one frozen method, started together from two shells over one data folder."""
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 16)).state_dict(), tmp_path / "toy.pt")
    slow = tmp_path / "slow.py"
    text = (ROOT / "tests" / "frozen_toy.py").read_text()
    log = f"open({str(tmp_path / 'rows.txt')!r}, 'a').write(f'{{len(observations[\"ground_truth\"])}}\\n')"
    slow.write_text(text.replace("return self.network(", f"{log}\n        return self.network("))
    what = [
        "run",
        "--protocol",
        "quick",
        "--method",
        f"{slow}:FrozenToy",
        "--weights",
        "toy.pt",
        "--tasks",
        "near",
        f"suite.env={TOY}",
        "suite.observation.cameras=[front]",
        "suite.tasks.easy=[near,far]",
        "protocol.train_demos=4",
        "protocol.valid_demos=1",
        "protocol.horizon=60",
        "protocol.epochs=2",
        "protocol.evaluate_every=2",
        "protocol.rollouts=2",
        "protocol.retest_rollouts=2",
        "runtime.workers=1",
    ]
    both = [warm_start(*what, "--seeds", seed, cwd=tmp_path) for seed in ("0", "1")]
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    rows = [int(rows) for rows in (tmp_path / "rows.txt").read_text().split()]
    encoded = [count for count in rows if count > 5]  # fewer in rollouts and the probe
    assert sum(encoded) == 5 * 60, "every frame once, by whoever came first"
    assert len(list((tmp_path / "runs" / "data").rglob("features/*/complete.json"))) == 1
