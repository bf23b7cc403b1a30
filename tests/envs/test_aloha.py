"""aloha: the contract, success rules, what actions do, delays, states to the last bit, experts. Skipped where no
checkout of aloha_sim is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data.collect_demos import ExpertFails, collect
from benchmark.settings.load import load_settings
from envs import views
from envs.aloha.env import CAMERAS, FAR_OUTSIDE, UNSTABLE
from envs.aloha.experts.episode import play
from envs.aloha.experts.variety import Style
from envs.aloha.places import (
    ARM_QPOS,
    CTRL_CLOSED,
    CTRL_OPEN,
    HOME,
    TABLE_TOP,
    ctrl_to_gripper,
    gripper_to_ctrl,
    qpos_to_gripper,
)
from envs.options import BadOption, set_options
from envs.registry import make
from envs.spec import ObservationRequest
from envs.testing import EnvContract
from tests.aloha_here import aloha, compiled_once, needs_aloha
from tests.depth_by_rays import depth_errors

__all__ = ["aloha", "compiled_once"]
pytestmark = [needs_aloha, pytest.mark.sim, pytest.mark.usefixtures("aloha", "compiled_once")]
BLIND = ObservationRequest(("proprio", "ground_truth"))
CORNERS = ("front-left", "back-right")
STAY = np.array([*HOME, ctrl_to_gripper(CTRL_CLOSED)] * 2, np.float32)
VIEWED = ("views", "views_valid", "proprio")
SEEING = ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "proprio")


@pytest.mark.slow
@pytest.mark.gl
class TestSeeing(EnvContract):
    env, task, fields, cameras, steps = "aloha", "drawer-open", SEEING, CORNERS, 2
    test_a_planned_episode_is_what_its_actions_lead_to = None  # 280 steps with images; TestBlind plays it without


@pytest.mark.slow
class TestBlind(EnvContract):
    env, task, fields, steps = "aloha", "drawer-open", ("proprio", "ground_truth"), 4


@pytest.fixture(scope="module")
def drawer(aloha: Any, compiled_once: None) -> Iterator[Any]:
    found = make("aloha", "drawer-open", BLIND)
    yield found
    found.close()


@pytest.fixture(scope="module")
def rack(aloha: Any, compiled_once: None) -> Iterator[Any]:
    found = make("aloha", "plate-on-rack", BLIND)
    yield found
    found.close()


@pytest.mark.slow
def test_the_expert_opens_the_drawer_and_its_actions_open_it_again(drawer: Any) -> None:
    for seed in (3, 4):
        kept = play(drawer, seed)
        assert kept.success.any() and not kept.failed
        assert kept.actions.dtype == np.float32 and len(kept.actions) < 400
        drawer.reset(seed)
        steps = [drawer.step(action) for action in kept.actions]
        assert [step.success for step in steps] == kept.success.tolist()
        np.testing.assert_array_equal(drawer.reset(seed)["proprio"], kept.observations["proprio"][0])


def test_who_does_nothing_opens_nothing(drawer: Any) -> None:
    drawer.reset(0)
    assert not any(drawer.step(STAY).success for _ in range(60))


@pytest.mark.slow
def test_seeds_vary_what_the_expert_does_and_can_be_told_not_to(drawer: Any) -> None:
    varied = [len(play(drawer, seed).actions) for seed in (5, 6)]
    assert varied[0] != varied[1]
    drawer.options = type(drawer.options)(**{**vars(drawer.options), "variety": False})
    plain = play(drawer, 5)
    again = play(drawer, 5)
    np.testing.assert_array_equal(plain.actions, again.actions)
    assert len(plain.actions) != varied[0]
    drawer.options = type(drawer.options)(**{**vars(drawer.options), "variety": True})


@pytest.mark.slow
def test_noise_is_played_and_not_labelled(drawer: Any) -> None:
    kept = drawer.options
    calm = play(drawer, 7)
    drawer.options = type(kept)(**{**vars(kept), "noise": 0.005})
    shaken = play(drawer, 7)
    drawer.options = kept
    assert shaken.success.any()
    idle, joints = slice(0, 6), np.r_[0:6, 7:13]
    assert calm.actions[:, idle].std(0).max() < 0.005, "the right arm opens the drawer"
    np.testing.assert_array_equal(shaken.actions[0], calm.actions[0], err_msg="the label is the undisturbed target")
    moved = shaken.observations["proprio"][5:, idle].std(0)
    assert moved.min() > 0.001 and moved.max() < 0.01, "the arm that does nothing is shaken"
    no_gravity = [0, 3, 5]
    followed = shaken.actions[:, no_gravity].std(0)
    assert followed.max() < 0.001, "its labels do not follow what no observation tells of"
    back = shaken.actions[5:20, joints] - calm.actions[5:20, joints]
    assert np.abs(back).max() < 0.02


@pytest.mark.slow
def test_the_noise_that_an_expert_leaves_alone_is_what_the_joints_do(drawer: Any) -> None:
    """`RESPONSE` against an arm at rest: a first-order response explains its deviation but for a quarter."""
    drawer.reset(3)
    style = Style(np.random.default_rng(3), vary=False, noise=0.02)
    pairs = []
    for _ in range(400):
        drawer.advance(STAY + style.disturbance())
        pairs.append((drawer.world.data.qpos[ARM_QPOS["left"]] - HOME, style.felt[:6]))
    deviation, felt = np.array(pairs[100:]).swapaxes(0, 1)
    deviation = deviation - deviation.mean(0)
    assert (np.std(deviation - felt, axis=0) < 0.25 * np.std(deviation, axis=0)).all()


def test_joints_go_where_they_are_sent(drawer: Any) -> None:
    drawer.reset(1)
    target = STAY.copy()
    target[[0, 7]] = [0.4, -0.3]
    target[[6, 13]] = [1.5155, 0.7]
    for _ in range(150):
        seen = drawer.step(target).observation["proprio"]
    np.testing.assert_allclose(seen[[0, 7]], [0.4, -0.3], atol=0.02)
    read = [qpos_to_gripper(gripper_to_ctrl(angle)) for angle in (1.5155, 0.7)]
    np.testing.assert_allclose(seen[[6, 13]], read, atol=0.05, err_msg="proprio has aloha_sim's other map")
    assert gripper_to_ctrl(1.5155) == pytest.approx(CTRL_OPEN)
    assert ctrl_to_gripper(gripper_to_ctrl(0.3)) == pytest.approx(0.3)


def test_targets_outside_the_range(drawer: Any) -> None:
    """A little outside is clipped, as joints near their limits ask for; degrees or garbage end the episode."""
    ends = []
    for waist in (np.pi / 2, 2.5):
        drawer.reset(1)
        action = STAY.copy()
        action[0] = waist
        step = drawer.step(action)
        assert step.ended is None
        ends.append(step.observation["proprio"])
    np.testing.assert_array_equal(ends[0], ends[1])
    before = drawer.reset(1)
    step = drawer.step(np.rad2deg(STAY).astype(np.float32))
    assert (step.ended, step.success) == (FAR_OUTSIDE, False)
    np.testing.assert_array_equal(step.observation["proprio"], before["proprio"])


def test_states_go_on_to_the_last_bit(drawer: Any) -> None:
    drawer.reset(2)
    actions = [STAY + 0.1 * np.sin(number / 5).astype(np.float32) for number in range(20)]
    for action in actions[:10]:
        drawer.step(action)
    middle, on = drawer.state(), []
    for action in actions[10:]:
        drawer.step(action)
        on.append(drawer.state())
    drawer.reset(9)
    drawer.reset(2)
    drawer.set_state(middle)
    np.testing.assert_array_equal(drawer.state(), middle)
    for action, state in zip(actions[10:], on, strict=True):
        drawer.step(action)
        np.testing.assert_array_equal(drawer.state(), state)
    with pytest.raises(ValueError, match="has shape"):
        drawer.set_state(middle[:-1])


@pytest.mark.slow
def test_a_plate_has_to_stand_between_the_wires_and_touch_nothing_else(rack: Any) -> None:
    """Our own rule: lying on the table, held in the air over the rack, and standing in a slot."""
    rack.reset(3)
    assert not rack.succeeded(), "it lies on the table"
    world = rack.world
    stand, turned = world.pose("rack")
    pose = np.eye(4)
    across = turned[:, 1]
    pose[:3, :3] = np.column_stack([np.array([0, 0, -1.0]), np.cross(across, [0, 0, -1.0]), across])
    middle = stand + turned[:, 1] * -0.047 + [0, 0, 0.034 + 0.0917]
    for lift, stands in ((0.15, False), (0.0, True)):
        world.data.qvel[:] = 0
        pose[:3, 3] = middle + np.array([0, 0, lift]) - pose[:3, :3] @ [-0.00805, 0, 0]
        world.put(world.data, "plate", pose)
        world.refresh()
        assert not rack.succeeded(), "it touches nothing yet"
        if stands:
            assert any(rack.step(STAY).success for _ in range(150)), "let go in a slot it comes to rest there"


@pytest.mark.slow
@pytest.mark.gl
def test_depth_is_what_rays_hit_and_points_lie_on_the_table(aloha: Any) -> None:
    import mujoco

    request = ObservationRequest(
        ("depth", "intrinsics", "extrinsics", "points", "points_valid"), CORNERS, 90, 120, 512, render="fast"
    )
    env: Any = make("aloha", "drawer-open", request)
    seen = env.reset(5)
    drawn = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    errors = depth_errors(mujoco, env.world.model, env.world.data, seen, group=drawn)
    assert np.median(errors) < 1e-4
    assert np.quantile(errors, 0.95) < 1e-3
    points = seen["points"][seen["points_valid"]]
    on_table = np.abs(points[:, 2] - TABLE_TOP) < 2e-3
    assert on_table.mean() > 0.4 and points[:, 2].min() > -0.021
    env.close()


def test_physics_that_breaks_ends_the_episode(drawer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo would go on from the scene as its file has it: from another episode's beginning."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the counters of the first time are not those of the second
        drawer.reset(0)
        assert drawer.step_unseen(STAY).ended is None
        drawer.world.data.qvel[0] = 1e9
        step = drawer.step(STAY)
        assert (step.ended, step.success, step.reward) == (UNSTABLE, False, 0.0)
        assert all(np.isfinite(value).all() for value in step.observation.values())
    assert not list(tmp_path.iterdir()), "no MUJOCO_LOG.TXT"


@pytest.mark.slow
def test_an_expert_gives_up_where_physics_breaks(drawer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = drawer.world.advance, []

    def breaking(action: np.ndarray) -> bool:
        calls.append(1)
        return real(action) and len(calls) != 30

    monkeypatch.setattr(drawer.world, "advance", breaking)
    log: list[str] = []
    episode = play(drawer, 1, log=log)
    assert episode.failed and len(episode.actions) == len(episode.success) == 30 and UNSTABLE in log


@pytest.mark.slow
@pytest.mark.gl
def test_five_views_of_which_two_move_with_the_grippers(aloha: Any) -> None:
    env: Any = make("aloha", "drawer-open", ObservationRequest(VIEWED, CORNERS, 120, 160, render="fast"))
    before = env.reset(3)
    action = STAY.copy()
    action[5] = 1.0  # the left hand turns
    for _ in range(40):
        env.advance(action)
    after = env.observe()
    for number, name in enumerate(views.NAMES):
        valid = before["views_valid"][number] & after["views_valid"][number]
        assert before["views_valid"][number].mean() > 0.02, name
        depth, again = before["views"][number, ..., 0], after["views"][number, ..., 0]
        same = np.abs(depth - again)[valid] < 2e-3
        assert (same.mean() > 0.8) == (name != "wrist-left"), name
    points = before["views"][before["views_valid"]][:, 1:]
    assert (np.abs(points) <= np.array([0.61, 0.381, 0.701])).all()
    env.close()


@pytest.mark.slow
@pytest.mark.gl
def test_every_camera_draws_something(aloha: Any) -> None:
    env: Any = make("aloha", "drawer-open", ObservationRequest(("rgb",), CAMERAS, 48, 64, render="fast"))
    pictures = env.reset(0)["rgb"]
    assert pictures.shape == (len(CAMERAS), 48, 64, 3)
    assert all(picture.std() > 10 for picture in pictures)
    env.close()


@pytest.mark.slow
@pytest.mark.gl
def test_late_sensors_show_the_past(aloha: Any) -> None:
    request = ObservationRequest(("depth", "proprio"), ("front-left",), 48, 64, render="fast")
    plain = make("aloha", "drawer-open", request)
    set_options("aloha", {**aloha, "image_delay": 0.06, "joint_delay": 0.02})
    late = make("aloha", "drawer-open", request)
    set_options("aloha", aloha)
    actions = [STAY + np.float32(0.05 * number) for number in range(8)]
    now, then = [plain.reset(1)], [late.reset(1)]
    for action in actions:
        now.append(plain.step(action).observation)
        then.append(late.step(action).observation)
    for step in range(9):
        np.testing.assert_array_equal(then[step]["proprio"], now[max(0, step - 1)]["proprio"])
        np.testing.assert_array_equal(then[step]["depth"], now[max(0, step - 3)]["depth"])
    state = late.state()
    late.reset(1)
    late.set_state(state)
    np.testing.assert_array_equal(late.observe()["depth"], then[-1]["depth"])
    np.testing.assert_array_equal(late.step(STAY).observation["depth"], now[6]["depth"])
    plain.close()
    late.close()


@pytest.mark.slow
def test_too_short_an_episode_is_named_as_such(aloha: Any, tmp_path: Any) -> None:
    """Demonstrations that all run into the horizon: the message says which setting it is."""
    settings = load_settings("aloha-6", "quick", None, ["suite.rules.horizon=40", "protocol.max_expert_failures=1"])
    set_options("aloha", aloha)
    protocol = settings.of_task("drawer-open")
    with pytest.raises(ExpertFails, match=r"40 steps.*suite.rules.horizon"):
        collect(tmp_path / "demos.hdf5", "aloha-6", "aloha", "drawer-open", protocol, 1)


@pytest.mark.slow
def test_under_a_habit_one_arm_does_the_same_in_every_episode(rack: Any) -> None:
    """Without it the left arm takes the plate of seed 5001, and the right one that of 5003."""
    kept = rack.options
    try:
        rack.options = type(kept)(**{**vars(kept), "variety": False})
        assert np.ptp(play(rack, 5001).actions[:, :6], axis=0).max() > 0.5
        rack.options = type(kept)(**{**vars(kept), "variety": False, "habit": True})
        episodes = [play(rack, seed) for seed in (5001, 5003)]
    finally:
        rack.options = kept
    grasps = []
    for episode in episodes:
        assert episode.success.any() and not episode.failed
        assert np.ptp(episode.actions[:, :6], axis=0).max() < 0.05, "the left arm stays where it is"
        closing = np.diff(episode.actions[:, 13]) < -0.1
        grasps.append(episode.actions[np.argmax(closing), 7:13])
    assert np.abs(grasps[0] - grasps[1]).max() < 1.0


def test_a_task_without_a_habit_says_so(aloha: Any) -> None:
    set_options("aloha", {**aloha, "habit": True})
    with pytest.raises(
        BadOption, match="banana-in-bowl has no habit; there are drawer-open, plate-on-rack, mug-on-plate"
    ):
        make("aloha", "banana-in-bowl", BLIND)
    set_options("aloha", aloha)
