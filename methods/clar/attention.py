"""Where the encoder looks (CLAR, Fig. 6).

The paper does not say which attention its figure shows. Ours: what the class token gives each patch in the last block,
the mean over heads, which is what reaches the feature. In the image every patch's share lies where its local
alignment samples the image; an encoder trained without alignment has it at the patch's centre.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from methods.clar.encoder import Encoder
from methods.clar.local import LocalAlignment


@torch.no_grad()
def class_attention(encoder: Encoder, centers: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Shares (B, n) of the patches, which add up to 1 with the class token's own left out, and tokens (B, 1 + n, C)."""
    batch = len(centers)
    positions = torch.cat([encoder.cls_pos.expand(batch, -1, -1), encoder.position_embed(centers)], dim=1)
    tokens = torch.cat([encoder.cls_token.expand(batch, -1, -1), encoder.patch_embed(patches)], dim=1)
    for block in encoder.blocks[:-1]:
        tokens = block(tokens + positions)
    last = encoder.blocks[-1]
    tokens = tokens + positions
    attention = last.attn
    values = attention.qkv(last.norm1(tokens))  # type: ignore[union-attr,operator]
    queries, keys, _ = values.view(batch, tokens.shape[1], 3, attention.heads, -1).permute(2, 0, 3, 1, 4)  # type: ignore[union-attr]
    scores = queries[:, :, :1] @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    shares = scores.softmax(dim=-1).mean(dim=1)[:, 0, 1:]
    return shares / shares.sum(dim=1, keepdim=True), encoder.norm(last(tokens))


def on_points(shares: Tensor, centers: Tensor, points: Tensor, neighbours: int = 3) -> Tensor:
    """Patches' shares (B, n) to points (B, N): the mean of the nearest centres', the nearer the more. 0 to 1."""
    distance, index = torch.cdist(points, centers).topk(neighbours, dim=-1, largest=False)
    weight = 1 / distance.clamp(min=1e-6)
    value = (shares.unsqueeze(1).expand(-1, points.shape[1], -1).gather(2, index) * weight).sum(-1) / weight.sum(-1)
    low, high = value.amin(1, keepdim=True), value.amax(1, keepdim=True)
    return (value - low) / (high - low).clamp(min=1e-12)


@torch.no_grad()
def on_image(
    shares: Tensor,
    tokens: Tensor,
    reference: Tensor,
    seen: Tensor,
    local: LocalAlignment | None,
    cells: int,
    size: tuple[int, int],
    spread: float = 0.03,
) -> Tensor:
    """(B, H, W) in 0..1: visible patches' shares where the alignment samples, or at their centres without one.

    reference (B, n, 2) in [0, 1]; seen (B, n); cells: of the teacher's map; spread: of a spot, in image widths.
    """
    if local is None:
        places, weights = reference.unsqueeze(2), torch.ones_like(shares).unsqueeze(-1)
    else:
        where, weight = local.sampling.where(tokens[:, 1:], reference, (cells, cells))
        places, weights = where.flatten(2, 3), weight.flatten(2) / local.sampling.heads
    weights = weights * (shares * seen).unsqueeze(-1)
    height, width = size
    rows, columns = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    across = torch.exp(-((columns - places[..., :1]) ** 2) / (2 * spread**2))  # (B, n, k, W)
    down = torch.exp(-((rows - places[..., 1:]) ** 2) / (2 * spread**2))
    picture = torch.einsum("bnk,bnkh,bnkw->bhw", weights, down, across)
    return functional.normalize(picture.flatten(1), p=float("inf"), dim=1).view_as(picture)
