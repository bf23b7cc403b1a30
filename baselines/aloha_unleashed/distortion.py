"""Photometric distortion of images in training.

CLAMP says "we apply photometric distortions" and no more. The operations and ranges are those of
`ApplyPhotometricImageDistortionsParallel` in google-research/tensor2robot (034f49c): for each image brightness +-
0.125, saturation times 0.5 to 1.5, hue +- 0.2 of the circle, contrast times 0.5 to 1.5, in this order. Unlike there,
values are held in 0..1 after the change of brightness as well: outside, hue and saturation are not defined.
"""

from __future__ import annotations

import torch
from torch import Tensor

BRIGHTNESS, SATURATION, HUE, CONTRAST = (-0.125, 0.125), (0.5, 1.5), (-0.2, 0.2), (0.5, 1.5)


def draw(pictures: int) -> Tensor:
    """(B, 4) brightness, saturation, hue, contrast, from torch's generator of the CPU: the same on any device."""
    low, high = torch.tensor([BRIGHTNESS, SATURATION, HUE, CONTRAST]).T
    return low + (high - low) * torch.rand(pictures, 4)


def distorted(pictures: Tensor, drawn: Tensor) -> Tensor:
    """(B, 3, H, W) in 0..1 to the same; drawn: (B, 4) as of `draw`."""
    brightness, saturation, hue, contrast = drawn.to(pictures.device).view(-1, 4, 1, 1).unbind(1)
    red, green, blue = (pictures + brightness.unsqueeze(1)).clamp(0, 1).unbind(1)
    value = torch.maximum(red, torch.maximum(green, blue))
    chroma = value - torch.minimum(red, torch.minimum(green, blue))
    turn = _hue(red, green, blue, value, chroma) + 6 * hue
    chroma = torch.minimum(chroma * saturation, value)  # a saturation is at most 1
    channels = [value - chroma * _ramp((offset + turn) % 6) for offset in (5, 3, 1)]
    found = torch.stack(channels, dim=1)
    mean = found.mean((2, 3), keepdim=True)
    return ((found - mean) * contrast.unsqueeze(1) + mean).clamp(0, 1)


def _hue(red: Tensor, green: Tensor, blue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """In sixths of the circle from red, 0 for grey."""
    safe = chroma.clamp(min=1e-12)
    from_red, from_green, from_blue = (green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe
    return torch.where(value == red, from_red, torch.where(value == green, from_green, from_blue))


def _ramp(place: Tensor) -> Tensor:
    return torch.minimum(place, 4 - place).clamp(0, 1)


CROPPED = 0.9
"""Of an image's height and width, what is left of it; CLAMP does not say."""


def cropped_size(height: int, width: int) -> tuple[int, int]:
    """Of an image in pixels, what is left."""
    return max(1, round(CROPPED * height)), max(1, round(CROPPED * width))


def crop(pictures: Tensor, random: bool) -> Tensor:
    """(B, 3, H, W) to (B, 3, h, w): of each image another part, by torch's generator of the CPU, or the middle."""
    height, width = pictures.shape[2:]
    rows, columns = cropped_size(height, width)
    down, across = height - rows, width - columns
    if not random:
        return pictures[:, :, down // 2 : down // 2 + rows, across // 2 : across // 2 + columns]
    tops = torch.randint(down + 1, (len(pictures),)).tolist()
    lefts = torch.randint(across + 1, (len(pictures),)).tolist()
    parts = zip(pictures, tops, lefts, strict=True)
    return torch.stack([one[:, top : top + rows, left : left + columns] for one, top, left in parts])
