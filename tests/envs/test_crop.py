"""What is kept of a cloud: named, resolved to numbers that every key holds, and Lift3D's as it is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import metaworld, points, views
from envs.camera import extrinsics_from_mujoco, intrinsics_from_fovy
from envs.crop import Crop, read_crop
from envs.errors import SpecMismatch
from envs.lift3d_crop import CORNER, CORNER2, LIFT3D
from envs.metaworld import MetaWorld
from envs.pool import EnvConfig, Pool
from envs.registry import env_class, make, resolve
from envs.spec import ObservationRequest

CLOUD = ObservationRequest(("points", "points_valid"), ("corner",))
VIEWS = ObservationRequest(("views", "views_valid"), ("corner", "corner2"))
OURS = {"low": [-0.6, 0.3, 0.005], "high": [0.6, 0.9, 2.0]}

LIFT3D_T = {
    "corner": [
        [-0.66173422, -0.48809537, 0.56909642],
        [-0.31361979, 0.86966611, 0.38121317],
        [0.68099225, -0.0737819, 0.7285642],
    ],
    "corner2": [
        [0.56914086, -0.56424844, 0.59808225],
        [0.23069754, 0.80774597, 0.54251738],
        [-0.78921311, -0.17079271, 0.58989196],
    ],
}
"""`pc_transform` of PKU-HMI-Lab/LIFT3D b0cff85, lift3d/envs/metaworld_env.py."""


def canonical(request: ObservationRequest) -> dict[str, Any]:
    return json.loads(json.dumps(resolve(MetaWorld, request).canonical()))


# -- what names an observation


def test_a_resolved_request_holds_numbers_where_they_matter() -> None:
    assert canonical(CLOUD)["crop"] == OURS
    assert canonical(dataclasses.replace(CLOUD, crop=Crop((-0.6, 0.3, 0.005), (0.6, 0.9, 2.0)))) == canonical(CLOUD)
    assert "virtual_cameras" not in canonical(CLOUD)
    facts = canonical(VIEWS)
    assert facts["crop"] == OURS and facts["views"] == views.VERSION
    assert facts["virtual_cameras"][3] == {
        "name": "wrist-left",
        "eye": [0.0, -0.12, 0.08],
        "target": [0.0, 0.03, -0.08],
        "up": [0.0, 0.0, 1.0],
        "on_hand": True,
    }
    for fields in (("rgb",), ("depth", "intrinsics"), ("proprio", "ground_truth")):
        for crop in (None, "lift3d", Crop((0.0,) * 3, (1.0,) * 3)):
            request = ObservationRequest(fields, ("corner",), crop=crop)
            assert canonical(request) == json.loads(json.dumps(request.canonical()))
            assert not {"crop", "virtual", "virtual_cameras"} & set(canonical(request)), "it cannot matter"
    lift3d = canonical(dataclasses.replace(CLOUD, crop="lift3d"))["crop"]
    assert lift3d["name"] == "lift3d" and set(lift3d["boxes"]) == {"corner"}, "corner2's box cannot matter"
    assert lift3d["boxes"]["corner"]["frame"][0] == list(CORNER.frame[0])  # type: ignore[index]


@pytest.mark.parametrize("crop", [None, "lift3d", Crop((0.0,) * 3, (1.0,) * 3)])
def test_resolving_twice_is_resolving_once(crop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    once = resolve(MetaWorld, dataclasses.replace(VIEWS, crop=crop))
    monkeypatch.setattr(metaworld, "WORKSPACE", Crop((-1.0,) * 3, (1.0,) * 3))
    monkeypatch.setattr(metaworld, "FIXED_VIEWS", metaworld.FIXED_VIEWS[:1])
    monkeypatch.setattr(metaworld, "CROPS", {})
    assert resolve(MetaWorld, once) == once, "what a request says is what is computed"


@pytest.mark.parametrize(
    ("name", "value", "touched"),
    [
        ("WORKSPACE", Crop((-0.6, 0.3, 0.006), (0.6, 0.9, 2.0)), (CLOUD, VIEWS)),
        (
            "FIXED_VIEWS",
            (*metaworld.FIXED_VIEWS[:2], views.VirtualCamera("front-left", (-0.6, 0.3, 0.8), (0.0, 0.6, 0.0))),
            (VIEWS,),
        ),
        ("WRIST_EYE", (0.0, -0.12, 0.09), (VIEWS,)),
        ("WRIST_TARGET", (0.0, 0.03, -0.07), (VIEWS,)),
    ],
)
def test_a_changed_constant_is_another_key(
    name: str, value: Any, touched: tuple[ObservationRequest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = (CLOUD, VIEWS, ObservationRequest(("rgb",), ("corner",)), ObservationRequest(("proprio",)))
    before = [canonical(request) for request in kinds]
    monkeypatch.setattr(metaworld, name, value)
    assert [canonical(r) != old for r, old in zip(kinds, before, strict=True)] == [r in touched for r in kinds]


def test_a_changed_crop_by_name_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    request = dataclasses.replace(CLOUD, crop="lift3d")
    before = canonical(request)
    other = dataclasses.replace(LIFT3D, boxes=(("corner", dataclasses.replace(CORNER, high=(-0.48, 1.38, 9.0))),))
    monkeypatch.setattr(metaworld, "CROPS", {"lift3d": other})
    assert canonical(request) != before


def test_a_simulator_without_choices_of_its_own_keeps_the_request(toy: str) -> None:
    assert resolve(env_class(toy), CLOUD) is CLOUD
    with pytest.raises(SpecMismatch, match="toy has no crop named 'lift3d'"):
        resolve(env_class(toy), dataclasses.replace(CLOUD, crop="lift3d"))


# -- what a person writes


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3],
        [0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 0],
        [0.5, 0, 0, 0.4, 1, 1],
        [0, 0, 0, 1, 1, float("nan")],
        [0, 0, 0, 1, 1, float("inf")],
        [0, 0, 0, 1, 1, "high"],
        [0, 0, 0, 1, 1, True],
        "",
        True,
        {"low": [0, 0, 0]},
        3,
    ],
)
def test_what_is_no_crop_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(SpecMismatch, match="crop") as error:
        read_crop(value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("crop", [None, "lift3d", Crop((0.0,) * 3, (1.0,) * 3)])
@pytest.mark.parametrize("cameras", [("corner",), ("corner", "corner2")])
def test_a_records_crop_is_read_back(crop: Any, cameras: tuple[str, ...]) -> None:
    facts = canonical(dataclasses.replace(CLOUD, crop=crop, cameras=cameras))
    again = dataclasses.replace(CLOUD, crop=read_crop(facts["crop"]), cameras=cameras)
    assert canonical(again) == facts


def test_names_and_cameras_that_are_not_there_are_named() -> None:
    with pytest.raises(SpecMismatch, match=r"no crop named 'lift3', only lift3d; or give \[x0"):
        MetaWorld.specs(dataclasses.replace(CLOUD, crop="lift3"))
    for camera in ("corner3", "corner@azimuth=10"):
        request = dataclasses.replace(CLOUD, crop="lift3d", cameras=(camera,))
        with pytest.raises(SpecMismatch, match=f"lift3d has no box for the camera {camera}, only for corner, corner2"):
            MetaWorld.specs(request)
        MetaWorld.specs(dataclasses.replace(request, fields=("rgb",)))  # no cloud, no crop
    moved = dataclasses.replace(resolve(MetaWorld, dataclasses.replace(CLOUD, crop="lift3d")), cameras=("corner2",))
    assert moved.crop_of("corner2") == CORNER2, "another camera of a resolved request has its own box"


# -- oriented boxes


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_a_crop_in_a_frame_of_its_own_is_the_crop_by_points(seed: int) -> None:
    draw = np.random.default_rng(seed)
    intrinsics, depth = intrinsics_from_fovy(50.0, 48, 64), draw.uniform(0.05, 3, (48, 64)).astype(np.float32)
    frame = np.hstack([np.linalg.qr(draw.normal(size=(3, 3)))[0], draw.uniform(-1, 1, (3, 1))])  # mirrored in half
    low = draw.uniform(-0.8, 0.1, 3)
    crop = Crop(tuple(low), tuple(low + draw.uniform(0.3, 1.5, 3)), tuple(map(tuple, frame.tolist())))
    rotation, _ = np.linalg.qr(draw.normal(size=(3, 3)))
    pose = extrinsics_from_mujoco(draw.uniform(-1, 1, 3), rotation * np.sign(np.linalg.det(rotation)))
    everything, _ = points.BackProjection(intrinsics, pose, 48, 64, None)(depth)
    there = everything @ frame[:, :3].T + frame[:, 3]
    inside = ((there > crop.low) & (there < crop.high)).all(1)
    margin = np.minimum(abs(there - np.array(crop.low)), abs(there - np.array(crop.high))).min(1)
    cloud, index = points.BackProjection(intrinsics, pose, 48, 64, crop)(depth)
    found = np.zeros(depth.size, bool)
    found[index] = True
    assert (found == inside)[margin > 1e-5].all()
    np.testing.assert_allclose(cloud, everything[found], atol=1e-5), "the points stay in the robot frame"


# -- Lift3D's


@pytest.mark.slow
@pytest.mark.sim
def test_lift3ds_boxes_are_its_matrices_times_the_cameras_true_poses() -> None:
    """T R^T R^T (p - c), with R in OpenCV axes as MuJoCo draws the image (not rotated)."""
    env = make("metaworld", "reach", ObservationRequest(("proprio",)))
    assert isinstance(env, MetaWorld)
    env.reset(0)
    for name, box in LIFT3D.boxes:
        number = env._model.camera(name).id
        rotation = env._data.cam_xmat[number].reshape(3, 3) @ np.diag([1.0, -1, -1])
        there = np.array(LIFT3D_T[name]) @ rotation.T @ rotation.T
        expected = np.hstack([there, -there @ env._data.cam_xpos[number][:, None]])
        np.testing.assert_allclose(box.frame, expected, atol=1e-8)
        assert np.sign(np.linalg.det(there)) == (-1 if name == "corner" else 1), "corner is a mirror image"
        table = expected @ np.array([0.0, 0.6, 0.0, 1.0])
        assert 0.004 < table[2] - box.low[2] < 0.006, "the tilt lifts the table over the floor of the box"
    env.close()


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("camera", ["corner", "corner2"])
def test_lift3ds_crop_keeps_the_table_and_ours_does_not(camera: str) -> None:
    """Shares of the 1,024 points within 5 mm of the table's top; docs/protocol.md has the figures."""
    shares = {}
    for task in ("reach", "hammer", "box-close", "assembly"):
        for crop in ("lift3d", None):
            env = make("metaworld", task, dataclasses.replace(CLOUD, cameras=(camera,), crop=crop))
            observation = env.reset(0)
            env.close()
            cloud = observation["points"][observation["points_valid"]]
            on_table = abs(cloud[:, 2]) < 0.005
            if crop is None:
                assert not on_table.any(), task
                continue
            shares[task] = on_table.mean()
            assert len(cloud) == 1024
            assert (cloud[:, 0] > -0.7).all() and (cloud[:, 0] < 0.7).all(), "the points are in the robot frame"
            assert (cloud[:, 1] > 0.2).all() and (cloud[:, 1] < 1.0).all()
            assert cloud[:, 2].min() > -0.002
    assert min(shares.values()) > 0.6 and max(shares.values()) < 0.95, shares


