"""The only place where pixels, points and vectors are resized or normalised. It reads the card and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.card import FixedPointInput, ImageInput, PointInput, VectorInput


def depth_pictures(depth: Tensor) -> Tensor:
    """(B, H, W) metres along the optical axis, inf where nothing is hit, to (B, 3, H, W) grey images in 0..255.

    The rule `reciprocal`: 255 / (1 + metres). Near is bright, one metre is half as bright, and what is infinitely far
    is 0 by the formula itself, so nothing has to be chosen for it. Interpolation sees these values, never inf.
    """
    return (255 / (1 + depth.float())).unsqueeze(1).expand(-1, 3, -1, -1)


def prepare_images(rgb: Tensor, card: ImageInput) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, size, size) float32, resized and normalised as the card says; under its rule
    `whole` (B, 3, H', W')."""
    if rgb.dtype != torch.uint8:
        raise TypeError(f"rgb must be uint8 in 0..255, not {rgb.dtype}: its range would be a guess")
    return prepare_pictures(rgb.permute(0, 3, 1, 2).float(), card)


def prepare_pictures(pictures: Tensor, card: ImageInput) -> Tensor:
    """(B, 3, H, W) in 0..255 to (B, 3, size, size) float32, resized and normalised as the card says; under its
    rule `whole` (B, 3, H', W')."""
    low, high = card.pixel_range
    images = resized(pictures, card) / 255 * (high - low) + low
    if card.resize != "whole" and images.shape[-2:] != (card.size, card.size):
        raise ValueError(f"images are {tuple(images.shape[-2:])}, the method takes {card.size} and does not resize")
    mean, std = (torch.tensor(v, device=pictures.device).view(1, 3, 1, 1) for v in (card.mean, card.std))
    return (images - mean) / std


def resized(images: Tensor, card: ImageInput) -> Tensor:
    """(B, 3, H, W) in 0..255 to the size that the card's rule gives; the same numbers where it has nothing to do."""
    height, width = images.shape[-2:]
    if card.resize == "none" or (card.keeps_size and (height, width) == (card.size, card.size)):
        return images
    if card.resize == "whole" and min(height, width) <= card.size:
        return images
    if card.resize == "stretch":
        target = (card.scaled or card.size,) * 2
    else:
        short, least = card.scaled or card.size, min(height, width)
        target = (int(short * height / least), int(short * width / least))  # cut off, as torchvision's Resize does
    # PIL goes along the rows first, then along the columns, and rounds both times
    for edges in ((height, target[1]), target) if card.rounded else (target,):
        if edges != images.shape[-2:]:
            # without antialias torch takes a = -0.75, which neither PIL nor torchvision's Resize does
            images = functional.interpolate(images, edges, mode=card.interpolation, align_corners=False, antialias=True)
            images = images.round().clamp(0, 255) if card.rounded else images
    if card.resize == "whole":
        return images
    top, left = (round((edge - card.size) / 2) for edge in target)  # halves to even, as torchvision's CenterCrop
    return images[:, :, top : top + card.size, left : left + card.size]


def repeat_valid(points: Tensor, valid: Tensor) -> Tensor:
    """Replace padding by repeating the cloud's own points in order; (B, N, 3), (B, N) bool to (B, N, 3).

    A max over points is the same as with the padding masked out, and no network has to know about masks. Valid rows
    come first, as the simulators give them. A cloud without a valid point is an error of whoever made the batch.
    """
    count = valid.sum(dim=1, keepdim=True)
    if bool((count == valid.shape[1]).all()):
        return points
    index = torch.arange(points.shape[1], device=points.device).unsqueeze(0) % count.clamp(min=1)
    return points.gather(1, index.unsqueeze(-1).expand(-1, -1, points.shape[-1]))


FRAMES = 256
"""Clouds that a range is taken of at a time."""

FITTED = {"limits": ("low", "high"), "workspace": ("low", "high"), "task": ("task_low", "task_high")}
"""Normalisations whose range is fitted, and their buffers."""

BUFFERS = {"task_low": "task", "low": "workspace", "center": "fixed"}
"""By which buffer a checkpoint tells how its clouds were normalised."""


