"""Cameras of different sizes in one observation: how they are said and named, and what is drawn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from envs import points
from envs.camera_sizes import read_sizes
from envs.errors import SpecMismatch
from envs.metaworld import MetaWorld
from envs.pictures import PICTURES, as_fields, base_name, each_picture, field_names, fields_of, picture_specs
from envs.pool import EnvConfig, Pool
from envs.registry import make
from envs.spec import Observation, ObservationRequest
from envs.testing import EnvContract
from tests.conftest import TOY

TWO = ("corner", "corner2")
SEEING = TOY.replace("toy_env.py:Toy", "toy_cameras.py:Seeing")
PLAIN = ObservationRequest(("rgb", "depth", "points", "proprio"), TWO, 96, 128)
APART = dataclasses.replace(PLAIN, sizes=(("corner2", 64, 48),))


@pytest.mark.slow
class TestTheToyKeepsTheContract(EnvContract):
    env, task = SEEING, "near"
    fields, cameras = ("rgb", "depth", "points", "points_valid", "proprio"), ("front", "hand")


# -- one observation, one name


@pytest.mark.parametrize(
    "said",
    [
        {"sizes": ()},
        {"sizes": (("corner", 96, 128),)},
        {"sizes": (("corner2", 96, 128), ("corner", 96, 128))},
        {"height": 7, "width": 9, "sizes": (("corner2", 96, 128), ("corner", 96, 128))},
    ],
)
def test_sizes_that_say_nothing_else_are_the_observation_without_them(said: dict[str, Any]) -> None:
    request = dataclasses.replace(PLAIN, **said)
    assert request == PLAIN
    assert json.dumps(request.canonical()) == json.dumps(PLAIN.canonical())
    assert "sizes" not in request.canonical()
    assert MetaWorld.specs(request) == MetaWorld.specs(PLAIN)


def test_another_size_is_another_observation_however_it_is_said() -> None:
    assert APART.canonical() != PLAIN.canonical()
    assert json.loads(json.dumps(APART.canonical()))["sizes"] == [["corner2", 64, 48]]
    turned = dataclasses.replace(PLAIN, height=64, width=48, sizes=(("corner", 96, 128),))
    assert turned == APART and turned.canonical() == APART.canonical() and hash(turned) == hash(APART)
    assert dataclasses.replace(APART, sizes=(("corner2", 48, 64),)).canonical() != APART.canonical()
    assert dataclasses.replace(PLAIN, sizes=read_sizes({"corner2": [64, 48]})) == APART
    assert dataclasses.replace(PLAIN, sizes=read_sizes(json.loads(json.dumps(APART.canonical()))["sizes"])) == APART
    assert [APART.size_of(camera) for camera in TWO] == [(96, 128), (64, 48)]
    with pytest.raises(SpecMismatch, match="topview is none of the cameras"):
        APART.size_of("topview")


def test_one_camera_has_its_own_size_as_height_and_width() -> None:
    one = dataclasses.replace(PLAIN, cameras=("corner2",), sizes=(("corner2", 64, 48),))
    assert (one.height, one.width, one.sizes) == (64, 48, ())
    assert dataclasses.replace(one, cameras=("corner2@azimuth=10",)).size_of("corner2@azimuth=10") == (64, 48)


def test_where_nothing_is_drawn_sizes_cannot_matter() -> None:
    blind = dataclasses.replace(APART, fields=("proprio", "ground_truth"))
    assert blind.canonical() == {"fields": ["ground_truth", "proprio"]}
    assert set(MetaWorld.specs(blind)) == {"proprio", "ground_truth"}


def test_a_shifted_camera_keeps_its_size_and_its_fields() -> None:
    moved = dataclasses.replace(APART, cameras=("corner", "corner2@azimuth=15"))
    assert moved.size_of("corner2@azimuth=15") == (64, 48)
    assert set(MetaWorld.specs(moved)) == set(MetaWorld.specs(APART))
    exact = dataclasses.replace(moved, sizes=(("corner2@azimuth=15", 64, 48),))
    assert exact == moved, "with its shift or without"
    assert moved.canonical() != APART.canonical(), "the place is in the cameras"


def test_cameras_of_one_name_at_two_places_are_told_apart() -> None:
    cameras = ("side@azimuth=5", "side", "top/left")
    request = ObservationRequest(("rgb",), cameras, 8, 8, sizes=(("side", 4, 6), ("top/left", 2, 2)))
    assert [request.size_of(camera) for camera in cameras] == [(8, 8), (4, 6), (2, 2)]
    assert field_names(request) == ["rgb@side@azimuth=5", "rgb@side", "rgb@top.left"], "no slash: fields name files"
    assert dataclasses.replace(request) == request
    with pytest.raises(SpecMismatch, match="two cameras would be called a.b"):
        picture_specs(ObservationRequest(("rgb",), ("a/b", "a.b"), sizes=(("a.b", 2, 2),)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((("corner3", 64, 48),), "sizes has one of the camera corner3, which is none of the cameras that are seen"),
        ((("corner", 64, 48), ("corner", 32, 32)), "sizes has two of the camera corner"),
        ((("corner", 0, 48),), r"the size of corner is \[height, width\], two whole numbers, at least 1"),
        ((("corner", 64, 5000),), "at most 4,096"),
        ((("corner", 64.0, 48),), "two whole numbers"),
        ((("corner", True, 48),), "two whole numbers"),
        ((("corner", 64),), r"\{camera: \[height, width\]\}"),
        (((64, 48, "corner"),), r"\{camera: \[height, width\]\}"),
        ("corner", r"\{camera: \[height, width\]\}"),
        (3, r"\{camera: \[height, width\]\}"),
        ({"corner": 64}, "none of one"),
        ({"corner": "ab"}, "none of one"),
    ],
)
def test_bad_sizes_are_one_line_by_name(sizes: Any, message: str) -> None:
    with pytest.raises(SpecMismatch, match=message) as error:
        dataclasses.replace(PLAIN, sizes=sizes)
    assert "\n" not in str(error.value)
    with pytest.raises(SpecMismatch, match="none of the cameras that are seen: none"):
        ObservationRequest(("proprio",), sizes=(("corner", 3, 3),))


def test_fields_and_their_base_names() -> None:
    assert field_names(PLAIN) == list(PLAIN.fields)
    assert field_names(APART) == ["rgb@corner", "rgb@corner2", "depth@corner", "depth@corner2", "points", "proprio"]
    specs = MetaWorld.specs(APART)
    assert specs["rgb@corner"].shape == (96, 128, 3) and specs["rgb@corner2"].shape == (64, 48, 3)
    assert specs["depth@corner2"].shape == (64, 48) and specs["depth@corner2"].dtype == "float32"
    assert {base_name(name) for name in specs} == set(PLAIN.fields)
    assert base_name("rgb@corner2@azimuth=15") == "rgb" and base_name("state@home") == "state@home"
    assert fields_of(["rgb", "proprio"], specs) == ["rgb@corner", "rgb@corner2", "proprio"]
    assert fields_of(["rgb"], MetaWorld.specs(PLAIN)) == ["rgb"] and fields_of(["views"], specs) == []


def test_a_simulator_that_draws_one_size_is_not_asked_for_two() -> None:
    """It would draw all in the first, without a word."""
    request = ObservationRequest(("points", "points_valid"), ("front", "side"), sizes=(("side", 8, 8),))
    for name, asked in ((TOY, request), (SEEING.replace("Seeing", "OneSize"), request)):
        with pytest.raises(SpecMismatch, match="draws all cameras in one size: leave suite.observation.sizes out"):
            make(name, "near", asked)
        with pytest.raises(SpecMismatch, match="draws all cameras in one size"):
            Pool(EnvConfig(name, "near", asked), 1)
    make(TOY, "near", dataclasses.replace(request, fields=("proprio",))).close()


@pytest.mark.slow
def test_a_worker_gives_them_through_shared_memory() -> None:
    request = ObservationRequest(("rgb", "depth", "proprio"), ("front", "hand"), 24, 32, sizes=(("hand", 9, 7),))
    env = make(SEEING, "near", request)
    here = env.reset(5)
    with Pool(EnvConfig(SEEING, "near", request), 1) as pool:
        list(pool.map("reset", [(5,)]))
        there = pool.workers[0].observation
        assert list(there) == list(here) == field_names(request)
        for name, value in here.items():
            np.testing.assert_array_equal(there[name], value)
    assert here["rgb@hand"].shape == (9, 7, 3) and len(np.unique(here["depth@front"])) > 1


# -- MetaWorld

FIELDS = ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors")
SIZES = (("corner2", 61, 64), ("gripperPOV", 50, 40))
"""Beside 60 x 64, whose buffers for depth have one row more: they could be taken for those of corner2's colours."""


