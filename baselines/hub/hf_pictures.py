"""What a repository's preprocessor_config.json says of images, as an `ImageInput`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from baselines.hub.card import hub_input
from methods.card import ImageInput
from methods.errors import BadMethod

INTERPOLATION: dict[int, Literal["bicubic", "bilinear"]] = {2: "bilinear", 3: "bicubic"}
"""PIL's numbers."""


def picture_input(name: str, said: Mapping[str, Any]) -> ImageInput:
    """name: for the message. Raises `BadMethod` for a rule that is not known here."""
    mean, std = said.get("image_mean"), said.get("image_std")
    if not said.get("do_normalize", True):
        mean, std = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    if not _three(mean) or not _three(std):
        raise BadMethod(f"{name}: its preprocessor_config.json has no image_mean and image_std of three numbers")
    if abs(float(said.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-3 or not said.get("do_rescale", True):
        raise BadMethod(f"{name}: its images are not scaled to 0..1 (rescale_factor); that is not known here")
    number = said.get("resample", 3)
    if number not in INTERPOLATION:
        raise BadMethod(f"{name}: it resizes with resample={number}; 2 (bilinear) and 3 (bicubic) are known here")
    size, cut = _edges(said.get("size")), _edges(said.get("crop_size"))
    if size is None:
        raise BadMethod(f"{name}: size={said.get('size')} of its preprocessor_config.json is not known here")
    resize: Literal["stretch", "short-side"] = "stretch" if size[1] else "short-side"
    final = cut[0] if said.get("do_center_crop", False) and cut is not None else size[0]
    if final > size[0]:
        raise BadMethod(f"{name}: it cuts {final} pixels out of {size[0]}; borders are not known here")
    assert mean is not None and std is not None
    whole = hub_input(final, tuple(mean), tuple(std), INTERPOLATION[number], 1.0, resize)
    return whole if final == size[0] else dataclasses.replace(whole, scaled=size[0])


def _three(numbers: Any) -> bool:
    return isinstance(numbers, list) and len(numbers) == 3 and all(isinstance(n, int | float) for n in numbers)


def _edges(size: Any) -> tuple[int, bool] | None:
    """Pixels, and whether both edges are given; None for anything else."""
    if isinstance(size, int):
        return size, False
    if not isinstance(size, Mapping):
        return None
    if isinstance(size.get("shortest_edge"), int):
        return size["shortest_edge"], False
    height, width = size.get("height"), size.get("width")
    return (height, True) if isinstance(height, int) and height == width else None
