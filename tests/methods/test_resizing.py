"""Pictures of every size against PIL, whose resize the originals use or copy, and against its kernel written out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from methods.card import ImageInput
from methods.preprocess import prepare_images
from methods.registry import method_class

PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIZES = [(224, 224), (84, 84), (480, 640), (300, 225), (256, 341)]
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def pictures(height: int, width: int) -> Tensor:
    return torch.randint(256, (2, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pixels(rgb: Tensor, card: ImageInput) -> Tensor:
    """(B, H, W, 3) in 0..255, before mean and deviation."""
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    return ((prepare_images(rgb, card) * deviation + mean) * 255).permute(0, 2, 3, 1)


def by_pil(picture: np.ndarray, width: int, height: int, name: str, rounded: bool) -> np.ndarray:
    """rounded: as PIL resizes images; else channel by channel in floating point, as torchvision resizes tensors."""
    if rounded:
        return np.asarray(Image.fromarray(picture).resize((width, height), FILTERS[name]), np.float32)
    channels = [Image.fromarray(picture[..., c].astype(np.float32)) for c in range(3)]
    return np.stack([np.asarray(c.resize((width, height), FILTERS[name])) for c in channels], axis=-1)


def short_side_and_crop(picture: np.ndarray, short: int, name: str, rounded: bool) -> np.ndarray:
    """torchvision's Resize(short) and CenterCrop(224)."""
    height, width = picture.shape[:2]
    if height <= width:
        height, width = short, int(short * width / height)
    else:
        height, width = int(short * height / width), short
    scaled = by_pil(picture, width, height, name, rounded)
    top, left = round((height - 224) / 2.0), round((width - 224) / 2.0)
    return scaled[top : top + 224, left : left + 224]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("method", "short", "name", "rounded"),
    [
        ("clip", 224, "bicubic", True),
        ("spa", 224, "bicubic", False),
        ("vc1", 256, "bicubic", False),
        ("r3m", 256, "bilinear", False),
    ],
)
def test_each_methods_pixels_are_those_of_its_own_transform(
    method: str, short: int, name: str, rounded: bool, size: tuple[int, int]
) -> None:
    rgb = pictures(*size)
    card = method_class(method).card.input
    assert isinstance(card, ImageInput)
    found = pixels(rgb, card)
    for picture, here in zip(rgb.numpy(), found.numpy(), strict=True):
        if method == "r3m" and size == (224, 224):
            expected = picture.astype(np.float32)  # models_r3m.py: obs_shape [3, 224, 224] is only normalised
        else:
            expected = short_side_and_crop(picture, short, name, rounded)
        # where PIL's weights of 8 bits round to the other side, a pixel is one apart
        np.testing.assert_allclose(here, expected, rtol=0, atol=1.01 if rounded else 1e-2)
        assert np.abs(here - expected).mean() < (0.02 if rounded else 1e-3)


@pytest.mark.parametrize("method", ["clip", "spa", "r3m"])
def test_pictures_of_224_pixels_are_not_touched(method: str) -> None:
    rgb = pictures(224, 224)
    card = method_class(method).card.input
    assert isinstance(card, ImageInput)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    assert torch.equal(prepare_images(rgb, card), (rgb.permute(0, 3, 1, 2).float() / 255 - mean) / deviation)


def keys(x: float, a: float = -0.5) -> float:
    """The cubic convolution kernel (Keys, 1981)."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


@pytest.mark.parametrize(("before", "after"), [(7, 8), (9, 4)])
def test_bicubic_is_keys_kernel_of_a_half_when_it_enlarges_too(before: int, after: int) -> None:
    line = torch.randint(256, (before,), generator=torch.Generator().manual_seed(0))
    rgb = line.to(torch.uint8).view(1, 1, before, 1).expand(1, before, before, 3)
    found = pixels(rgb, ImageInput(after, (0, 1), *PLAIN, resize="stretch"))[0, 0, :, 0]
    scale = before / after
    wide = max(scale, 1.0)  # the kernel is widened where it shrinks, never narrowed
    for i in range(after):
        center = (i + 0.5) * scale
        first, last = max(0, int(center - 2 * wide + 0.5)), min(before, int(center + 2 * wide + 0.5))
        weights = [keys((j + 0.5 - center) / wide) for j in range(first, last)]
        expected = sum(w * float(line[j]) for w, j in zip(weights, range(first, last), strict=True)) / sum(weights)
        assert found[i].item() == pytest.approx(expected, abs=1e-2)


def test_a_card_says_what_cannot_be_cut() -> None:
    card = method_class("clip").card
    assert isinstance(card.input, ImageInput)
    for change, message in (
        ({"scaled": 100}, r"input.scaled=100, from which no 224 pixels can be cut"),
        ({"resize": "resize"}, r"input.resize='resize'; it is one of none, stretch, short-side"),
        ({"rounded": 1}, r"input.rounded=1; it is True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(card, input=dataclasses.replace(card.input, **change))
