"""CLAMP's triplets of a simulator's demonstrations: of the tests' own two arms, and of ALOHA where its files are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import array_cache
from benchmark.encoders.specs import encoder_specs
from benchmark.experiment.make_cells import make_cells
from benchmark.pretrain import run as runs
from benchmark.pretrain.data import disk_space
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import Frames
from benchmark.pretrain.data.simulated import collected
from benchmark.pretrain.data.sources import check_actions, check_sources, load_data, open_frames
from benchmark.pretrain.data.triplets import check_objects
from benchmark.pretrain.job import make_job
from benchmark.pretrain.judge_retrieval import judge
from benchmark.pretrain.loading import load_pretraining
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import control_of
from benchmark.settings.load import load_settings
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from envs.aloha.instructions import CLAMP as EVALUATED
from envs.options import options_of, set_options
from envs.registry import UnknownName, make
from envs.spec import ObservationRequest
from methods.clamp.encoder import EncoderConfig
from methods.clamp.representation import CLAMPSmall
from tests.aloha_here import aloha, needs_aloha
from tests.damage import flip
from tests.pretrain import clamp_scenes

__all__ = ["aloha"]
SIMULATOR = f"{Path(__file__).parents[1] / 'toy_bimanual.py'}:Bimanual"
OWN = {
    "kind": SIMULATOR,
    "suite": "two-arms",
    "tasks": "[touch-two]",
    "demos": 3,
    "held_out": 1,
    "horizon": 60,
    "stop_after_success": 3,
    "height": 48,
    "width": 64,
}
TOLD = [f"aloha-pretrain.{name}={value}" for name, value in OWN.items()]
TINY = EncoderConfig(width=32, heads=2, hidden=64, depth=1, patch=56, action_depth=1, feedforward=64)
FEW = ["epochs=2", "warmup_epochs=1", "steps_per_epoch=2", "batch_size=2", "log_every=2", "context=96"]


def config(*overrides: str) -> DataConfig:
    return load_data("aloha-pretrain", [*TOLD, *overrides])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triplets")


@pytest.fixture(scope="module")
def frames(cache: Path) -> Frames:
    return open_frames([config()], cache, False, 1, True)


def opened(cache: Path, *overrides: str) -> Frames:
    return open_frames([config(*overrides)], cache, False, 1, True)


@pytest.mark.slow
@pytest.mark.gl
def test_a_triplet_is_five_views_the_actions_before_it_and_what_a_text_says(frames: Frames, cache: Path) -> None:
    (shard,) = frames.shards
    fields, demos = shard.fields, collected(config(), "touch-two", cache, 1)
    assert len(set(demos.episodes.lengths)) > 1, "demonstrations of different lengths"
    assert len(frames) == sum(-(-length // 10) for length in demos.episodes.lengths)
    assert fields["views"].shape == (len(frames), 5, 224, 224, 4) and isinstance(fields["views"], np.memmap)
    assert fields["views_valid"].any(axis=(2, 3)).all(axis=0).all(), "two arms have two wrists: no view is empty"
    last = demos.episodes.starts[1] - 1 - (demos.episodes.lengths[0] - 1) % 10  # of the first demonstration's frames
    row = -(-demos.episodes.lengths[0] // 10) - 1
    past = fields["past_actions"][row]
    assert past.shape == (50, 14) and not past[: 50 - last].any()
    np.testing.assert_array_equal(past[50 - last :], demos.arrays["actions"][:last])
    assert fields["step"][row] == last and not fields["past_actions"][0].any()
    assert fields["progress"][row] == np.float32(last / (demos.episodes.lengths[0] - 1)) and fields["progress"][0] == 0
    assert fields["object_names"][0].tolist() == ["left ball", "right ball"]
    balls = demos.arrays["states"][0, 56:].reshape(2, 3)
    expected = (balls - [-0.5, -0.4, 0.0]) / [1.0, 0.8, 0.6]
    np.testing.assert_allclose(fields["object_places"][0], expected, atol=1e-5)
    assert shard.instructions[0] == "touch both balls"
    named = {shard.trajectories[number] for number in frames.rows(held_out=True)}
    assert named == {"aloha-pretrain/touch-two/2"}, "the last demonstration is held out"


@pytest.mark.gl
def test_its_views_are_those_that_a_policy_is_shown(frames: Frames, cache: Path) -> None:
    (shard,), demos = frames.shards, collected(config(), "touch-two", cache, 1)
    request = ObservationRequest(("views", "views_valid"), ("front-left", "back-right"), 48, 64, splat=3, render="fast")
    env: Any = make(SIMULATOR, "touch-two", request)
    env.reset(demos.seeds[0])
    env.set_state(demos.arrays["states"][10])
    seen = env.observe()
    env.close()
    for name in ("views", "views_valid"):
        np.testing.assert_array_equal(seen[name], shard.fields[name][1])


@pytest.mark.slow
@pytest.mark.gl
def test_views_are_drawn_once_and_what_is_damaged_again(
    frames: Frames, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[int] = []
    write = array_cache.Parts.write

    def noted(self: Any, arrays: Any, done: Any, part: int, values: Any) -> None:
        written.append(part)
        write(self, arrays, done, part, values)

    monkeypatch.setattr(array_cache.Parts, "write", noted)
    again = opened(cache, "aloha-pretrain.weight=2", "aloha-pretrain.title=x")
    assert not written and "to render" not in capsys.readouterr().err, "another pre-training shares them"
    assert again.shards[0].key == frames.shards[0].key
    (file,) = cache.glob("observations/*/views.npy")
    before = np.array(frames.shards[0].fields["views"])
    flip(file)
    again = opened(cache)
    said = capsys.readouterr().err
    assert written == [2] and "is damaged (views.npy: demonstration 2): rendered again" in said
    assert f"{len(frames)} frames to render, 0.0" in said and "GB are free" in said
    np.testing.assert_array_equal(again.shards[0].fields["views"], before)

    def killed(self: Any, arrays: Any, done: Any, part: int, values: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        noted(self, arrays, done, part, values)

    written.clear()
    monkeypatch.setattr(array_cache.Parts, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(cache, "aloha-pretrain.splat=1")
    monkeypatch.setattr(array_cache.Parts, "write", noted)
    assert len(written) == 2
    other = opened(cache, "aloha-pretrain.splat=1")
    assert sorted(written) == [0, 1, 2], "what was drawn before the kill is kept"
    assert other.shards[0].key != frames.shards[0].key and other.content_hash != frames.content_hash
    assert other.shards[0].fields["views_valid"].sum() < frames.shards[0].fields["views_valid"].sum()


@pytest.mark.slow
@pytest.mark.gl
def test_too_small_a_disk_is_told_before_the_first_frame(
    frames: Frames, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConfigError, match=r"frames take 0\.\d+ GB, .* has room for 0\.01: choose another disk"):
        opened(cache, "aloha-pretrain.stride=3")
    assert len(opened(cache)) == len(frames), "what is there takes no room"


@pytest.mark.slow
@pytest.mark.gl
def test_clamp_is_pretrained_on_fourteen_numbers_and_a_policy_takes_it(
    frames: Frames, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CLAMPSmall, "config", TINY)
    monkeypatch.setattr(CLAMPSmall, "text_config", clamp_scenes.TEXT)
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    job = make_job("clamp-small", ["aloha-pretrain"], (), None, [*TOLD, *FEW])
    card, _ = runs.pretrain(job, Paths(tmp_path, cache), runtime, "bench pretrain")
    assert card["data_hash"] == frames.content_hash and card["data"]["aloha-pretrain"]["tasks"] == ["touch-two"]
    assert np.isfinite(card["history"][-1]["train"]["total"])
    path = job.weights(tmp_path)
    model, _ = load_pretraining(path)
    specs = encoder_specs(CLAMPSmall.card)
    mine = {**specs, "past_actions": dataclasses.replace(specs["past_actions"], shape=(50, 14))}
    policys = CLAMPSmall(mine)
    policys.load_weights([path])
    ours = model.representation.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in policys.state_dict().items())
    assert len(policys.low) == 14 and (policys.high > policys.low).any()
    found = judge(path, None, [], None, 1, 0, runtime, cache, "all")
    assert found["trained_on_it"] and found["gallery"] == len(frames.rows(held_out=True))


# -- what is refused


@pytest.mark.slow
def test_on_aloha_a_pretrained_task_and_views_drawn_otherwise_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CLAMPSmall, "config", clamp_scenes.ENCODER)
    monkeypatch.setattr(CLAMPSmall, "text_config", clamp_scenes.TEXT)
    seen = dataclasses.replace(clamp_scenes.shard(task="pen-on-plate", actions=14), source="aloha-pretrain")
    one = Frames((seen,), {"aloha-pretrain": 1.0})
    monkeypatch.setattr(runs, "open_frames", lambda *_: one)
    job = make_job("clamp-small", ["aloha-pretrain"], (), None, [*FEW[:-1], "context=0", "position_digits=1"])
    runs.pretrain(job, Paths(tmp_path, tmp_path), Runtime("cpu", "fp32", 1, 1, 60.0), "bench pretrain")
    weights = str(job.weights(tmp_path))
    with pytest.raises(ConfigError, match=r"was pre-trained on demonstrations of pen-on-plate \(aloha-pretrain\)"):
        make_cells(load_settings("aloha-pretrain", "quick", "mlp"), ["pen-on-plate"], ["clamp-small"], [0], weights)
    drawn = [f"suite.observation.{name}" for name in ("height=480", "width=848", "splat=3")]
    chosen = ["drawer-open"], ["clamp-small"], [0], weights
    with pytest.raises(ConfigError, match=f"height=224, width=224, splat=1.: give {' '.join(drawn)}"):
        make_cells(load_settings("aloha-6", "quick", "mlp"), *chosen)
    with pytest.raises(ConfigError, match=r"\(splat=5\): give suite.observation.splat=3"):
        make_cells(load_settings("aloha-6", "quick", "mlp", [*drawn[:2], "suite.observation.splat=5"]), *chosen)
    with pytest.raises(ConfigError, match="on actions of control=joints, and this policy's are of control=cartesian"):
        make_cells(load_settings("aloha-6", "quick", "mlp", [*drawn, "env.aloha.control=cartesian"]), *chosen)
    (cell,) = make_cells(load_settings("aloha-6", "quick", "mlp", drawn), *chosen)
    assert cell.request.splat == 3 and cell.settings.simulator().action_spec.size == 14


def test_its_tasks_are_the_suites_and_none_of_those_that_are_evaluated() -> None:
    suite, shipped = load_settings("aloha-pretrain", "clar", "mlp").suite, load_data("aloha-pretrain")
    assert set(shipped.tasks) == set(suite.task_names) and not set(shipped.tasks) & set(EVALUATED)
    rules = {name: getattr(shipped, name) for name in ("horizon", "min_success_steps", "stop_after_success")}
    assert rules == {name: suite.rules.said[name] for name in rules} and shipped.suite == suite.name
    assert list(shipped.cameras) == list(suite.observation["cameras"])


@pytest.fixture
def no_options() -> Iterator[None]:
    yield
    set_options("aloha", {})


def test_options_of_the_simulator_are_taken_and_name_the_frames(no_options: None) -> None:
    said = ["env.aloha.noise=0.02", "env.aloha.root=/somewhere"]
    job = make_job("clamp-small", ["aloha-pretrain"], (), None, said)
    plain = make_job("clamp-small", ["aloha-pretrain"])
    assert job.identity()["data"][0].pop("env_options") == ["noise=0.02"], "where its files are is no part of it"
    assert "env_options" not in plain.identity()["data"][0] and job.identity_hash() != plain.identity_hash()
    both = ["env.aloha.stand_ins=true", "env.aloha.noise=0.02"]
    one, other, again = (
        make_job("clamp-small", ["aloha-pretrain"], (), None, said)
        for said in (both, both[::-1], ["env.aloha.noise=0.05", *both])
    )
    assert one.identity_hash() == other.identity_hash() == again.identity_hash(), "in any order, and the last holds"
    check_sources(job.data)
    assert options_of("aloha") == {"noise": 0.02, "root": "/somewhere"}
    check_sources(plain.data)
    assert not options_of("aloha"), "another pre-training in this process has its own"


def test_options_of_the_environment_name_the_frames_too(no_options: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else encoders of other actions are up to date under this name."""
    plain = make_job("clamp-small", ["aloha-pretrain"])
    said = make_job("clamp-small", ["aloha-pretrain"], (), None, ["env.aloha.control=cartesian"])
    monkeypatch.setenv("REPBENCH_ALOHA_OPTIONS", '{"control": "cartesian", "root": "/somewhere"}')
    job = make_job("clamp-small", ["aloha-pretrain"])
    assert job.identity_hash() == said.identity_hash() != plain.identity_hash()
    assert control_of({"identity": job.identity()}) == "cartesian"
    set_options("aloha", {"control": "relative-cartesian"})  # of a cell that this process has looked at
    assert make_job("clamp-small", ["aloha-pretrain"]).identity_hash() == job.identity_hash()
    over = make_job("clamp-small", ["aloha-pretrain"], (), None, ["env.aloha.control=joints"])
    assert control_of({"identity": over.identity()}) == "joints"


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (["env.metaworld.x=1"], ConfigError, "none of aloha-pretrain is of that simulator"),
        (["env.aloha.python=/usr/bin/python3"], ConfigError, "needs the simulator in this interpreter"),
        (["aloha-pretrain.tasks=[pen-on-plat]"], UnknownName, "Did you mean 'pen-on-plate'"),
        (["aloha-pretrain.splat=2"], ConfigError, "must be odd"),
        (["aloha-pretrain.splat=99"], ConfigError, "splat=99"),
        (["aloha-pretrain.kind=aloha2"], ConfigError, "no FILE.py:CLASS"),
        (["aloha-pretrain.min_success_steps=27"], ConfigError, "stop_after_success"),
    ],
)
def test_bad_input_is_one_line(overrides: list[str], kind: type[Exception], message: str, no_options: None) -> None:
    with pytest.raises(kind, match=message) as error:
        check_sources(make_job("clamp-small", ["aloha-pretrain"], (), None, overrides).data)
    assert "\n" not in str(error.value)