def seen(request: ObservationRequest) -> tuple[Observation, list[np.ndarray]]:
    """A frame, and the cloud of each camera that is in it."""
    env: Any = make("metaworld", "hammer", request)
    env.reset(3)
    frame = env.step(env.expert_action()).observation
    depths = each_picture("depth", frame) if request.clouds else []
    clouds = [env.sensors.back_projection(n)(d)[0] for n, d in zip(env.sensors.cameras, depths, strict=False)]
    env.close()
    return frame, clouds


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("render", ["paper", "fast"])
def test_each_camera_sees_what_it_sees_alone(render: str) -> None:
    """Bit for bit, at both qualities, whatever was drawn in another size before."""
    cameras = ("corner", "corner2", "gripperPOV")
    together = ObservationRequest(FIELDS, cameras, 60, 64, 256, render=render, sizes=SIZES)
    frame, clouds = seen(together)
    for number, camera in enumerate(cameras):
        height, width = together.size_of(camera)
        alone, own = seen(ObservationRequest(FIELDS, (camera,), height, width, 256, render=render))
        for name in PICTURES:
            assert np.array_equal(each_picture(name, frame)[number], alone[name][0]), (camera, name)
        for name in ("intrinsics", "extrinsics"):
            assert np.array_equal(frame[name][number], alone[name][0]), (camera, name)
        assert np.array_equal(clouds[number], own[0])
    assert frame["intrinsics"][1, 0, 2] == 32 and frame["intrinsics"][1, 1, 2] == 30.5, "the middle of its own image"


