"""DP3's point encoder in the ViT's place (CLAMP, Table III): the cloud of the views to one token.

The paper says that it is DP3's, and that its cloud is the cropped and thinned one before it is drawn. Chosen here:

- The cloud is what the views show of it: the x, y, z of their filled pixels, `POINTS` of them. What no view shows is
  not in it, and what several show may be in it twice, which a maximum does not see. So frames that the ViT is
  pre-trained on serve this encoder, too.
- Which of the pixels: the first in a fixed random order of all pixels, so that each is as likely as any other; again
  from the first where there are fewer.
- Places in metres, robot frame, as the ViT has them. DP3's own policy maps their range in a data set to [-1, 1].
- DP3 projects the maximum to 64 numbers; here to the encoders' width, where images, actions and texts are compared.
- One token, the maximum's: it is DP3's feature, and what is compared. The points' features before it each know one
  point alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.networks.point_mlp import WIDTH, point_layers
from methods.pooling import pointwise_max

POINTS = 1024
"""As of DP3 beside the other encoders of clouds (CLAR's protocol; DP3's default)."""


class PointEncoder(nn.Module):
    """Views (B, V, S, S, 4) of depth, x, y, z in metres and their masks (B, V, S, S) to one token (B, 1, width)."""

    def __init__(self, width: int, views: int, size: int) -> None:
        """views: how many of an observation's, the first ones, of `size` pixels."""
        super().__init__()
        self.views = views
        self.network = nn.Sequential(*point_layers())
        self.projection = nn.Sequential(nn.Linear(WIDTH, width), nn.LayerNorm(width))
        self.order: Tensor
        order = torch.randperm(views * size**2, generator=torch.Generator().manual_seed(0))
        self.register_buffer("order", order, persistent=False)

    def forward(self, views: Tensor, valid: Tensor) -> Tensor:
        cloud = self.cloud(views[:, : self.views], valid[:, : self.views])
        return self.projection(pointwise_max(self.network, cloud)).unsqueeze(1)

    def cloud(self, views: Tensor, valid: Tensor) -> Tensor:
        """(B, POINTS, 3); zeros where no pixel is filled."""
        filled = valid.flatten(1)[:, self.order]
        rank = filled.cumsum(1, dtype=torch.int32)
        count = rank[:, -1:]
        wanted = torch.arange(POINTS, dtype=torch.int32, device=rank.device) % count.clamp(min=1) + 1
        places = self.order[torch.searchsorted(rank, wanted).clamp(max=len(self.order) - 1)]
        points = views.flatten(1, 3)[..., 1:].gather(1, places.unsqueeze(-1).expand(-1, -1, 3))
        return points * (count > 0).unsqueeze(-1)

    def pool(self, tokens: Tensor) -> Tensor:
        """(B, 1, width) to (B, width)."""
        return tokens[:, 0]