def test_a_simulator_that_names_no_objects_is_refused(toy: str) -> None:
    with pytest.raises(ConfigError, match=r"toy names no objects of near.*`objects\(task\)`"):
        check_objects(load_data("aloha-pretrain", [f"aloha-pretrain.kind={toy}", "aloha-pretrain.tasks=[near]"]))


def test_another_robots_actions_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    both = [load_data("metaworld-34"), config()]
    with pytest.raises(ConfigError, match="metaworld-34's have 4, aloha-pretrain's have 14 numbers"):
        open_frames(both, tmp_path, False, 1, True)
    with pytest.raises(ConfigError, match="of aloha-pretrain have 14 numbers, and this encoder reads 4"):
        check_actions(both[1:], 4)
    check_actions(both[1:], 14)
    check_actions(both[:1])
    assert not list(tmp_path.iterdir())


# -- ALOHA itself


@needs_aloha
@pytest.mark.sim
@pytest.mark.gl
@pytest.mark.slow
def test_alohas_triplets_have_both_wrists_and_the_objects_of_their_scene(aloha: dict[str, Any], tmp_path: Path) -> None:
    said = [f"env.aloha.{name}={str(value).lower()}" for name, value in aloha.items()]
    few = {"tasks": "[bowl-on-rack]", "demos": 1, "held_out": 0, "stride": 100}
    own = [f"aloha-pretrain.{name}={value}" for name, value in few.items()]
    (shard,) = open_frames([load_data("aloha-pretrain", [*own, *said])], tmp_path, False, 1, True).shards
    filled = shard.fields["views_valid"].mean(axis=(0, 2, 3))
    assert (filled > 0.05).all() and filled[1:3].min() > 0.4, "the table fills half of what the corners see"
    assert shard.fields["past_actions"].shape[1:] == (50, 14)
    assert shard.fields["object_names"][0].tolist() == ["bowl", "rack"]
    places = shard.fields["object_places"]
    assert (places > 0).all() and (places < 1).all(), "inside the crop's box"
    assert np.ptp(places[:, 0], axis=0).max() > 0.05, "the bowl is carried"
