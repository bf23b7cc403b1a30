"""Which frames make up which batch."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from benchmark.pretrain.batch_order import batches, shares, stream
from benchmark.system.errors import ConfigError


def test_a_pass_takes_every_frame_once_and_no_batch_two_of_one_trajectory() -> None:
    names = [f"t{i // 5}" for i in range(100)]  # 20 trajectories of 5 frames
    taken = list(islice(stream(np.arange(100), names, 8, seed=0), 25))
    first = np.concatenate(taken)[:100]
    assert sorted(first) == list(range(100))
    for group in taken:
        assert len({names[row] for row in group}) == 8
    assert not np.array_equal(first, np.concatenate(taken)[100:200]), "the next pass is in another order"


def test_trajectories_of_different_lengths_are_all_seen() -> None:
    names = ["long"] * 9 + ["short"] + [f"s{i}" for i in range(10)]
    taken = np.concatenate(list(islice(stream(np.arange(20), names, 4, seed=1), 5)))
    assert sorted(taken) == list(range(20))


def test_the_order_is_a_function_of_the_seed() -> None:
    sources = [
        ("a", np.arange(50), [f"a{i}" for i in range(50)]),
        ("b", np.arange(50, 80), [f"b{i}" for i in range(30)]),
    ]
    one, two, other = (
        np.stack(list(islice(batches(sources, {"a": 1.0, "b": 1.0}, 8, seed), 20))) for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert ((one < 50).sum(axis=1) == 5).all(), "50 and 30 frames: 5 and 3 of 8"


def test_weights_change_the_shares() -> None:
    assert shares([50, 30], 8) == [5, 3]
    assert shares([1, 1, 1], 8) in ([3, 3, 2], [3, 2, 3], [2, 3, 3])
    assert sum(shares([7, 11, 2], 16)) == 16
    with pytest.raises(ConfigError, match="no room"):
        shares([1000, 1], 8)
