"""The point encoders against references written from their papers, in fp64: values, gradients and training mode.

A reference loops over clouds, centres and neighbours, keeps channels first, samples anew at every level, and computes
every neighbour by itself; the networks sample once, share the first layer and keep channels last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.dp3 import DP3
from baselines.lift3d_tokenizer import Tokenizer
from baselines.pointnet import PointNet
from baselines.pointnet2 import PointNet2
from baselines.pointnext import PointNeXt
from tests.methods.by_hand import (
    Given,
    Run,
    agree,
    ball,
    farthest,
    largest,
    layer_norm,
    linear,
    relu,
    shaken,
)
from tests.methods.test_contract import contract

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def clouds(batch: int, points: int) -> Tensor:
    """Little heaps, so that balls hold several points, in the unit sphere."""
    draw = torch.Generator().manual_seed(0)
    heaps = torch.rand(batch, -(-points // 4), 1, 3, generator=draw) - 0.5
    return (heaps + 0.15 * torch.rand(batch, heaps.shape[1], 4, 3, generator=draw)).flatten(1, 2)[:, :points]


def method(kind: Any) -> Any:
    torch.manual_seed(0)
    found = kind(contract(kind.card.name).specs()).double()
    found.preprocess = Given()
    shaken(found)
    return found


def encoded(network: Any, points: Tensor) -> Tensor:
    return network.encode({"points": points, "points_valid": torch.ones(points.shape[:2], dtype=torch.bool)})


def columns(run: Run, layers: Any, values: Tensor, last_relu: bool = True) -> Tensor:
    """Linear, BatchNorm, ReLU, again and again. layers: the modules, in this order, ReLUs among them or not."""
    pairs = [m for m in layers if hasattr(m, "weight")]
    for first in range(0, len(pairs), 2):
        values = run.batch_norm(pairs[first + 1], linear(pairs[first], values))
        if last_relu or first + 2 < len(pairs):
            values = relu(values)
    return values


def pointnet(run: Run, network: PointNet, points: Tensor) -> Tensor:
    """x' = T(x)^T x for both transforms, maxima over points, and dropout before the last BatchNorm."""

    def straightened(transform: Any, values: Tensor) -> Tensor:
        size = len(values)
        seen = values
        for block in transform.points:
            seen = columns(run, block, seen)
        seen = largest(seen.unbind(1))
        seen = columns(run, transform.regress[:6], seen)
        matrices = linear(transform.regress[6], seen).reshape(size, size, -1)  # row, column, cloud
        turned = []
        for cloud in range(values.shape[2]):
            matrix = matrices[:, :, cloud] + torch.diag(torch.ones(size))
            turned.append(sum(matrix[i, :, None] * values[i, None, :, cloud] for i in range(size)))
        return torch.stack(turned, 2)

    values = straightened(network.input_transform, points.permute(2, 1, 0))
    values = straightened(network.feature_transform, columns(run, network.first, values))
    values = columns(run, network.rest[0], values)
    values = columns(run, network.rest[1], values, last_relu=False)
    values = columns(run, network.head[:3], largest(values.unbind(1)))
    values = run.dropout(linear(network.head[3], values), 0.4)
    return relu(run.batch_norm(network.head[5], values)).T


def test_pointnet_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    network, points = method(PointNet), clouds(3, 10)
    agree(network, lambda: encoded(network, points), lambda run: pointnet(run, network, points), monkeypatch)


def abstraction(
    run: Run,
    layers: Any,
    sets: list[tuple[Tensor, Tensor | None]],
    chosen: list[list[int]],
    radius: float,
    count: int,
    scale: float,
    last_relu: bool,
) -> list[tuple[Tensor, Tensor]]:
    """Each cloud's points (N, 3) and features (C, N) to its centres' (S, 3) and (D, S): the maximum over a ball."""
    rows = []
    for (points, features), centers in zip(sets, chosen, strict=True):
        for center in centers:
            for j in ball(points, points[center], radius, count):
                offset = (points[j] - points[center]) / scale
                rows.append(offset if features is None else torch.cat([offset, features[:, j]]))
    values = columns(run, layers, torch.stack(rows, 1), last_relu)
    found, first = [], 0
    for (points, _), centers in zip(sets, chosen, strict=True):
        pooled = []
        for _ in centers:
            pooled.append(largest(values[:, first : first + count].unbind(1)))
            first += count
        found.append((points[centers], torch.stack(pooled, 1)))
    return found


