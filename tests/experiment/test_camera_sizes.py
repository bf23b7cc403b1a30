"""`suite.observation.sizes` from the command line to the record, its audit, its films and the exported policy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import repbench
from benchmark.data.observations import load_or_render, open_pool
from benchmark.experiment.cell_of_record import Where, cell_of
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.retest_shifted import moved_cameras
from benchmark.experiment.task_data import demo_file, load_demos
from benchmark.records.actions import read_actions, retest_actions
from benchmark.records.audit import audit
from benchmark.records.paths import Paths
from benchmark.records.read import read_all
from benchmark.records.record import Record
from benchmark.records.replay_actions import Simulator
from benchmark.report.page.film import film, filmed, seen_by
from benchmark.settings.load import choices, load_settings
from benchmark.settings.policy import policy_config
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from envs.spec import ObservationRequest
from methods.registry import method_class, policy_class
from tests.test_cli import here

TESTS = Path(__file__).parents[1]
SEEING, FORGETFUL = (f"{TESTS / 'toy_cameras.py'}:{name}" for name in ("Seeing", "Forgetful"))
FROZEN, TRAINED, STACK, OVER, OVER_STACK = (
    f"{TESTS / 'toy_pictures.py'}:{name}" for name in ("Frozen", "Trained", "OneStack", "OverPictures", "OverOneStack")
)
SIZES = {"hand": [20, 40]}
SEEN = {"cameras": ["front", "hand"], "height": 32, "width": 24}


def settings_of(settings: Settings, env: str = SEEING, **said: Any) -> Settings:
    suite = Suite("seeing", "seeing", env, "none", {"all": ("near",)}, {**SEEN, "sizes": SIZES, **said})
    return dataclasses.replace(settings, suite=suite)


# -- settings


def request(*overrides: str, name: str = "metaworld-15") -> ObservationRequest:
    words = ["suite.observation.cameras=[corner,corner2]", *overrides]
    return load_settings(name, "quick", "mlp", words).suite.request(("rgb",), None)


@pytest.mark.parametrize("name", choices("suite"))
def test_every_suite_takes_sizes(name: str) -> None:
    said = load_settings(name, "quick", "mlp").suite.observation
    assert "sizes" not in said, "null says nothing"
    height, width = said["height"], said["width"]
    found = request("suite.observation.sizes={corner2: [120, 160]}", name=name)
    assert (found.height, found.width, found.sizes) == (height, width, (("corner2", 120, 160),))
    assert request(f"suite.observation.sizes={{corner2: [{height}, {width}]}}", name=name) == request(name=name)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", r"suite.observation.sizes: sizes are \{camera: \[height, width\]\}"),
        ("{corner2: 64}", "is none of one"),
        ("{corner2: [64]}", "is none of one"),
        ("{corner2: [64, 0]}", "size of corner2 is .height, width., two whole"),
        ("{corner2: [64, 9999]}", "at most 4,096"),
        ("{corner2: [a, b]}", "two whole numbers"),
        ("{corner3: [64, 64]}", "camera corner3, which is none of the cameras that are seen: corner, corner2"),
    ],
)
def test_bad_sizes_are_one_line(value: str, message: str) -> None:
    with pytest.raises((ConfigError, SpecMismatch), match=message) as error:
        request(f"suite.observation.sizes={value}")
    assert "\n" not in str(error.value)


def test_a_moved_camera_keeps_its_size() -> None:
    words = ["suite.observation.cameras=[corner2]", "suite.observation.sizes={corner2: [120, 160]}"]
    settings = load_settings("metaworld-15", "quick", "mlp", words)
    (camera,) = moved_cameras(settings, "azimuth=10")
    moved = dataclasses.replace(settings.request(("rgb",), None), cameras=(camera,))
    assert moved.size_of("corner2@azimuth=10") == (120, 160)


def test_a_simulator_in_this_process() -> None:
    env = repbench.make_env(SEEING, "near", "rgb", ["front", "hand"], height=8, width=9, sizes={"hand": (5, 6)})
    shapes = {name: value.shape for name, value in env.reset(0).items()}
    assert shapes == {"rgb@front": (8, 9, 3), "rgb@hand": (5, 6, 3), "proprio": (2,)}
    with pytest.raises(SpecMismatch, match="the camera side, which is none"):
        repbench.make_env(SEEING, "near", "rgb", ["front", "hand"], sizes={"side": (5, 6)})


def test_what_is_asked_for_takes_the_place_of_a_suites_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = {"name": "two", "title": "", "env": SEEING, "source": "", "tasks": {"all": ["near"]}}
    (tmp_path / "two.yaml").write_text(json.dumps({**suite, "observation": {**SEEN, "sizes": SIZES}}))
    monkeypatch.chdir(tmp_path)
    own = repbench.make_env("./two.yaml", "near", "rgb").request
    assert (own.size_of("front"), own.size_of("hand")) == ((32, 24), (20, 40))
    assert repbench.make_env("./two.yaml", "near", "rgb", ["hand"]).request.size_of("hand") == (32, 24)
    square = repbench.make_env("./two.yaml", "near", "rgb", height=16, width=16).request
    assert square.size_of("hand") == square.size_of("front") == (16, 16)


# -- methods


def test_one_stack_is_told_before_any_work_what_to_do(toy_settings: Settings) -> None:
    with pytest.raises(SpecMismatch) as error:
        make_cells(settings_of(toy_settings), None, [STACK], [0])
    said = str(error.value)
    assert "\n" not in said and said.startswith("toy-stack reads rgb as one stack")
    assert "suite.observation.sizes=null" in said and "read the fields rgb@front, rgb@hand" in said
    over = policy_config(OVER_STACK, policy_class(OVER_STACK).card, {}, {})
    with pytest.raises(SpecMismatch, match="toy-over-stack reads rgb as one stack"):
        make_cells(dataclasses.replace(settings_of(toy_settings), head=over), None, [FROZEN], [0])
    (cell,) = make_cells(settings_of(toy_settings, sizes=None), None, [STACK], [0])
    apart = settings_of(toy_settings).simulator().specs(settings_of(toy_settings).request(("rgb",), None))
    with pytest.raises(SpecMismatch, match="toy-stack reads rgb as one stack"):
        method_class(STACK)(apart)
    assert cell.build(cell.specs()) is not None
    make_cells(settings_of(toy_settings), None, ["dp3", "state"], [0])  # no images, no matter


@pytest.mark.parametrize("observe", ["rgb", "rgbd"])
def test_features_are_those_of_each_camera_side_by_side(toy_settings: Settings, observe: str) -> None:
    """And images of one size, given apart, have the stack's features."""
    options = {} if observe == "rgb" else {"observe": observe}
    fields = ("rgb",) if observe == "rgb" else ("rgb", "depth")
    kind = method_class(FROZEN).under(options)

    def encoded(sizes: Any, cameras: list[str], rename: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        settings = settings_of(toy_settings, sizes=sizes, cameras=cameras)
        env = repbench.make_env(SEEING, "near", fields, cameras, height=32, width=24, sizes=sizes)
        frames = [env.reset(seed) for seed in range(3)]
        specs = settings.simulator().specs(settings.request(fields, None))
        batch = {name: torch.from_numpy(np.stack([frame[name] for frame in frames])) for name in frames[0]}
        if rename:  # one size, as if there were several
            for name in fields:
                stack, spec = batch.pop(name), specs.pop(name)
                batch |= {f"{name}@{camera}": stack[:, number] for number, camera in enumerate(cameras)}
                apart = {f"{name}@{c}": dataclasses.replace(spec, shape=spec.shape[1:]) for c in cameras}
                specs |= apart
        torch.manual_seed(0)
        encoder = kind(specs, **options).eval()
        return encoder.encode(batch), encoder.encode_tokens(batch)

    both, hand_first = ["front", "hand"], ["hand", "front"]
    whole, apart = encoded(None, both), encoded(None, both, rename=True)
    for one, other in zip(whole, apart, strict=True):  # the memory's order differs, and with it the sums' last bit
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    feature, tokens = encoded(SIZES, both)
    towers = len(fields)
    assert feature.shape == (3, towers * 2 * 64) and tokens.shape == (3, towers * 2 * 16, 4)
    single = [encoded(SIZES if name == "hand" else None, [name])[0].view(3, towers, 1, 64) for name in both]
    torch.testing.assert_close(feature, torch.cat(single, 2).flatten(1))
    turned = encoded(SIZES, hand_first)[0].view(3, towers, 2, 64)
    torch.testing.assert_close(turned.flip(2).flatten(1), feature, msg="the order is that of the cameras")


# -- a cell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Records of a frozen and of a trained method, by the command, from a suite of one's own."""
    root = tmp_path_factory.mktemp("sizes")
    suite = {"name": "seeing", "title": "", "env": SEEING, "source": "", "tasks": {"all": ["near"]}}
    for group in ("suite", "protocol"):
        (root / "config" / group).mkdir(parents=True)
    (root / "config/suite/seeing.yaml").write_text(json.dumps({**suite, "observation": {**SEEN, "sizes": None}}))
    (root / "config/protocol/brief.yaml").write_text(
        "defaults: [quick]\nname: brief\nepochs: 2\nevaluate_every: 1\nrollouts: 2\nretest_rollouts: 3\nhorizon: 60\n"
        "train_demos: 2\nvalid_demos: 1\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CONFIG", str(root / "config"))
        words = [
            "run",
            "--suite",
            "seeing",
            "--protocol",
            "brief",
            "--out",
            str(root / "runs"),
            "runtime.workers=2",
            "suite.observation.sizes={hand: [20, 40]}",
            "--method",
        ]
        for chosen in ([f"{FROZEN},{TRAINED}"], [FROZEN, "--policy", OVER, "--dry-run"], [FROZEN, "--policy", OVER]):
            code, out, err = here(*words, *chosen)
            assert code == 0, (out, err)
        yield root


def records(folder: Path) -> dict[str, tuple[Path, Record]]:
    found = [(path, one) for path, one in read_all([folder / "runs/records"]) if isinstance(one, Record)]
    return {f"{record.method}/{record.head}": (path, record) for path, record in found}


@pytest.mark.slow
def test_from_demonstrations_to_records_that_hold(folder: Path) -> None:
    found = records(folder)
    assert set(found) == {"toy-frozen/mlp", "toy-trained/mlp", "toy-frozen/toy-over-pictures"}
    for path, record in found.values():
        seen = record.identity["observation"]
        assert (seen["height"], seen["width"], seen["sizes"]) == (32, 24, [["hand", 20, 40]])
        assert "observation.sizes=hand-20-40" in record.protocol and record.errors == 0
        assert audit(record, path, Simulator(2, files=(SEEING,))).word == "holds"
        assert cell_of(record, Where(methods=(FROZEN, TRAINED, OVER))).request.size_of("hand") == (20, 40)
    (kept,) = (folder / "runs/data/observations").glob("near-*/rgb@hand.npy")
    assert np.load(kept, mmap_mode="r").shape[1:] == (20, 40, 3)
    (features,) = (folder / "runs/data/features").glob("near-toy-frozen-*/feature.npy")
    assert np.load(features, mmap_mode="r").shape[1:] == (128,)


@pytest.mark.slow
def test_the_same_command_finds_it_and_other_sizes_are_other_cells(folder: Path) -> None:
    words = ["run", "--suite", "seeing", "--protocol", "brief", "--method", FROZEN, "--out", str(folder / "runs")]
    code, out, _ = here(*words, "--dry-run", "suite.observation.sizes={hand: [20, 40]}")
    assert code == 0 and "toy-frozen/mlp-s0  done" in out
    _, record = records(folder)["toy-frozen/mlp"]

    def identity(sizes: str) -> str:
        settings = load_settings("seeing", "brief", "mlp", [f"suite.observation.sizes={sizes}"])
        named = dataclasses.replace(settings, protocol=dataclasses.replace(settings.protocol, name=record.protocol))
        return make_cells(named, None, [FROZEN], [0])[0].identity_hash()

    assert identity("{hand: [20, 40]}") == record.identity_hash == identity("{hand: [20, 40], front: [32, 24]}")
    assert len({identity(one) for one in ("{hand: [20, 40]}", "{hand: [40, 20]}", "{front: [20, 40]}", "null")}) == 4
    assert identity("null") == identity("{front: [32, 24]}") == identity("{front: [32, 24], hand: [32, 24]}")


@pytest.mark.slow
def test_an_exported_policy_acts_as_it_did(folder: Path, tmp_path: Path) -> None:
    path, record = records(folder)["toy-trained/mlp"]
    cell, paths = cell_of(record, Where(methods=(TRAINED,))), Paths(folder / "runs", folder / "runs/data")
    policy = load_policy(export_policy(record, cell, paths, tmp_path / "bundle"), run_its_code=True)
    assert list(policy.observation) == ["rgb@front", "rgb@hand", "proprio"]
    seed = record.retest.episodes[0][0]
    env = repbench.make_env(SEEING, "near", "rgb", ["front", "hand"], height=32, width=24, sizes={"hand": (20, 40)})
    observation = env.reset(seed)
    policy.reset(seed=seed)
    for action in read_actions(retest_actions(path), 60)[str(seed)][:5]:
        assert np.array_equal(policy.act(observation), action)
        observation = env.step(action).observation


@pytest.mark.slow
def test_films(folder: Path, tmp_path: Path) -> None:
    """Of both cameras in the video's own size; where a method sees a cloud, in the sizes that the cloud is made of, and
    then cameras of unequal heights do not stand side by side."""
    av = pytest.importorskip("av", reason="no PyAV")
    path, record = records(folder)["toy-frozen/mlp"]
    seen = {
        **record.identity["observation"],
        "fields": ["points", "points_valid", "proprio"],
        "num_points": 64,
        "sampler": "bucket",
        "crop": None,
        "height": 33,
    }
    with_cloud = dataclasses.replace(record, identity={**record.identity, "observation": seen})
    assert [seen_by(one).size_of("hand") for one in (record, with_cloud)] == [(224, 224), (20, 40)]
    for one, size, name in ((record, (224, 448), "a"), (with_cloud, (32, 24), "b")):  # sides are even
        assert film([(path, one)], tmp_path / name, [SEEING]) == []
        found = filmed(one, path, tmp_path / name)
        assert found is not None and found["films"] and bool(found["clouds"]) == (one is with_cloud)
        with av.open(str(tmp_path / name / found["films"][0]["file"])) as video:
            assert (video.streams.video[0].height, video.streams.video[0].width) == size


@pytest.mark.slow
def test_what_was_seen_is_stored_where_no_state_can_be_restored(tmp_path: Path, toy_settings: Settings) -> None:
    settings = settings_of(toy_settings, FORGETFUL)
    (cell,) = make_cells(settings, None, [TRAINED], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    (demos,) = load_demos(cell, paths, 2)
    with h5py.File(demo_file(cell, paths, "near")) as file:
        assert set(file["data/demo_0/obs"]) == {"rgb@front", "rgb@hand", "proprio"}
    pool, fingerprint = open_pool(FORGETFUL, "near", cell.request, 1, None, 60.0)
    with pool:
        fields = load_or_render(paths.caches, demos, cell.request, pool, fingerprint)
    assert fields["rgb@hand"].shape[1:] == (20, 40, 3) and fields["rgb@front"].max() == 255
    assert len(fields["rgb@front"]) == demos.episodes.rows == len(fields["rgb@hand"])