@pytest.mark.slow
@pytest.mark.gl
def test_the_cloud_is_that_of_all_cameras() -> None:
    fields = (*FIELDS, "views", "views_valid")
    request = ObservationRequest(fields, TWO, 120, 128, 256, render="fast", sizes=(("corner2", 64, 48),))
    frame, clouds = seen(request)
    assert min(map(len, clouds)) > 100
    merged = np.concatenate(clouds)
    chosen = points.sample(merged, 256, "bucket")
    np.testing.assert_array_equal(frame["points"], merged[chosen])
    colours = {tuple(one) for picture in each_picture("rgb", frame) for one in picture.reshape(-1, 3).tolist()}
    assert {tuple(one) for one in frame["point_colors"].tolist()} <= colours
    alone = seen(dataclasses.replace(request, cameras=("corner",), sizes=()))[0]["views_valid"]
    assert frame["views_valid"].sum() > alone.sum(), "virtual cameras see what both have seen"


@pytest.mark.slow
@pytest.mark.gl
def test_a_request_without_colour_draws_them_too() -> None:
    apart, _ = seen(ObservationRequest(("depth",), TWO, 64, 48, sizes=(("corner", 65, 48),)))
    for camera, height in zip(TWO, (65, 64), strict=True):
        alone, _ = seen(ObservationRequest(("depth",), (camera,), height, 48))
        assert np.array_equal(apart[f"depth@{camera}"], alone["depth"][0])


def test_as_fields_is_a_stack_where_all_have_one_size() -> None:
    pictures = [np.zeros((96, 128, 3), np.uint8), np.ones((96, 128, 3), np.uint8)]
    assert as_fields("rgb", pictures, PLAIN)["rgb"].shape == (2, 96, 128, 3)
    apart = as_fields("rgb", [pictures[0], np.ones((64, 48, 3), np.uint8)], APART)
    assert {name: value.shape for name, value in apart.items()} == {
        "rgb@corner": (96, 128, 3),
        "rgb@corner2": (64, 48, 3),
    }
    assert [one.max() for one in each_picture("rgb", apart)] == [0, 1]