def over_everything(run: Run, layers: Any, sets: list[tuple[Tensor, Tensor]]) -> Tensor:
    """(D, B): the layers on [absolute position, features] of every point, and their maximum."""
    values = torch.stack([torch.cat([points.T, features]) for points, features in sets], 2)
    return largest(columns(run, layers, values).unbind(1))


def pointnet2(run: Run, network: PointNet2, points: Tensor) -> Tensor:
    """Radii 0.2 and 0.4 in the unit sphere. Sampling starts anew at each level: at a drawn point in training."""
    sets: list[tuple[Tensor, Tensor | None]] = [(cloud, None) for cloud in points]
    for level, radius in ((network.first, 0.2), (network.second, 0.4)):
        starts = run.starts.pop(0).tolist() if run.training else [0] * len(points)
        chosen = [farthest(cloud, level.centers, start) for (cloud, _), start in zip(sets, starts, strict=True)]
        sets = abstraction(run, level.mlp, sets, chosen, radius, level.neighbours, 1.0, last_relu=True)  # type: ignore[assignment]
    values = over_everything(run, network.all, sets)  # type: ignore[arg-type]
    values = run.dropout(columns(run, network.head[:2], values), 0.4)
    return run.dropout(columns(run, network.head[4:6], values), 0.4).T


def test_pointnet2_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    network, points = method(PointNet2), clouds(3, 24)
    network.first.centers, network.first.neighbours = 10, 6
    network.second.centers, network.second.neighbours = 4, 5
    agree(network, lambda: encoded(network, points), lambda run: pointnet2(run, network, points), monkeypatch)