@pytest.mark.slow
@pytest.mark.gl
def test_a_higher_table_stays_under_both_crops() -> None:
    for crop in ("lift3d", None):
        env = make("metaworld", "sweep-into", dataclasses.replace(CLOUD, crop=crop))
        observation = env.reset(0)
        env.close()
        assert (abs(observation["points"][observation["points_valid"]][:, 2] - 0.05) < 0.005).mean() > 0.7, crop


@pytest.mark.slow
@pytest.mark.gl
def test_a_worker_crops_as_it_is_told() -> None:
    box = Crop((-0.2, 0.5, 0.01), (0.3, 0.8, 0.4))
    seen = {}
    for name, crop in (("own", None), ("resolved", metaworld.WORKSPACE), ("box", box)):
        request = dataclasses.replace(CLOUD, height=96, width=96, num_points=3000, crop=crop)
        with Pool(EnvConfig("metaworld", "hammer", request), 1) as pool:
            list(pool.map("reset", [(3,)]))
            (worker,) = pool.workers
            seen[name] = worker.observation["points"][worker.observation["points_valid"]].copy()
    np.testing.assert_array_equal(seen["own"], seen["resolved"])
    inside = ((seen["own"] > box.low) & (seen["own"] < box.high)).all(1)
    assert 20 < inside.sum() < len(seen["own"])
    np.testing.assert_array_equal(seen["box"], seen["own"][inside])
