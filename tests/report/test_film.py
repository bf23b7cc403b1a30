"""Videos of episodes of any length: how fast they run, which cameras they show, and that no success is lost in them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmark.report.page.film import Pace, pace, replayed, side_by_side, write_video
from envs.expert import expert_episode
from envs.pool import EnvConfig, Pool
from envs.registry import make
from envs.spec import ObservationRequest

BIMANUAL = f"{Path(__file__).parents[1] / 'toy_bimanual.py'}:Bimanual"
SEEN = ObservationRequest(("rgb", "proprio"), ("front-left", "back-right"), render="fast", height=32, width=48)


def test_real_time_where_an_episode_is_long_and_every_step_where_it_is_short() -> None:
    assert pace(50, 1500) == Pace(2, Fraction(25), "real time"), "ALOHA: 30 s in 750 frames"
    assert pace(80, 200) == Pace(1, Fraction(20), "0.25 x real speed"), "MetaWorld: 2.5 s would be over at once"
    assert pace(80, 8000) == Pace(4, Fraction(20), "real time")
    assert pace(None, 1500) == Pace(1, Fraction(20), "20 steps a second")
    assert pace(12.5, 1500) == Pace(1, Fraction(25, 2), "real time")


def test_cameras_are_side_by_side_and_a_copy() -> None:
    left, right, third = (np.full((4, 6, 3), value, np.uint8) for value in (1, 2, 3))
    seen = side_by_side([left, right, third])
    assert seen.shape == (4, 12, 3) and (seen[:, :6] == 1).all() and (seen[:, 6:] == 2).all()
    assert side_by_side([left, np.zeros((5, 6, 3), np.uint8)]).shape == (4, 6, 3), "of another height: left out"
    left[:] = 9
    assert (seen[:, :6] == 1).all()


@pytest.mark.slow
@pytest.mark.gl
def test_of_fewer_frames_the_pictures_and_the_outcome_are_the_same(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="no PyAV")
    env = make(BIMANUAL, "touch-two", SEEN)
    actions = expert_episode(env, 1, 60, 3)["actions"][:-1]
    env.close()
    with Pool(EnvConfig(BIMANUAL, "touch-two", SEEN), 1) as pool:
        every, _, flags = replayed(pool, 1, actions)
        third, _, fewer = replayed(pool, 1, actions, 3)
    assert len(every) == len(actions) + 1 and every[0].shape == (32, 96, 3)
    assert any(flags) and any(fewer) and fewer[-1] == flags[-1]
    at = [*range(0, len(actions), 3), len(actions)]
    np.testing.assert_array_equal(third, [every[step] for step in at])
    write_video(tmp_path / "a.mp4", third, Fraction(25, 2))
    with av.open(str(tmp_path / "a.mp4")) as video:
        (stream,) = video.streams.video
        assert (stream.average_rate, stream.width, stream.height) == (Fraction(25, 2), 96, 32)
        assert sum(1 for _ in video.decode(stream)) == len(third) + 12, "the last frame stays for a second"
