"""Large frames of a frozen encoder are encoded while they are rendered: the same features, no image on the disk."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import features
from benchmark.data.collect_demos import load_or_collect
from benchmark.data.demos import Demos
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Observations
from benchmark.data.residence import Residence
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.prepare import TrainingFields
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings
from benchmark.system.phase_times import Clock
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from methods.registry import method_class
from tests.conftest import TOY
from tests.toy_env import Toy

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
REQUEST = ObservationRequest(("points", "points_valid", "proprio"), ("front",), num_points=64)
STEPS = 150
"""Two whole pieces and a part of one."""


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory, toy_settings_once: Settings) -> Demos:
    protocol = dataclasses.replace(toy_settings_once.protocol, train_demos=2, valid_demos=1, horizon=STEPS)
    return load_or_collect(tmp_path_factory.mktemp("demos"), "toy-suite", TOY, "near", protocol, 1)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(EnvConfig(TOY, "near", REQUEST), 2) as opened:
        yield opened


def encode(root: Path, seen: Observations) -> tuple[np.ndarray, np.ndarray]:
    torch.manual_seed(0)
    representation = method_class("random-features")(Toy.specs(REQUEST))
    representation.freeze_as_card_says()
    cache = FeatureCache(root, "t", "demos", HeadPolicy(representation, Head()), {}, {}, CPU, bf16=False)
    return cache.load(seen.frames, seen.demos.episodes)


def jobs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of states of each job that is rendered."""
    found, real = list[int](), Pool.map

    def count(pool: Pool, command: str, work: Any) -> Any:
        work = list(work)
        found.extend(len(states) for _, states in work)
        return real(pool, command, work)

    monkeypatch.setattr(Pool, "map", count)
    return found


