"""The DP3 point encoder (3D Diffusion Policy, Ze et al., RSS 2024), as a representation under the shared head.

Architecture read in the authors' repository (YanjieZe/3D-Diffusion-Policy, 47385d9): a point-wise MLP 64-128-256
with LayerNorm and ReLU, a maximum over points, and a projection to 64 with LayerNorm. 59,072 parameters. There, points
are not put into a unit sphere: the policy's normaliser maps each axis' range over the data set to [-1, 1], which is
`limits` here. DP3's MetaWorld configuration uses 512 points; CLAR's protocol 1,024.

`method.color=true` is their second encoder (`use_pc_color`): six numbers a point, each mapped to [-1, 1] by its range
over the training points, and a fourth layer of 512 without norm or ReLU before the maximum. 207,232 parameters.

This is the encoder alone, without DP3's diffusion head. CLAR's Table I lists DP3 among the representations and calls
it a policy in the text, so which of the two its row measured is not known.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, MethodOption, PointInput
from methods.networks.point_mlp import WIDTH, point_layers
from methods.pooling import pointwise_max
from methods.preprocess import ColorRange, PointPreprocess

SEEN = ("points", "points_valid")
PARAMETERS = {"false": 59_072, "true": 207_232}
COLOR = MethodOption(
    "color",
    "false",
    ("false", "true"),
    "true: the authors' encoder of coloured points, six numbers each",
    changes=(
        ("true", "observes", (*SEEN, "point_colors")),
        ("true", "parameters", PARAMETERS["true"]),
        ("true", "parameters_source", "counted in the authors' network for coloured points"),
    ),
)


class DP3(Representation):
    """(B, 1024, 3) points in metres to (B, 64)."""

    card = MethodCard(
        name="dp3",
        title="DP3 (encoder)",
        summary="point-wise MLP with LayerNorm, max-pooled; trained end to end",
        kind="3d",
        observes=SEEN,
        input=PointInput(1024, "limits"),
        training="end-to-end",
        batch="3d",
        paper="Ze et al., 3D Diffusion Policy, RSS 2024, arXiv:2403.03954",
        licence="MIT",
        parameters=PARAMETERS["false"],
        parameters_source="counted in the authors' network, cloud branch",
        options=(COLOR,),
        reported_as="DP3",
        notes=("the encoder under the shared head; the paper's row may be the whole diffusion policy",),
    )
    feature_dim = 64

    def __init__(self, specs: Mapping[str, FieldSpec], color: str = "false") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.color_range = ColorRange() if color == "true" else None
        layers = point_layers(3 if self.color_range is None else 6)
        layers += [] if self.color_range is None else [nn.Linear(WIDTH, 512)]
        self.network = nn.Sequential(*layers)
        width = WIDTH if self.color_range is None else 512
        self.projection = nn.Sequential(nn.Linear(width, self.feature_dim), nn.LayerNorm(self.feature_dim))

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        self.preprocess.fit(observations["points"], observations["points_valid"])
        if self.color_range is not None:
            self.color_range.fit(observations["point_colors"], observations["points_valid"])

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        if self.color_range is not None:
            colors = self.color_range(observations["point_colors"], observations["points_valid"])
            points = torch.cat([points, colors], dim=-1)
        return self.projection(pointwise_max(self.network, points))
