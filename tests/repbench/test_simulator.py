"""A simulator by `make_env`: as the suite has it, and as it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import repbench
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from envs.options import BadOption, set_options
from envs.registry import UnknownName
from tests.aloha_here import needs_aloha
from tests.conftest import TOY


def test_a_file_of_ones_own_is_an_environment() -> None:
    env = repbench.make_env(TOY, "near", fields=("points", "points_valid"), num_points=50)
    observation = env.reset(7)
    assert {name: value.shape for name, value in observation.items()} == {
        "points": (50, 3),
        "points_valid": (50,),
        "proprio": (2,),
    }
    step = env.step(env.expert_action())
    twin = repbench.make_env(TOY, "near", fields=("points", "points_valid"), num_points=50)
    twin.reset(7)
    np.testing.assert_array_equal(twin.step(twin.expert_action()).observation["points"], step.observation["points"])
    env.close()
    twin.close()


@pytest.mark.slow
@pytest.mark.sim
def test_a_suites_request_is_the_one_that_cells_have() -> None:
    env = repbench.make_env("metaworld-15", "reach", ["points"])
    assert env.request == load_settings("metaworld-15", "clar", "mlp").suite.request(("points",), None)
    assert env.task == "reach" and len(env.request.cameras) > 0
    env.close()


@pytest.mark.slow
@pytest.mark.gl
def test_other_cameras_and_sizes() -> None:
    env = repbench.make_env("metaworld", "reach", "rgb", ["corner", "corner2"], height=32, width=48)
    assert env.reset(0)["rgb"].shape == (2, 32, 48, 3)
    assert env.step(env.expert_action()).observation["rgb"].dtype == np.uint8
    env.close()


def test_what_can_be_mended_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'near'"):
        repbench.make_env(TOY, "nearly")
    with pytest.raises(UnknownName, match="Did you mean 'metaworld-15'"):
        repbench.make_env("metaworld-16", "reach")
    with pytest.raises(SpecMismatch, match="toy cannot give"):
        repbench.make_env(TOY, "near", ["rgb"], ["front"])
    with pytest.raises(ConfigError, match="height=0 is not allowed"):
        repbench.make_env(TOY, "near", height=0)
    with pytest.raises(FileNotFoundError, match="no file"):
        repbench.make_env(str(tmp_path / "absent.py:Mine"), "near")
    for env, task in ((TOY, "near"), ("metaworld", "reach"), ("metaworld-15", "reach")):
        with pytest.raises(BadOption, match="has no option noise: it has no options of its own"):
            repbench.make_env(env, task, options={"noise": 0.1})
    with pytest.raises(BadOption, match="aloha has no option stand_in: it has root, stand_ins, image_delay"):
        repbench.make_env("aloha", "drawer-open", options={"stand_in": True})


@needs_aloha
@pytest.mark.slow
@pytest.mark.sim
def test_a_simulators_own_options_are_those_of_the_call() -> None:
    late = repbench.make_env("aloha-6", "drawer-open", options={"stand_ins": True, "joint_delay": 0.1})
    plain = repbench.make_env("aloha", "drawer-open", options={"stand_ins": True})
    assert (late.options.joint_steps, plain.options.joint_steps) == (5, 0)  # type: ignore[attr-defined]
    late.close()
    plain.close()
    set_options("aloha", {})
