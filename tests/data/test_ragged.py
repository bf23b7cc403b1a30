"""Episodes of different lengths: their hash, windows and caches; those of one length are as they always were."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from benchmark.data.collect_demos import demo_path, load_or_collect
from benchmark.data.demo_file import load
from benchmark.data.demos import DamagedDemos, Demos
from benchmark.data.episodes import Episodes, end_to_end, equal_pieces
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Whole, histories
from benchmark.data.observations import load_or_render
from benchmark.data.samples import Samples, parts_of
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.settings.load import load_protocol
from benchmark.settings.protocol import Protocol
from benchmark.system.errors import ConfigError
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from methods.policy import Window
from tests import damage
from tests.conftest import TOY
from tests.data.test_features import CPU, build

REQUEST = ObservationRequest(("points", "points_valid", "proprio"), ("front",), num_points=64)


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


def demos_of(lengths: tuple[int, ...]) -> Demos:
    rows = sum(lengths)
    arrays = {
        "states": numbers(rows, 4).astype(np.float64),
        "actions": numbers(rows, 2).astype(np.float32),
        "rewards": numbers(rows).astype(np.float32),
        "success": numbers(rows) % 2 == 1,
        "proprio": numbers(rows, 2).astype(np.float32),
    }
    return Demos("toy", "toy==1", "s", "near", 2, (5, 9, 13)[: len(lengths)], 3, arrays, Episodes(lengths))


def test_demonstrations_of_one_length_have_the_hash_they_always_had() -> None:
    """The literals were computed when demonstrations were arrays (E, T, ...): caches and records are named by them."""
    assert demos_of((4, 4, 4)).content_hash == "f913cc0cd28814e7091b65d7fc356fd0960d4c79bf89f8cd04f4499ce4411cb3"
    one = dataclasses.replace(demos_of((4,)), train=1, attempts=1)
    assert one.content_hash == "ee171344f9dbff65fc20eeb0dc4466377b424166d3d7bf76bb49e0f6fa2e6d97"


def test_other_lengths_of_the_same_rows_are_other_demonstrations() -> None:
    assert len({demos_of(lengths).content_hash for lengths in ((4, 4, 4), (3, 5, 4), (5, 3, 4))}) == 3


def test_every_third_step_of_each_demonstration_as_pre_training_takes_them() -> None:
    whole = demos_of((4, 4, 4)).every(3)
    assert whole.content_hash == "2eaf644f687c4ed2b4a63ed38c5c200439482d1f13c24e7c1220a0692cfb96a8", "as it always was"
    thin = demos_of((1, 5, 7)).every(3)
    assert thin.episodes.lengths == (1, 2, 3) and thin.arrays["states"][:, 0].tolist() == [0, 4, 16, 24, 36, 48]


def ragged_protocol(**changes: Any) -> Protocol:
    """A demonstration ends three steps after its first success."""
    said = {"train_demos": 4, "valid_demos": 1, "horizon": 60, "min_success_steps": 1, "stop_after_success": 3}
    return dataclasses.replace(load_protocol("quick"), **{**said, **changes})


def collect(root: Path, protocol: Protocol) -> Demos:
    return load_or_collect(root, "toy-suite", TOY, "near", protocol, 2)


@pytest.mark.slow
def test_demonstrations_end_some_steps_after_success(tmp_path: Path) -> None:
    demos, whole = collect(tmp_path, ragged_protocol()), collect(tmp_path, ragged_protocol(stop_after_success=None))
    assert not demos.episodes.equal and whole.episodes.lengths == (60,) * 5
    for number, length in enumerate(demos.episodes.lengths):
        flags = demos.of_each("success")[number]
        assert np.flatnonzero(flags)[0] == length - 4
        np.testing.assert_array_equal(demos.of_each("states")[number], whole.of_each("states")[number][:length])
    path = demo_path(tmp_path, "toy-suite", TOY, "near", ragged_protocol())
    assert load(path).content_hash == demos.content_hash
    with h5py.File(path, "r+") as file:
        assert file["data"].attrs["total"] == demos.episodes.rows
        length = demos.episodes.lengths[1]
        assert file["data/demo_1"].attrs["num_samples"] == length == len(file["data/demo_1/dones"])
        moved = file["data/demo_1/states"][()][:-1]
        del file["data/demo_1/states"]
        file["data/demo_1/states"] = moved
    with pytest.raises(DamagedDemos, match="not of one length"):
        load(path)


def test_a_demonstration_that_stops_before_it_is_accepted_is_refused() -> None:
    with pytest.raises(ConfigError, match="none would be kept"):
        ragged_protocol(min_success_steps=5)


@pytest.mark.slow
def test_only_the_damaged_part_is_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demos, jobs, real = collect(tmp_path, ragged_protocol()), list[int](), Pool.map

    def count(pool: Pool, command: str, work: Iterable[Any]) -> Any:
        work = list(work)
        jobs.append(len(work))
        return real(pool, command, work)

    monkeypatch.setattr(Pool, "map", count)
    with Pool(EnvConfig(TOY, "near", REQUEST), 1) as pool:
        before = {name: np.array(a) for name, a in load_or_render(tmp_path, demos, REQUEST, pool, "f").items()}
        np.testing.assert_array_equal(before["proprio"], demos.arrays["proprio"])
        (file,) = (tmp_path / "observations").glob("*/points.npy")
        damage.flip(file, 0.5)
        load_or_render(tmp_path, demos, REQUEST, pool, "f")
        after = load_or_render(tmp_path, demos, REQUEST, pool, "f")
    assert jobs == [5, 1]
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_features_of_each_episode_are_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    representation, fields = build("random-features")
    episodes = Episodes((4, 1, 7, 3))
    policy = HeadPolicy(representation, Head())

    def cache(root: Path) -> FeatureCache:
        return FeatureCache(root, "t", "demos", policy, {}, {}, CPU, bf16=False)

    before = [np.array(array) for array in cache(tmp_path).load(lambda: Whole(fields), episodes)]
    encoded: list[slice] = []
    real = FeatureCache._encode_rows

    def count(cache: FeatureCache, fields: Any, rows: slice) -> Any:
        encoded.append(rows)
        return real(cache, fields, rows)

    monkeypatch.setattr(FeatureCache, "_encode_rows", count)
    np.testing.assert_array_equal(cache(tmp_path).load(lambda: {}, episodes)[0], before[0])
    assert encoded == [slice(0, 2)], "the two kept frames"
    damage.flip(cache(tmp_path).folder / "feature.npy", 0.5)  # in the third, which has half of the rows
    again = cache(tmp_path).load(lambda: Whole(fields), episodes)
    assert slice(5, 12) in encoded and all(one not in encoded for one in map(episodes.span, (0, 1, 3)))
    for one, other in zip(again, before, strict=True):
        np.testing.assert_array_equal(one, other)
    other_lengths = Episodes((4, 1, 7, 4))
    assert cache(tmp_path)._begun(cache(tmp_path).folder, other_lengths) is None, "frames of other demonstrations"


class Windows(Head):
    """Two observations, and chunks of four actions of which the first is past; the last two frames start none."""

    obs_steps, chunk, lead, left_out = 2, 4, 1, 2


@pytest.mark.parametrize("lengths", [(5, 1, 3, 8), (4, 4, 4), (2, 3)])
def test_windows_never_leave_their_episode(lengths: tuple[int, ...]) -> None:
    rows = torch.arange(sum(lengths), dtype=torch.float32).unsqueeze(1)
    samples, head = Samples({"proprio": rows}, rows, lengths), Windows()
    chosen = samples.rows(head)
    wanted, first = list[int](), 0
    for length in lengths:
        wanted += range(first, first + max(0, length - 2))
        first += length
    assert chosen.tolist() == wanted, "none of an episode that is too short for one"
    every = torch.arange(len(rows))
    inputs, actions, padded = samples.batch(every, CPU, head)
    for row in every.tolist():
        own = [sum(lengths[:n]) for n in range(len(lengths)) if sum(lengths[:n]) <= row][-1]
        end = own + lengths[[sum(lengths[:n]) for n in range(len(lengths))].index(own)] - 1
        assert inputs["proprio"][row, :, 0].tolist() == [max(own, row - 1), row]
        assert actions[row, :, 0].tolist() == [min(end, max(own, row + step)) for step in (-1, 0, 1, 2)]
        assert padded[row].tolist() == [not own <= row + step <= end for step in (-1, 0, 1, 2)]
    if len(set(lengths)) == 1:
        as_one = Samples({"proprio": rows}, rows, lengths[0])
        assert torch.equal(as_one.batch(every, CPU, head)[1], actions) and torch.equal(as_one.rows(head), chosen)


def test_episodes_that_are_all_too_short_are_an_error() -> None:
    rows = torch.zeros(4, 1)
    with pytest.raises(ConfigError, match="leaves out the last 2 frames of an episode, and episodes have 2"):
        Samples({}, rows, (2, 1, 1)).rows(Windows())
    with pytest.raises(ValueError, match="episodes of 5 frames together, and there are 4"):
        Samples({}, rows, (2, 3)).rows(Windows())


def test_past_actions_are_those_of_the_episode() -> None:
    demos = demos_of((1, 3, 2))
    found = histories(demos.arrays["actions"], demos.episodes, 2)
    assert found.shape == (6, 2, 2)
    assert found[[0, 1, 4]].max() == 0, "none before the first step"
    np.testing.assert_array_equal(found[3], [[2, 3], [4, 5]])
    np.testing.assert_array_equal(histories(demos.arrays["actions"], demos.episodes, 2, np.arange(3, 5)), found[3:5])


def test_pieces() -> None:
    assert equal_pieces(10, 4).lengths == (4, 4, 2) and equal_pieces(0, 4).lengths == ()
    both = end_to_end([Episodes((2, 3)), Episodes((1,))])
    assert both.starts.tolist() == [0, 2, 5] and both.owners.tolist() == [0, 0, 1, 1, 1, 2]
    assert Episodes(()).starts.tolist() == [] and Episodes(()).owners.tolist() == []
    assert (both.first(2).rows, both.after(2).lengths, both.span(1)) == (5, (1,), slice(2, 5))


def test_what_is_looked_at_every_third_step_acts_at_every_step() -> None:
    """Frames thin out, targets do not: a chunk holds the actions of the steps that follow its frame, to the episode's
    end, and a frame that `pad_after` leaves out is no sample.
    """
    demos = demos_of((1, 5, 7))
    train, valid = parts_of(demos, 3)
    assert (train.seen, train.lengths, valid.lengths) == (slice(0, 3), (1, 5), (7,))
    assert train.frames is not None and train.frames.tolist() == [0, 1, 4]
    assert valid.frames is not None and valid.frames.tolist() == [0, 3, 6]
    steps = torch.arange(6.0).unsqueeze(1)
    own = Samples({"proprio": steps[train.frames]}, steps, train.lengths, train.frames)
    chunked = Window(chunk=4, lead=1, execute=2)
    inputs, actions, padded = own.batch(own.rows(chunked), torch.device("cpu"), chunked)
    assert inputs["proprio"][:, 0].tolist() == [0, 1, 4]
    assert actions[..., 0].tolist() == [[0, 0, 0, 0], [1, 1, 2, 3], [3, 4, 5, 5]]
    assert padded.tolist() == [[True, False, True, True], [True, False, False, False], [False, False, False, True]]
    _, single, _ = own.batch(torch.tensor([2, 0]), torch.device("cpu"))
    assert single[:, 0].tolist() == [4, 0]
    left = Window(chunk=4, execute=2, left_out=3)
    assert own.rows(left).tolist() == [1], "of the first episode's one step, and of the second's last three, none"
    every, _ = parts_of(demos, 1)
    assert every.frames is None and every.seen == every.acted == slice(0, 6)
