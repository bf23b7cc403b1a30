"""The faults of public code that are options here, and the image encoders' inputs."""

from __future__ import annotations

import pytest
import torch

from baselines.r3m import R3MResNet18
from methods.frozen import fingerprint
from methods.preprocess import prepare_images
from methods.registry import method_class
from methods.testing import random_observations
from tests.methods.test_contract import contract

pytestmark = pytest.mark.slow


def test_lift3ds_clip_sees_pixels_255_times_too_bright() -> None:
    specs = contract("clip").specs()
    with torch.device("meta"):
        right, wrong = method_class("clip")(specs), method_class("clip")(specs, compat="lift3d")
    rgb = random_observations(specs, 1)["rgb"][:, 0]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (right.image_input.mean, right.image_input.std))
    scaled = prepare_images(rgb, right.image_input) * std + mean
    assert scaled.amin() >= -1e-6
    assert scaled.amax() <= 1 + 1e-6
    torch.testing.assert_close(prepare_images(rgb, wrong.image_input) * std + mean, scaled * 255, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("compat", ["none", "lift3d"])
def test_r3ms_statistics_move_only_in_compat(compat: str) -> None:
    specs = contract("r3m-resnet18").specs()
    torch.manual_seed(0)
    r3m = R3MResNet18(specs, compat)
    r3m.freeze_as_card_says()
    assert not [p for p in r3m.parameters() if p.requires_grad], "no weight is trained either way"
    assert (r3m.frozen_part is None) == (compat == "lift3d"), "what moves cannot be kept"
    assert r3m.card.frozen == (compat == "none")
    assert R3MResNet18.card.frozen, "the class's card is nobody's to change"
    before = fingerprint(r3m)
    r3m.train().encode(random_observations(specs, 2))
    assert (fingerprint(r3m) == before) == (compat == "none")


def test_several_cameras_are_several_features_side_by_side() -> None:
    one, two = contract("r3m-resnet18"), contract("r3m-resnet18")
    two.cameras = ("corner", "corner2")  # type: ignore[misc]
    torch.manual_seed(0)
    single = R3MResNet18(one.specs()).eval()
    double = R3MResNet18(two.specs()).eval()
    double.load_state_dict(single.state_dict())
    assert double.feature_dim == 2 * single.feature_dim
    rgb = random_observations(two.specs(), 2)["rgb"]
    with torch.no_grad():
        both = double.encode({"rgb": rgb})
        parts = [single.encode({"rgb": rgb[:, view : view + 1]}) for view in range(2)]
    torch.testing.assert_close(both, torch.cat(parts, dim=1), rtol=1e-4, atol=1e-4)
