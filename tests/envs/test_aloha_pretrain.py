"""aloha's tasks to pre-train on: their experts succeed, idleness does not, and the rules that are ours. Skipped where
no checkout of aloha_sim is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from envs.aloha.experts.episode import play
from envs.aloha.instructions import FURTHER
from envs.aloha.layouts import OPEN
from envs.aloha.places import CTRL_CLOSED, HOME, TABLE_TOP, ctrl_to_gripper
from envs.aloha.tasks import CLOSED, PLATES_MIDDLE, WITHIN
from envs.registry import make
from envs.spec import ObservationRequest
from tests.aloha_here import aloha, compiled_once, needs_aloha

__all__ = ["aloha", "compiled_once"]
pytestmark = [needs_aloha, pytest.mark.sim, pytest.mark.usefixtures("aloha", "compiled_once")]
STAY = np.array([*HOME, ctrl_to_gripper(CTRL_CLOSED)] * 2, np.float32)
SMALL = ("bottom-drawer-close", "middle-drawer-open", "top-drawer-open", "bowl-on-rack")
"""Tasks whose demonstration takes less than a second of CPU."""
SEED = 1
"""Of no hand-over."""


def built(task: str) -> Any:
    return make("aloha", task, ObservationRequest(("proprio", "ground_truth")))


@pytest.mark.parametrize(
    "task", [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in FURTHER]
)
def test_the_expert_succeeds_and_who_does_nothing_does_not(task: str) -> None:
    env = built(task)
    kept = play(env, SEED)
    assert kept.success.any() and not kept.failed and len(kept.actions) < 700
    assert kept.observations["ground_truth"].shape == (len(kept.actions), 45)
    env.reset(SEED)
    assert not any(env.step(STAY).success for _ in range(60))
    env.close()


@pytest.fixture(scope="module")
def dining(aloha: Any, compiled_once: None) -> Iterator[Any]:
    found = built("pen-on-plate")
    found.reset(3)
    yield found
    found.close()


@pytest.mark.slow
def test_a_pen_has_to_lie_over_the_plate_and_not_lean_on_it(dining: Any) -> None:
    """Laid onto the plate's middle; laid over its rim, touching it, with its middle outside."""
    world, found = dining.world, []
    beginning = dining.state()
    for aside in (0.0, WITHIN + 0.03):
        dining.set_state(beginning)
        place, turn = world.pose("plate")
        pose = np.eye(4)
        middle = place + turn @ PLATES_MIDDLE
        pose[:3, 3] = [middle[0], middle[1] + aside, TABLE_TOP + 0.03]
        world.put(world.data, "pen", pose)
        world.refresh()
        assert not dining.succeeded(), "it falls"
        steps = [(dining.step(STAY).success, world.touch("pen", "plate")) for _ in range(150)]
        assert any(touches for _, touches in steps)
        found.append(any(success for success, _ in steps))
    assert found == [True, False]


@pytest.mark.slow
def test_a_drawer_begins_open_and_is_closed_within_a_centimetre() -> None:
    env = built("bottom-drawer-close")
    opened = []
    for seed in range(4):
        env.reset(seed)
        assert not env.world.moving(("box",)), "it stands on the table"
        opened.append(env.world.slides())
    assert all(abs(top) < 1e-3 and abs(middle) < 1e-3 for top, middle, _ in opened)
    bottom = [slides[2] for slides in opened]
    assert OPEN[0] - 0.01 < min(bottom) < max(bottom) < OPEN[1] + 0.01 and np.ptp(bottom) > 1e-3
    for metres, closed in ((CLOSED + 0.002, False), (CLOSED - 0.002, True)):
        env.world.open(np.array([0.0, 0.0, metres]))
        env.world.data.qvel[:] = 0
        env.world.refresh()
        assert env.succeeded() == closed
    env.close()