def test_the_features_are_those_of_stored_observations(
    demos: Demos, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = jobs(monkeypatch)
    stored = Observations(tmp_path, demos, REQUEST, pool, "renderer")
    feature, proprio = encode(tmp_path / "stored", stored)
    assert rendered == [STEPS] * 3 and (tmp_path / "observations").is_dir()
    rendered.clear()
    large = dataclasses.replace(stored, places=tmp_path / "large", keep_frame=stored.frame_bytes() - 1.0, _whole={})
    again = encode(tmp_path / "large", large)
    assert rendered == [1, 1, *(64, 64, STEPS - 128) * 3], "two frames that are kept, and each once"
    assert not (tmp_path / "large" / "observations").exists()
    for one, other in zip(again, (feature, proprio), strict=True):
        np.testing.assert_array_equal(one, other)
    rendered.clear()
    encode(tmp_path / "large", large)
    assert rendered == []
    encode(tmp_path / "third", dataclasses.replace(large, places=tmp_path))
    assert rendered == [], "observations that are there already are taken"


def test_a_stopped_encoding_goes_on_with_the_demonstrations_that_are_left(
    demos: Demos, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Observations(tmp_path, demos, REQUEST, pool, "renderer", keep_frame=0)
    whole = [np.array(array) for array in encode(tmp_path / "whole", large)]
    real, calls = features.encode_rows, list[int]()

    def dies(*args: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch, Pool(EnvConfig(TOY, "near", REQUEST), 1) as single:
        patch.setattr(features, "encode_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            encode(tmp_path / "stopped", dataclasses.replace(large, pool=single))
    rendered = jobs(monkeypatch)
    for one, other in zip(encode(tmp_path / "stopped", large), whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert rendered == [64, 64, STEPS - 128], "the first two demonstrations are there"


def test_a_frame_without_a_point_is_named(demos: Demos, pool: Pool, tmp_path: Path, monkeypatch: Any) -> None:
    real = Pool.map

    def empty(pool: Pool, command: str, work: Any) -> Any:
        for number, fields in real(pool, command, work):
            if number == 6:  # behind two single frames and four pieces: the second demonstration's last frames
                fields["points_valid"][3] = False
            yield number, fields

    monkeypatch.setattr(Pool, "map", empty)
    large = Observations(tmp_path, demos, REQUEST, pool, "renderer", keep_frame=0)
    with pytest.raises(ValueError, match="frame 3 of demonstration 2 of near has no point inside the crop"):
        encode(tmp_path, large)


@pytest.mark.parametrize("simulator", ["toy_env.py:Toy", "toy_episodes.py:Forgetful"])
def test_the_record_is_the_same_and_no_observation_is_kept(
    simulator: str, toy_settings: Settings, tmp_path: Path
) -> None:
    """Also of a simulator that restores no state: what it saw is in its demonstrations."""
    found: list[dict[str, Any]] = []
    suite = dataclasses.replace(toy_settings.suite, env=f"{Path(TOY).parent / simulator}")
    for limit in (0.0, 1.0):
        runtime = dataclasses.replace(toy_settings.runtime, keep_frame_mb=limit)
        settings = dataclasses.replace(toy_settings, runtime=runtime, suite=suite)
        (cell,) = make_cells(settings, ["near"], [f"{Path(TOY).parent / 'fitted_toy.py'}:FittedToy"], [0])
        data = tmp_path / f"{limit}"
        record, _ = run_cell(cell, Paths(data / "runs", data), "test")
        assert (data / "observations").exists() == bool(limit)
        left_out = ("timings", "provenance", "seal", "demonstrations")
        found.append({k: v for k, v in dataclasses.asdict(record).items() if k not in left_out})
        assert found[-1]["retest"].pop("link") is not None
    assert found[0] == found[1]


def test_a_normaliser_of_past_actions_needs_nothing_rendered(demos: Demos, tmp_path: Path) -> None:
    nothing: Any = None
    seen = [Observations(tmp_path, demos, REQUEST, nothing, "renderer", 3) for _ in range(2)]
    given = TrainingFields(seen, Residence(1e9, CPU), Clock({}, print))
    assert list(given) == ["points", "points_valid", "proprio", "past_actions"] and len(given) == 4
    assert given["past_actions"].shape == (4 * STEPS, 3, 2) and "rgb" not in given
    np.testing.assert_array_equal(given["past_actions"][STEPS + 2, 1:], demos.arrays["actions"][STEPS : STEPS + 2])


PROGRAM = """
import sys
import numpy as np, torch
from benchmark.data.residence import Residence
from methods.card import PointInput
from methods.preprocess import PointPreprocess

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1e3

points, valid = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
prepared, peak = PointPreprocess(PointInput(1024, "limits")), anonymous()
residence = Residence(float(sys.argv[3]), torch.device("cpu"))
cloud, there = residence.whole([points] * 4), residence.whole([valid] * 4)
held = anonymous() - peak
prepared.fit(cloud, there)
print(held, prepared.low.tolist(), prepared.high.tolist())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is read")
def test_normalisers_over_several_tasks_keep_within_the_memory(tmp_path: Path) -> None:
    """MB that four tasks' clouds of 25 MB take while a range is fitted on them, by the system's own count."""
    draw = np.random.default_rng(0)
    points, valid = draw.normal(size=(2000, 1024, 3)).astype(np.float32), draw.random((2000, 1024)) < 0.9
    np.save(tmp_path / "points.npy", points)
    np.save(tmp_path / "valid.npy", valid)
    said = []
    for limit in ("1e6", "1e9"):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "points.npy"), str(tmp_path / "valid.npy"), limit]
        said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(" ", 1))
    small, large = (float(held) for held, _ in said)
    assert small < 20 < 90 < large, (small, large)
    expected = [np.where(valid[..., None], points, fill).reshape(-1, 3) for fill in (np.inf, -np.inf)]
    assert said[0][1] == said[1][1] == f"{expected[0].min(0).tolist()} {expected[1].max(0).tolist()}\n"
