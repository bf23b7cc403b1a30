import pytest
import torch
from torch import nn

from methods.card import FixedPointInput, ImageInput, PointInput, VectorInput
from methods.frozen import fingerprint
from methods.pooling import pointwise_max
from methods.preprocess import PointPreprocess, VectorPreprocess, prepare_images, repeat_valid

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_pixels_reach_their_range() -> None:
    card = ImageInput(8, (0, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for value, expected in ((0, -1.0), (255, 1.0), (51, -0.6)):
        images = prepare_images(torch.full((2, 8, 8, 3), value, dtype=torch.uint8), card)
        assert images.shape == (2, 3, 8, 8)
        torch.testing.assert_close(images, torch.full_like(images, expected))
    wide = prepare_images(torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), ImageInput(8, (0, 255), (0,) * 3, (1,) * 3))
    assert wide.max() == 255


def test_channels_keep_their_order_and_nothing_is_resized_unasked() -> None:
    picture = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    picture[..., 2] = 255
    images = prepare_images(picture, ImageInput(16, (0, 1), *IMAGENET))
    assert images[0, 2, 0, 0] > 2
    assert images[0, 0, 0, 0] < 0
    with pytest.raises(ValueError, match="does not resize"):
        prepare_images(picture, ImageInput(8, (0, 1), *IMAGENET))
    with pytest.raises(TypeError, match="must be uint8"):
        prepare_images(picture.float(), ImageInput(16, (0, 1), *IMAGENET))


def test_padding_becomes_the_clouds_own_points() -> None:
    points = torch.arange(10.0).view(1, 10, 1).repeat(2, 1, 3)
    valid = torch.ones(2, 10, dtype=torch.bool)
    valid[1, 4:] = False
    filled = repeat_valid(points, valid)
    assert torch.equal(filled[0], points[0])
    assert filled[1, :, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_unit_sphere_ignores_padding() -> None:
    points, valid = torch.rand(3, 50, 3) + 2, torch.ones(3, 50, dtype=torch.bool)
    valid[:, 30:] = False
    out = PointPreprocess(PointInput(50, "unit_sphere"))(points, valid)
    real = out[:, :30]
    torch.testing.assert_close(real.mean(1), torch.zeros(3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(real.norm(dim=-1).amax(1), torch.ones(3))


def test_limits_are_those_of_the_valid_training_points() -> None:
    points, valid = torch.rand(20, 50, 3) * torch.tensor([1.0, 2, 3]), torch.ones(20, 50, dtype=torch.bool)
    points[:, 40:], valid[:, 40:] = 99, False
    preprocess = PointPreprocess(PointInput(50, "limits"))
    preprocess.fit(points, valid)
    out = preprocess(points, valid)
    torch.testing.assert_close(out.amin((0, 1)), -torch.ones(3))
    torch.testing.assert_close(out.amax((0, 1)), torch.ones(3))
    other = PointPreprocess(PointInput(50, "limits"))
    other.load_state_dict(preprocess.state_dict())
    assert torch.equal(other(points, valid), out), "limits travel with the weights"


def test_fixed_is_the_same_whatever_it_is_fitted_to_and_task_is_not() -> None:
    valid = torch.ones(4, 50, dtype=torch.bool)
    here, there = torch.rand(4, 50, 3), torch.rand(4, 50, 3) * 0.1 + 0.5
    out = {}
    for norm in ("fixed", "task"):
        for name, clouds in (("here", here), ("there", there)):
            preprocess = PointPreprocess(FixedPointInput(50, norm, (0.0, 0.6, 0.35), 0.6))
            preprocess.fit(clouds, valid)
            out[norm, name] = preprocess(here, valid)
    assert torch.equal(out["fixed", "here"], out["fixed", "there"])
    assert not torch.allclose(out["task", "here"], out["task", "there"])
    torch.testing.assert_close(out["fixed", "here"], (here - torch.tensor([0.0, 0.6, 0.35])) / 0.6)
    assert out["task", "here"].abs().max() <= 1.0 + 1e-5
    old = PointPreprocess(PointInput(50, "workspace"))
    old.fit(here, valid)
    assert torch.equal(old(here, valid), out["task", "here"]), "untrained, the old name means the task's range"
    with pytest.raises(TypeError, match="FixedPointInput"):
        PointPreprocess(PointInput(50, "fixed"))


def test_standardize_leaves_constant_entries_alone() -> None:
    vectors = torch.stack([torch.randn(500) * 3 + 5, torch.full((500,), 7.0)], 1)
    preprocess = VectorPreprocess(VectorInput("ground_truth", "standardize"), 2)
    preprocess.fit(vectors)
    out = preprocess(vectors)
    assert abs(out[:, 0].std() - 1) < 1e-3
    assert torch.isfinite(out).all()
    assert out[:, 1].abs().max() == 0


@pytest.mark.parametrize("repeated", [False, True])
def test_pointwise_max_has_the_value_and_gradient_of_the_plain_maximum(repeated: bool) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(3, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 12), nn.LayerNorm(12), nn.ReLU()]
    network = nn.Sequential(*layers).double()
    points = torch.rand(9, 40, 3, dtype=torch.float64)
    if repeated:
        points[:, 20:] = points[:, :20]
    results = []
    for pool in (lambda: pointwise_max(network, points), lambda: network(points).amax(1)):
        network.zero_grad()
        value = pool()
        (value * torch.arange(12)).sin().sum().backward()
        results.append((value.detach(), [p.grad.clone() for p in network.parameters()]))
    torch.testing.assert_close(results[0], results[1])
    with torch.no_grad():
        torch.testing.assert_close(pointwise_max(network, points), results[1][0])


def test_the_fingerprint_sees_parameters_buffers_and_nothing_else() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = fingerprint(module)
    assert before == fingerprint(module.eval())
    module.train()(torch.rand(8, 2))
    assert fingerprint(module) != before, "BatchNorm moved its statistics, and no parameter"
