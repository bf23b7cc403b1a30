"""The adapter to RLBench, in front of a stand-in of our own: no CoppeliaSim has ever run these tests."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from envs.description import describe
from envs.errors import SpecMismatch
from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.registry import UnknownName
from envs.rlbench import display
from envs.rlbench.env import RLBench, why_refused
from envs.rlbench.facts import NOT_REPLAYABLE
from envs.rlbench.sensing import EMPTY, nothing_is_far
from envs.rlbench_port.env import NO_PATH, NO_ROTATION, OUTSIDE, RLBenchPort
from envs.spec import ObservationRequest
from tests.rlbench_stand_in import FAKE, FAULT, stand_in

BLIND = ObservationRequest(("proprio",))
SEEING = ObservationRequest(
    ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "proprio"),
    ("front", "wrist"),
    height=96,
    width=96,
    num_points=256,
)
STAY = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.float32)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stand_in(tmp_path_factory.mktemp("stand-in"))


def pool_of(python: str, request: ObservationRequest = BLIND, task: str = "close-box", timeout: float = 60) -> Pool:
    return Pool(EnvConfig("rlbench", task, request, python), 1, timeout)


def ask(pool: Pool, command: str, *arguments: Any) -> Any:
    """Of one worker, which is not replaced."""
    pool.workers[0].ask(command, *arguments)
    return pool.ready(pool.workers)[0].answer()


@pytest.fixture(scope="module")
def blind(python: str) -> Iterator[Pool]:
    with pool_of(python) as found:
        yield found


@pytest.fixture(scope="module")
def seeing(python: str) -> Iterator[Pool]:
    with pool_of(python, RLBench.resolve(SEEING)) as found:
        yield found


@contextlib.contextmanager
def fault(python: str, text: str) -> Iterator[None]:
    """Inside, the stand-ins of this interpreter fail as `text` says."""
    file = Path(python).parent / FAULT
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()


@pytest.fixture(scope="module")
def port() -> Iterator[Any]:
    """The engine behind the stand-in, in the same episode as `reset(3)` there."""
    found = RLBenchPort("close-box", BLIND)
    yield found
    found.close()


def engine_seed(seed: int) -> int:
    return int(np.random.RandomState(seed).randint(2**31))


def test_what_the_class_says_is_the_ports_and_needs_no_simulator() -> None:
    found = describe("rlbench")
    assert found.action_spec == RLBenchPort.action_spec and found.proprio_names == RLBenchPort.proprio_names
    assert set(found.cameras) == set(RLBenchPort.cameras) and found.tasks == RLBenchPort.tasks
    assert not found.restorable and found.not_replayable == NOT_REPLAYABLE
    assert "ground_truth" not in found.provides
    theirs, ours = RLBenchPort.specs(SEEING), found.specs(SEEING)
    assert ours == theirs
    assert found.resolve(SEEING) == dataclasses.replace(RLBenchPort.resolve(SEEING), virtual=None), "it has no views"
    if importlib.util.find_spec("rlbench") is None:
        assert found.versions()["packages"] == {"rlbench": None, "pyrep": None}


def test_requests_that_cannot_be_served() -> None:
    for cameras, said in ((("frnt",), "'frnt'.*'front'"), (("front", "front"), "one place"), ((), "at least one")):
        with pytest.raises((SpecMismatch, UnknownName), match=said):
            RLBench.specs(ObservationRequest(("depth",), cameras))
    with pytest.raises(SpecMismatch, match="are not moved"):
        RLBench.specs(ObservationRequest(("depth",), ("front@azimuth=10",)))
    with pytest.raises(SpecMismatch, match="cannot give.*ground_truth"):
        RLBench.specs(ObservationRequest(("ground_truth",)))
    with pytest.raises(SpecMismatch, match="no crop named"):
        RLBench.resolve(ObservationRequest(("proprio",), crop="lift3d"))


@pytest.mark.sim
def test_versions_are_those_of_the_other_interpreter(python: str, blind: Pool) -> None:
    assert describe("rlbench", python).versions()["packages"] == {"rlbench": "1.2.0", "pyrep": "4.1.0.3"}
    said = ask(blind, "fingerprint")
    assert "rlbench 1.2.0 at 02720bb," in said and "pyrep 4.1.0.3 of unknown commit" in said
    assert "CoppeliaSim 4.1.0" in said and said.endswith("no renderer")


@pytest.mark.slow
@pytest.mark.sim
def test_an_episode_is_the_engines(blind: Pool, port: Any) -> None:
    began = ask(blind, "reset", 3)
    first = port.reset(engine_seed(3))["proprio"]
    seen = blind.workers[0].observation
    np.testing.assert_allclose(seen["proprio"], first, atol=1e-6)
    assert seen["proprio"][11] > 0.9, "near a hand that points down; the stand-in gives the other sign"
    assert began.dtype == np.float64 and began.shape == (12,)
    for _ in range(6):
        action = port.expert_action()
        theirs = port.step(action)
        reward, success, ended = ask(blind, "step", action)
        assert (success, ended) == (theirs.success, "RLBench ended the episode" if theirs.success else None)
        np.testing.assert_allclose(seen["proprio"], theirs.observation["proprio"], atol=1e-5)
        if success:
            break
    assert success and reward == 1.0


@pytest.mark.sim
def test_a_quaternion_has_length_one_when_it_is_sent(blind: Pool) -> None:
    """The stand-in refuses a length that is off by 1e-5, as RLBench does."""
    ends = []
    for scale in (1.0, 1.001, -2.5):
        ask(blind, "reset", 3)
        turn = scale * np.array([0.1, -0.2, 0.05, 0.96])
        assert ask(blind, "step", np.array([0.02, 0.1, -0.1, *turn, 0], np.float32))[2] is None
        ends.append(blind.workers[0].observation["proprio"].copy())
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4)
    np.testing.assert_allclose(ends[2], ends[0], atol=1e-4)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("action", "why"),
    [
        ((0, 0, 0.6, 0, 0, 0, 1, 1), OUTSIDE),
        ((0, 0, 0, 0, 0, 0, 0, 1), NO_ROTATION),
        ((0.4, 0.6, -0.7, 0.9, 0, 0, 0.4, 1), NO_PATH),
    ],
)
def test_an_action_that_fails_ends_the_episode_in_the_ports_words(blind: Pool, action: Any, why: str) -> None:
    ask(blind, "reset", 3)
    before = blind.workers[0].observation["proprio"].copy()
    assert ask(blind, "step", np.array(action, np.float32)) == (0.0, False, why)
    np.testing.assert_array_equal(blind.workers[0].observation["proprio"], before)
    ask(blind, "reset", 3)
    assert ask(blind, "step", STAY)[2] is None


FAILED = {
    "InvalidActionError": "an action that RLBench refuses (Gripper action expected to be within 0 and 1.)",
    "ConfigurationPathError": NO_PATH,
    "IKError": NO_PATH,
}
ERRORS = {
    ("reset", "TaskEnvironmentError"): "TaskEnvironmentError: Could not place the task",
    ("reset", "BoundaryError"): "BoundaryError: no place",
    ("reset", "renamed"): "another RLBench than 02720bb",
    ("step", "PyRepError"): "PyRepError: the scene is gone",
    ("step", "RuntimeError"): "RuntimeError: The call failed on the V-REP side",
}


@pytest.mark.sim
@pytest.mark.parametrize("raised", FAILED)
def test_what_rlbench_says_of_an_action_is_a_failure_of_the_policy(raised: str, python: str, blind: Pool) -> None:
    ask(blind, "reset", 3)
    with fault(python, f"step:{raised}"):
        assert ask(blind, "step", STAY) == (0.0, False, FAILED[raised])


@pytest.mark.sim
@pytest.mark.parametrize(("where", "what"), ERRORS)
def test_everything_else_is_an_error_of_the_simulator(where: str, what: str, python: str, blind: Pool) -> None:
    ask(blind, "reset", 3)
    asked = ("step", STAY) if where == "step" else ("reset", 3)
    with fault(python, f"{where}:{what}"), pytest.raises(WorkerError, match=ERRORS[where, what]) as caught:
        ask(blind, *asked)
    assert caught.value.fault == "simulator"
    ask(blind, "reset", 3)
    assert ask(blind, "step", STAY)[2] is None, "the worker goes on"


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("what", "said"),
    [("hang", "gave no whole answer in 5 s"), ("segfault", "SIGSEGV"), ("killed", "SIGKILL")],
)
def test_a_simulator_that_dies_takes_its_x_server_along(what: str, said: str, python: str) -> None:
    with pool_of(python, timeout=5) as pool, fault(python, f"step:{what}"):
        ask(pool, "reset", 3)
        started = psutil.Process(pool.workers[0].process.pid).children(recursive=True)
        assert any("Xvfb" in " ".join(one.cmdline()) for one in started)
        with pytest.raises(WorkerDied, match=said):
            ask(pool, "step", STAY)
        assert gone(started)


def gone(processes: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.sim
def test_a_closed_simulator_leaves_nothing(python: str) -> None:
    pool = pool_of(python)
    started = psutil.Process(pool.workers[0].process.pid).children(recursive=True)
    assert len(started) == 1
    pool.close()
    assert gone(started)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export FAKE_RLBENCH=import:library", "libcoppeliaSim.so.1.*bench doctor rlbench"),
        ("export PATH=/nowhere DISPLAY=:4321", "DISPLAY=:4321 does not answer, and Xvfb is not installed.*apt-get"),
        ("export FAKE_XVFB=fails", "Xvfb did not start.*no screens found"),
        ("export QT_QPA_PLATFORM=offscreen", "QT_QPA_PLATFORM=offscreen.*unset QT_QPA_PLATFORM"),
        ("export PYTHONPATH=", "RLBench cannot be imported here.*no package pyrep.*env.rlbench.python"),
    ],
)
def test_what_is_missing_is_said_with_its_mend(line: str, said: str, tmp_path: Path) -> None:
    if "PYTHONPATH" in line and importlib.util.find_spec("pyrep") is not None:
        pytest.skip("pyrep is installed here")
    with pytest.raises(WorkerError, match=said):
        pool_of(stand_in(tmp_path, line)).close()


@pytest.mark.gl
class TestSeeing:
    """With both cameras of different kinds: `front` stands, `wrist` moves."""

    @pytest.mark.slow
    def test_fields_are_the_ports_in_the_robot_frame(self, seeing: Pool) -> None:
        pool = seeing
        ask(pool, "reset", 3)
        engine = RLBenchPort("close-box", SEEING)
        wanted = engine.reset(engine_seed(3))
        ask(pool, "step", STAY)
        wanted = engine.step(STAY).observation
        engine.close()
        seen = pool.workers[0].observation
        near = wanted["depth"] < 4.4  # RLBench's far plane
        np.testing.assert_array_equal(seen["rgb"], wanted["rgb"])
        np.testing.assert_allclose(seen["depth"][near], wanted["depth"][near], atol=1e-6)
        assert np.isinf(seen["depth"][wanted["depth"] > 4.6]).all()
        np.testing.assert_allclose(seen["intrinsics"], wanted["intrinsics"], atol=1e-4)
        assert (seen["intrinsics"][:, [0, 1], [0, 1]] > 0).all()
        np.testing.assert_allclose(seen["extrinsics"], wanted["extrinsics"], atol=1e-6)
        assert seen["points_valid"].all()
        for name in ("points", "point_colors"):  # which of them are sampled may differ in the last bits' ties
            np.testing.assert_allclose(seen[name].mean(axis=0), wanted[name].mean(axis=0), rtol=0.02, atol=0.01)

    def test_front_has_rlbenchs_calibration(self, seeing: Pool) -> None:
        """40 degrees: a focal length of 175.839 pixels at 128 (constants of 3D Diffuser Actor and PerAct)."""
        ask(seeing, "reset", 3)
        assert abs(seeing.workers[0].observation["intrinsics"][0, 0, 0] - 175.839 * 96 / 128) < 0.01

    @pytest.mark.slow
    def test_a_live_demonstration_becomes_keyframes_of_the_declared_action(self, seeing: Pool) -> None:
        found = ask(seeing, "expert_episode", 3, 25, 0)
        engine = RLBenchPort("close-box", BLIND)
        engine.reset(engine_seed(3))
        for number, action in enumerate(found["actions"]):
            wanted = engine.expert_action()
            step = engine.step(wanted)
            np.testing.assert_allclose(action[3:7], wanted[3:7], atol=0.02)
            assert action[7] == step.observation["proprio"][14], "what the gripper did, not what it was told"
            assert abs(np.linalg.norm(action[3:7]) - 1) < 1e-6 and action[6] >= 0
            assert np.linalg.norm(action[:3] - wanted[:3]) < 0.02
            if number + 1 < len(found["actions"]):
                after = found["proprio"][number + 1]
                np.testing.assert_allclose(after, step.observation["proprio"], atol=1e-4)
        engine.close()
        assert step.success and found["success"].tolist() == [False] * (len(found["actions"]) - 1) + [True]
        assert not found["failed"] and "states" not in found
        assert found["obs/rgb"].shape == (len(found["actions"]), 2, 96, 96, 3)
        assert not np.array_equal(found["obs/rgb"][0], found["obs/rgb"][-1])

    def test_a_black_picture_is_an_error_that_says_why(self, python: str, seeing: Pool) -> None:
        said = "the image of front is black.*QT_QPA_PLATFORM"
        with fault(python, "reset:black"), pytest.raises(WorkerError, match=said) as caught:
            ask(seeing, "reset", 3)
        assert caught.value.fault == "simulator"

    @pytest.mark.slow
    def test_cameras_of_different_sizes(self, python: str) -> None:
        request = ObservationRequest(
            ("rgb", "depth"), ("front", "overhead"), height=64, width=96, sizes=(("overhead", 48, 32),)
        )
        with pool_of(python, RLBench.resolve(request)) as pool:
            ask(pool, "reset", 3)
            seen = pool.workers[0].observation
            assert seen["rgb@front"].shape == (64, 96, 3) and seen["depth@overhead"].shape == (48, 32)
            assert seen["rgb@overhead"].std() > 1

    @pytest.mark.slow
    def test_intrinsics_alone_keep_the_camera_in_the_scene(self, python: str) -> None:
        request = ObservationRequest(("intrinsics", "extrinsics", "proprio"), ("wrist",), height=64, width=64)
        with pool_of(python, RLBench.resolve(request)) as pool:
            ask(pool, "reset", 3)
            before = pool.workers[0].observation["extrinsics"].copy()
            ask(pool, "step", np.array([0, 0.05, -0.1, 0, 0, 0, 1, 1], np.float32))
            assert np.linalg.norm((pool.workers[0].observation["extrinsics"] - before)[0, :3, 3]) > 0.05


@pytest.mark.sim
def test_a_demonstration_that_rlbench_gives_up_is_a_failed_one(python: str, blind: Pool) -> None:
    with fault(python, "demos:no-demos"):
        found = ask(blind, "expert_episode", 3, 25, 0)
    assert found["failed"] and len(found["actions"]) == 1 and not found["success"].any()
    said = "The call failed on the V-REP side"
    with fault(python, "demos:RuntimeError"), pytest.raises(WorkerError, match=said):
        ask(blind, "expert_episode", 3, 25, 0)


def test_the_words_of_an_error_that_names_no_reason_we_know() -> None:
    assert why_refused(type("InvalidActionError", (Exception,), {})("odd")) == "an action that RLBench refuses (odd)"


def test_depth_at_the_far_plane_is_nothing() -> None:
    depth = np.array([[0.01, 4.0, 4.5 - 1e-3, 4.5, 4.5 - 0.5 * EMPTY]], np.float32)
    assert np.isinf(nothing_is_far(depth, 0.01, 4.5)).tolist() == [[False, False, False, True, True]]


def test_an_x_server_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("", "nowhere", ":99999", ":abc", "/tmp/x:0"):
        assert not display.answers(wrong)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0/tmp/.X11-unix/X6543")
        server.listen()
        assert display.answers(":6543") and display.answers(":6543.0")
        monkeypatch.setenv("DISPLAY", ":6543")
        found = display.XServer()
        assert found.said == "DISPLAY :6543"
        found.close()
        assert os.environ["DISPLAY"] == ":6543", "somebody else's stays"


@pytest.mark.skipif(
    subprocess.run(["which", "Xvfb"], capture_output=True).returncode != 0,
    reason="no Xvfb: sudo apt-get install -y xvfb",
)
def test_a_real_xvfb_starts_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    server = display.XServer()
    at = os.environ["DISPLAY"]
    assert display.answers(at)
    server.close()
    assert not display.answers(at) and "DISPLAY" not in os.environ


@pytest.mark.skipif(
    importlib.util.find_spec("rlbench") is None or importlib.util.find_spec("pyrep") is None,
    reason="RLBench, PyRep and CoppeliaSim are not in this interpreter (docs/rlbench.md)",
)
def test_the_real_rlbench() -> None:
    """What the stand-in can only claim, where the real one is: names, an episode, a demonstration, an action that
    fails."""
    with Pool(EnvConfig("rlbench", "close-box", RLBench.resolve(SEEING)), 1, 180) as pool:
        assert len(ask(pool, "reset", 3)) and pool.workers[0].observation["points_valid"].any()
        assert ask(pool, "step", STAY)[2] is None
        assert ask(pool, "step", np.array([0, 0, 0.9, 0, 0, 0, 1, 1], np.float32))[2] == OUTSIDE
        found = ask(pool, "expert_episode", 3, 25, 0)
        assert found["failed"] or found["success"][-1]


def test_the_stand_in_is_nowhere_on_the_path() -> None:
    assert str(FAKE) not in os.environ.get("PYTHONPATH", "")
