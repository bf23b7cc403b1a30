"""PointNet++ (Qi et al., NeurIPS 2017), single-scale grouping, as Lift3D and CLAR use it: the penultimate layer.

Architecture read in yanx27/Pointnet_Pointnet2_pytorch (eb64fe0), `pointnet2_cls_ssg` without normals: two set
abstractions (512 centres, radius 0.2, 32 neighbours; 128, 0.4, 64), one over everything, then 512 and 256 with
BatchNorm and dropout. The radii presume clouds in the unit sphere. 1,465,408 parameters without the classifier
layer, which is dropped here.

The reference starts farthest-point sampling at a random point in every call, so its features are random even at
evaluation. Here the start is random in training and the first point at evaluation.
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


class SetAbstraction(nn.Module):
    """Points with features to fewer points with wider features, each the maximum over a ball around it."""

    def __init__(self, centers: int, radius: float, neighbours: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.centers, self.radius, self.neighbours = centers, radius, neighbours
        self.mlp = PointwiseMLP(widths, bias=True)

    def forward(self, points: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, N, 3), (B, N, C) to (B, centers, 3), (B, centers, widths[-1])."""
        start = None
        if self.training:
            start = torch.randint(points.shape[1], (len(points),), device=points.device)
        centers = take(points, farthest_points(points, self.centers, start))
        index = ball_query(centers, points, self.radius, self.neighbours)
        return centers, grouped_mlp(self.mlp, points, features, centers, index).max(dim=2).values


class PointNet2(Representation):
    """(B, 1024, 3) points in metres to (B, 256)."""

    card = MethodCard(
        name="pointnet2",
        title="PointNet++",
        summary="nested neighbourhoods of points, max-pooled; trained end to end",
        kind="3d",
        observes=("points", "points_valid"),
        input=PointInput(1024, "unit_sphere"),
        training="end-to-end",
        batch="3d",
        paper="Qi et al., PointNet++, NeurIPS 2017, arXiv:1706.02413",
        licence="MIT",
        parameters=1_465_408,
        parameters_source="counted in yanx27's pointnet2_cls_ssg without its last layer",
        reported_as="PointNet++",
        notes=("sampling starts at a random point in training, at the first one at evaluation",),
    )
    feature_dim = 256

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.first = SetAbstraction(512, 0.2, 32, (3, 64, 64, 128))
        self.second = SetAbstraction(128, 0.4, 64, (3 + 128, 128, 128, 256))
        self.all = PointwiseMLP((3 + 256, 256, 512, 1024), bias=True)
        self.head = nn.Sequential(
            nn.Linear(1024, 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(512, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Dropout(0.4),
        )

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        points, features = self.first(points, None)
        points, features = self.second(points, features)
        # the reference's last level groups around the origin: its coordinates are absolute
        return self.head(self.all(torch.cat([points, features], dim=-1)).max(dim=1).values)
