"""PointNet (Qi et al., CVPR 2017) as Lift3D and CLAR use it: the classifier's penultimate layer.

Architecture read in yanx27/Pointnet_Pointnet2_pytorch (eb64fe0), `pointnet_cls` without normals: an input and a
feature transform, point-wise 64-128-1024 with BatchNorm, a maximum over points, then 512 and 256 with BatchNorm and
dropout. Clouds are put into the unit sphere. 3,461,193 parameters without the classifier layer, which is dropped
here. The original's orthogonality loss on the feature transform is not applied, as in Lift3D.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, PointInput
from methods.preprocess import PointPreprocess


def _pointwise(inputs: int, outputs: int, relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class TransformNet(nn.Module):
    """Predicts a size x size matrix from a cloud of `size` channels; starts near the identity."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.points = nn.Sequential(_pointwise(size, 64), _pointwise(64, 128), _pointwise(128, 1024))
        self.regress = nn.Sequential(
            nn.Linear(1024, 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, size * size),
        )

    def forward(self, channels: Tensor) -> Tensor:
        """(B, size, N) to (B, size, size)."""
        flat = self.regress(self.points(channels).amax(dim=2))
        return flat.view(-1, self.size, self.size) + torch.eye(self.size, device=flat.device)


class PointNet(Representation):
    """(B, 1024, 3) points in metres to (B, 256)."""

    card = MethodCard(
        name="pointnet",
        title="PointNet",
        summary="point-wise MLP with two learned transforms, max-pooled; trained end to end",
        kind="3d",
        observes=("points", "points_valid"),
        input=PointInput(1024, "unit_sphere"),
        training="end-to-end",
        batch="3d",
        paper="Qi et al., PointNet, CVPR 2017, arXiv:1612.00593",
        licence="MIT",
        parameters=3_461_193,
        parameters_source="counted in yanx27's pointnet_cls without its last layer",
        reported_as="PointNet",
    )
    feature_dim = 256

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.input_transform = TransformNet(3)
        self.first = _pointwise(3, 64)
        self.feature_transform = TransformNet(64)
        self.rest = nn.Sequential(_pointwise(64, 128), _pointwise(128, 1024, relu=False))
        self.head = nn.Sequential(
            nn.Linear(1024, 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            # dropout stands before the normalisation, as in the reference
            nn.Linear(512, 256),
            nn.Dropout(0.4),
            nn.BatchNorm1d(256),
            nn.ReLU(),
        )

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        channels = self.preprocess(observations["points"], observations["points_valid"]).transpose(1, 2)
        channels = self.input_transform(channels).transpose(1, 2) @ channels
        channels = self.first(channels)
        channels = self.feature_transform(channels).transpose(1, 2) @ channels
        return self.head(self.rest(channels).amax(dim=2))
