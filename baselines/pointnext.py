"""PointNeXt-S (Qian et al., NeurIPS 2022), width 32, as Lift3D and CLAR use it: the encoder without the classifier.

Configuration read in Lift3D's point_next.yaml, which equals openpoints' ModelNet40 `pointnext-s` with width 32
(guochengqian/openpoints 8c115a9): a point-wise stem, four set abstractions with residual connections that halve the
points and double the channels, and one over everything. Radii 0.15 x 1.5^i for clouds in the unit sphere, 32
neighbours, offsets divided by the radius. 968,480 parameters (with openpoints' classifier 1.374 M, as its
configuration says). Lift3D runs it under fp16 autocast; here `runtime.precision` decides.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, PointInput
from methods.networks.grouping import PointwiseMLP, grouped_mlp
from methods.pointops import ball_query, farthest_points, take
from methods.preprocess import PointPreprocess

WIDTH = 32
STAGES = 4
RADIUS, RADIUS_SCALING = 0.15, 1.5
NEIGHBOURS = 32


class ResidualSetAbstraction(nn.Module):
    """Halves the points and doubles the channels: maximum over a ball, plus the centre's own feature."""

    def __init__(self, channels: int, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.mlp = PointwiseMLP((3 + channels, channels, 2 * channels), bias=False, last_relu=False)
        self.skip = nn.Linear(channels, 2 * channels)

    def forward(self, points: Tensor, features: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3), (B, N, C) and indices (B, S) of the centres to (B, S, 3), (B, S, 2C)."""
        centers = take(points, sampled)
        index = ball_query(centers, points, self.radius, NEIGHBOURS)
        pooled = grouped_mlp(self.mlp, points, features, centers, index, self.radius).max(dim=2).values
        return centers, torch.relu(pooled + self.skip(take(features, sampled)))


class PointNeXt(Representation):
    """(B, 1024, 3) points in metres to (B, 512)."""

    card = MethodCard(
        name="pointnext",
        title="PointNeXt-S",
        summary="PointNet++ modernised: residual set abstractions; trained end to end",
        kind="3d",
        observes=("points", "points_valid"),
        input=PointInput(1024, "unit_sphere"),
        training="end-to-end",
        batch="3d",
        paper="Qian et al., PointNeXt, NeurIPS 2022, arXiv:2206.04670",
        licence="MIT",
        parameters=968_480,
        parameters_source="counted in openpoints' pointnext-s encoder, width 32",
        reported_as="PointNeXt",
        notes=("the papers' code runs it under fp16 autocast",),
    )
    feature_dim = WIDTH * 2**STAGES

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.stem = nn.Linear(3, WIDTH)
        self.stages = nn.ModuleList(
            ResidualSetAbstraction(WIDTH * 2**stage, RADIUS * RADIUS_SCALING**stage) for stage in range(STAGES)
        )
        self.all = PointwiseMLP((3 + self.feature_dim, self.feature_dim, self.feature_dim), bias=False)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        features = self.stem(points)
        sampled = farthest_points(points, points.shape[1] // 2)
        for stage in self.stages:
            points, features = stage(points, features, sampled)
            # points are in the order of sampling now, so the next sample is their first half (see farthest_points)
            half = points.shape[1] // 2
            sampled = torch.arange(half, device=points.device).expand(len(points), half)
        return self.all(torch.cat([points, features], dim=-1)).max(dim=1).values
