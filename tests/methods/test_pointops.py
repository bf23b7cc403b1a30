"""Sampling and grouping against loops that anyone can check, and the networks that are built of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.networks.grouping import PointwiseMLP, grouped_mlp
from methods.pointops import ball_query, farthest_points, nearest, squared_distances, take


@pytest.fixture
def cloud() -> Tensor:
    return torch.rand(3, 60, 3, generator=torch.Generator().manual_seed(0))


def test_farthest_points_are_those_of_the_plain_loop(cloud: Tensor) -> None:
    start = torch.tensor([0, 7, 59])
    for chosen, points, first in zip(farthest_points(cloud, 20, start), cloud, start, strict=True):
        expected = [int(first)]
        while len(expected) < 20:
            distance = torch.stack([(points - points[i]).square().sum(1) for i in expected]).amin(0)
            expected.append(int(distance.argmax()))
        assert chosen.tolist() == expected


def test_a_sample_of_a_sample_is_its_prefix(cloud: Tensor) -> None:
    whole = farthest_points(cloud, 40)
    assert torch.equal(farthest_points(cloud, 15), whole[:, :15])
    assert torch.equal(farthest_points(take(cloud, whole), 20), torch.arange(20).expand(3, 20))


def test_numpy_and_torch_agree(cloud: Tensor) -> None:
    from envs.points import farthest_points as numpy_farthest_points

    for chosen, points in zip(farthest_points(cloud, 30), cloud, strict=True):
        assert chosen.tolist() == numpy_farthest_points(points.numpy(), 30).tolist()


def test_repeated_points_are_sampled_last(cloud: Tensor) -> None:
    few = cloud[:, :10].repeat(1, 6, 1)
    assert sorted(farthest_points(few, 10)[0].tolist()) == list(range(10))
    assert farthest_points(few, 13)[0, 10:].tolist() == [0, 0, 0]


def test_neighbours_are_those_of_scipy(cloud: Tensor) -> None:
    from scipy.spatial import cKDTree

    centers = cloud[:, ::7]
    for found, center, points in zip(nearest(centers, cloud, 8), centers, cloud, strict=True):
        assert found.tolist() == cKDTree(points.numpy()).query(center.numpy(), 8)[1].tolist()


@pytest.mark.parametrize("radius", [0.05, 0.25, 2.0])
def test_balls_are_those_of_the_plain_loop(cloud: Tensor, radius: float) -> None:
    centers = torch.cat([cloud[:, ::9], torch.full((3, 1, 3), 5.0)], dim=1)
    found = ball_query(centers, cloud, radius, 6)
    distances = squared_distances(centers, cloud)
    for batch in range(3):
        for row in range(centers.shape[1]):
            inside = [j for j in range(60) if distances[batch, row, j] <= radius**2][:6]
            inside = inside or [int(distances[batch, row].argmin())]  # nothing there: the nearest
            assert found[batch, row].tolist() == inside + inside[:1] * (6 - len(inside))


def test_asking_for_too_much_is_an_error(cloud: Tensor) -> None:
    with pytest.raises(ValueError, match="cannot sample 61 of 60"):
        farthest_points(cloud, 61)
    with pytest.raises(ValueError, match="cannot take 61 neighbours of 60"):
        nearest(cloud, cloud, 61)


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("channels", [0, 5])
def test_the_shared_first_layer_is_the_layer_on_every_neighbour(cloud: Tensor, channels: int, scale: float) -> None:
    torch.manual_seed(0)
    cloud = cloud.double()
    features = torch.rand(3, 60, channels, dtype=torch.float64, requires_grad=True) if channels else None
    mlp = PointwiseMLP((3 + channels, 8, 12), bias=True).double()
    centers, index = cloud[:, :10], nearest(cloud[:, :10], cloud, 7)
    offsets = (take(cloud, index) - centers.unsqueeze(2)) / scale
    plain = offsets if features is None else torch.cat([offsets, take(features, index)], dim=-1)
    results = []
    for compute in (lambda: grouped_mlp(mlp, cloud, features, centers, index, scale), lambda: mlp(plain)):
        mlp.zero_grad()
        value = compute()
        value.sin().sum().backward(retain_graph=True)
        results.append((value, [p.grad.clone() for p in mlp.parameters()]))
    torch.testing.assert_close(results[0], results[1])
