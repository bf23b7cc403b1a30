"""CLAR's masked autoencoding (section III-A, eq. 1).

Stated: 60 to 80 % of the patches are masked at random; the encoder sees the visible ones; the decoder gets them and
masked tokens, with the complete set of positions added at every block; the loss is the squared-L2 Chamfer distance
between predicted and true patches. Silent, with the default from Point-MAE (Pang-Yatian/Point-MAE 7445a68): the
decoder's 4 blocks, its own position embedding, one shared mask token, the final norm on the masked tokens only, a
linear head, and the distance taken patch by patch in coordinates relative to the patch's centre.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.clar.encoder import EncoderConfig
from methods.clar.tokenizer import PositionEmbed
from methods.networks.vit import Block, init_transformer
from methods.pointops import take

DEPTH = 4


def draw_masked_count(patches: int, low: float, high: float) -> int:
    """How many of `patches` to mask in one step: a ratio drawn from [low, high), at least 1 and not all.

    One draw for the whole batch, so that its samples have equally many visible patches. From torch's generator.
    """
    if patches < 2:
        raise ValueError(f"masking needs at least 2 patches, not {patches}: one to see and one to predict")
    if not 0 < low <= high < 1:
        raise ValueError(f"mask ratios lie between 0 and 1, low before high, not {low} and {high}")
    ratio = low + (high - low) * float(torch.rand(()))
    return min(max(round(ratio * patches), 1), patches - 1)


def draw_mask(batch: int, patches: int, masked: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices of visible (B, patches - masked) and masked (B, masked) patches, each sample's own, both rising."""
    order = torch.rand(batch, patches, device=device).argsort(dim=1)
    return order[:, masked:].sort(dim=1).values, order[:, :masked].sort(dim=1).values


def chamfer(predicted: Tensor, true: Tensor) -> Tensor:
    """Eq. 1 for each pair of point sets: (..., p, 3), (..., q, 3) to (...,), squared units of the input.

    The mean over predicted points of the squared distance to the nearest true one, and the other way round.
    """
    distances = (predicted.unsqueeze(-2) - true.unsqueeze(-3)).square().sum(dim=-1)
    return distances.amin(dim=-1).mean(dim=-1) + distances.amin(dim=-2).mean(dim=-1)


class Decoder(nn.Module):
    """Encoded visible patches to predicted masked ones. 7,144,064 parameters and a head of 36,960 at CLAR's sizes."""

    def __init__(self, config: EncoderConfig, depth: int = DEPTH) -> None:
        super().__init__()
        width = config.width
        self.patch_points = config.patch_points
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embed = PositionEmbed(width)
        rates = torch.linspace(0, config.drop_path, depth).tolist()
        self.blocks = nn.ModuleList(
            Block(width, config.heads, qkv_bias=False, eps=1e-5, drop_path=rate) for rate in rates
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * config.patch_points)
        init_transformer(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, encoded: Tensor, visible_centers: Tensor, masked_centers: Tensor) -> Tensor:
        """encoded (B, v, width), centres (B, v, 3) and (B, m, 3) to patches (B, m, k, 3) relative to their centres."""
        batch, masked = masked_centers.shape[:2]
        positions = self.position_embed(torch.cat([visible_centers, masked_centers], dim=1))
        tokens = torch.cat([encoded, self.mask_token.expand(batch, masked, -1)], dim=1)
        for block in self.blocks:
            tokens = block(tokens + positions)
        return self.head(self.norm(tokens[:, -masked:])).view(batch, masked, self.patch_points, 3)


def split_patches(values: Tensor, visible: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
    """(B, n, ...) by indices into (B, v, ...) and (B, m, ...)."""
    flat = values.flatten(2)
    seen, hidden = take(flat, visible), take(flat, masked)
    return seen.view(*seen.shape[:2], *values.shape[2:]), hidden.view(*hidden.shape[:2], *values.shape[2:])