def valid_range(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest of each channel over valid points: (C,) and (C,) float32 from (T, N, C) and (T, N) bool.

    A few frames at a time: the clouds may be a file that is larger than the memory.
    """
    low, high = [], []
    for some, there in zip(values.split(FRAMES), valid.split(FRAMES), strict=True):
        mask = ~there.unsqueeze(-1)
        low.append(some.float().masked_fill(mask, torch.inf).amin((0, 1)))
        high.append(some.float().masked_fill(mask, -torch.inf).amax((0, 1)))
    return torch.stack(low).amin(0), torch.stack(high).amax(0)


class PointPreprocess(nn.Module):
    """Clouds as the card wants them: (B, N, 3) metres and (B, N) bool to (B, N, 3) float32.

    The numbers of `limits`, `task`, `workspace` and `fixed` are buffers, so they are saved and fingerprinted with the
    network. kept: a range that came with pre-trained weights, which `fit` leaves alone.
    """

    def __init__(self, card: PointInput) -> None:
        super().__init__()
        self.card = card
        self.center: Tensor
        self.half_width: Tensor
        self.kept = False
        self.fitted = FITTED.get(card.normalization)
        if self.fitted is not None:
            for name, value in zip(self.fitted, (-1.0, 1.0), strict=True):
                self.register_buffer(name, torch.full((3,), value))
        if card.normalization == "fixed":
            if not isinstance(card, FixedPointInput):
                raise TypeError("'fixed' needs its numbers: FixedPointInput(num_points, 'fixed', center, half_width)")
            self.register_buffer("center", torch.tensor(card.center))
            self.register_buffer("half_width", torch.tensor(card.half_width))

    def fit(self, points: Tensor, valid: Tensor) -> None:
        """Per-axis range over all valid training points; (T, N, 3), (T, N)."""
        if self.fitted is not None and not self.kept:
            device = self._range()[0].device
            for name, limit in zip(self.fitted, valid_range(points, valid), strict=True):
                setattr(self, name, limit.to(device))

    def _range(self) -> tuple[Tensor, Tensor]:
        assert self.fitted is not None
        return self.get_buffer(self.fitted[0]), self.get_buffer(self.fitted[1])

    def forward(self, points: Tensor, valid: Tensor) -> Tensor:
        points = repeat_valid(points.float(), valid)
        if self.card.normalization == "limits":
            low, high = self._range()
            return (points - low) / (high - low).clamp(min=1e-4) * 2 - 1
        if self.card.normalization in ("task", "workspace"):
            low, high = self._range()
            return (points - (high + low) / 2) / ((high - low).max() / 2).clamp(min=1e-4)
        if self.card.normalization == "fixed":
            return (points - self.center) / self.half_width
        if self.card.normalization == "unit_sphere":
            weight = valid.float().unsqueeze(-1)
            centroid = (points * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
            points = points - centroid
            return points / points.norm(dim=-1).amax(dim=1)[:, None, None].clamp(min=1e-6)
        return points


class ColorRange(nn.Module):
    """Points' colours, each channel's range over the training points mapped to [-1, 1], as `limits` does with points.

    (B, N, 3) uint8 and (B, N) bool to (B, N, 3) float32; padding repeats the cloud's own points in the same order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.zeros(3))
        self.register_buffer("high", torch.full((3,), 255.0))

    def fit(self, colors: Tensor, valid: Tensor) -> None:
        low, high = valid_range(colors, valid)
        self.low, self.high = low.to(self.low.device), high.to(self.high.device)

    def forward(self, colors: Tensor, valid: Tensor) -> Tensor:
        colors = repeat_valid(colors.float(), valid)
        return (colors - self.low) / (self.high - self.low).clamp(min=1e-4) * 2 - 1


class VectorPreprocess(nn.Module):
    """A state vector as the card wants it: (B, D) float32 to (B, D) float32."""

    smallest_deviation = 1e-2
    """Entries that hardly vary (a centimetre) are not blown up."""

    def __init__(self, card: VectorInput, size: int) -> None:
        super().__init__()
        self.card = card
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, vectors: Tensor) -> None:
        if self.card.normalization == "standardize":
            self.mean = vectors.double().mean(0).float().to(self.mean.device)
            deviation = vectors.double().std(0).float().clamp(min=self.smallest_deviation)
            self.deviation = deviation.to(self.deviation.device)

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors.float() - self.mean) / self.deviation