def pointnext(run: Run, network: PointNeXt, points: Tensor) -> Tensor:
    """Four times: half of the points, twice the channels, offsets over the radius 0.15 * 1.5^i, and
    relu(max of the ball + the centre's own feature through a matrix).
    """
    sets: Any = [(cloud, linear(network.stem, cloud.T)) for cloud in points]
    for i, stage in enumerate(network.stages):
        radius = 0.15 * 1.5**i
        chosen = [farthest(cloud, len(cloud) // 2, 0) for cloud, _ in sets]
        pooled = abstraction(run, stage.mlp, sets, chosen, radius, 32, radius, last_relu=False)
        sets = [
            (centers, relu(value + linear(stage.skip, features[:, picked])))
            for (centers, value), (_, features), picked in zip(pooled, sets, chosen, strict=True)
        ]
    return over_everything(run, network.all, sets).T


def test_pointnext_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    network, points = method(PointNeXt), clouds(2, 32)
    agree(network, lambda: encoded(network, points), lambda run: pointnext(run, network, points), monkeypatch)


def dp3(network: DP3, points: Tensor) -> Tensor:
    """Three times linear, LayerNorm, ReLU on each point; the maximum; linear, LayerNorm."""
    values = points.permute(2, 1, 0)
    for first in (0, 3, 6):
        values = relu(layer_norm(network.network[first + 1], linear(network.network[first], values)))
    return layer_norm(network.projection[1], linear(network.projection[0], largest(values.unbind(1)))).T


def test_dp3s_encoder_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    network, points = method(DP3), clouds(3, 17)
    agree(network, lambda: encoded(network, points), lambda _: dp3(network, points), monkeypatch)


def test_dp3s_encoder_of_coloured_points_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fourth linear layer before the maximum, which has neither norm nor ReLU; six numbers a point."""
    contract_ = contract("dp3")
    contract_.options = {"color": "true"}  # type: ignore[misc]
    torch.manual_seed(0)
    network = contract_.kind()(contract_.specs(), color="true").double()
    network.preprocess = network.color_range = Given()
    shaken(network)
    points, colors = clouds(3, 17), clouds(3, 17).flip(1)

    def reference() -> Tensor:
        values = torch.cat([points, colors], -1).permute(2, 1, 0)
        for first in (0, 3, 6):
            values = relu(layer_norm(network.network[first + 1], linear(network.network[first], values)))
        values = largest(linear(network.network[9], values).unbind(1))
        return layer_norm(network.projection[1], linear(network.projection[0], values)).T

    seen = {"points": points, "point_colors": colors, "points_valid": torch.ones(points.shape[:2], dtype=torch.bool)}
    agree(network, lambda: network.encode(seen), lambda _: reference(), monkeypatch)


def lift3d_tokens(run: Run, tokenizer: Tokenizer, points: Tensor, batch_wide: bool) -> Tensor:
    """Half of the points three times. Of a neighbour: [its feature, the centre's] plus sines and cosines of its offset
    over the offsets' deviation; residual layers relu(x + BN(W BN-relu(V x))); the maximum over neighbours.
    """
    values = columns(run, tokenizer.embed, points.permute(2, 1, 0))
    sets = [(cloud, values[:, :, b]) for b, cloud in enumerate(points)]
    for stage in tokenizer.stages:
        chosen = [farthest(cloud, len(cloud) // 2, 0) for cloud, _ in sets]
        nearest, offsets = [], []
        for (cloud, _), picked in zip(sets, chosen, strict=True):
            order = [sorted(range(len(cloud)), key=lambda j: float(((cloud[j] - cloud[c]) ** 2).sum())) for c in picked]
            nearest.append([one[:64] for one in order])
            offsets.append([cloud[j] - cloud[c] for c, one in zip(picked, nearest[-1], strict=True) for j in one])
        spreads = [deviation([x for cloud in offsets for x in cloud] if batch_wide else cloud) for cloud in offsets]
        rows = []
        for b, (_, features) in enumerate(sets):
            flat = iter(offsets[b])
            for center, one in zip(chosen[b], nearest[b], strict=True):
                for j in one:
                    both = torch.cat([features[:, j], features[:, center]])
                    rows.append(both + waves(next(flat) / (spreads[b] + 1e-5), len(both)))
        values = torch.stack(rows, 1)
        for layer in stage:
            inner = columns(run, layer.layers[:3], values)
            values = relu(values + run.batch_norm(layer.layers[4], linear(layer.layers[3], inner)))
        count, first, after = len(nearest[0][0]), 0, []
        for (cloud, _), picked in zip(sets, chosen, strict=True):
            pooled = []
            for _ in picked:
                pooled.append(largest(values[:, first : first + count].unbind(1)))
                first += count
            after.append((cloud[picked], torch.stack(pooled, 1)))
        sets = after
    return torch.stack([features.T for _, features in sets])


def deviation(offsets: list[Tensor]) -> float:
    """Unbiased, of all coordinates together."""
    values = [float(v) for offset in offsets for v in offset]
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def waves(offset: Tensor, size: int) -> Tensor:
    """Of x the sines of 100 x / 1000^(k / K), then the cosines; then those of y and z. K = size / 6."""
    count = size // 6
    angles = [[100 * float(v) / 1000 ** (k / count) for k in range(count)] for v in offset]
    return torch.tensor([wave(a) for row in angles for wave in (math.sin, math.cos) for a in row])


@pytest.mark.parametrize("batch_wide", [False, True])
def test_lift3ds_tokenizer_is_its_reference(batch_wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    tokenizer, points = Tokenizer(random_centers=False, batch_scale=batch_wide), clouds(2, 16)
    shaken(tokenizer)
    agree(
        tokenizer,
        lambda: tokenizer(points)[1],
        lambda run: lift3d_tokens(run, tokenizer, points, batch_wide and run.training),
        monkeypatch,
    )
