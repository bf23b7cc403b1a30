"""Cameras' images as a network takes them, whichever form an observation has them in (`envs.pictures`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from envs.errors import SpecMismatch
from envs.pictures import PICTURES, fields_of
from envs.spec import FieldSpec
from methods.card import ImageInput
from methods.preprocess import depth_pictures, prepare_images, prepare_pictures


class Pictures:
    """`rgb` or `depth` of all cameras, for methods that take cameras of one size and of different ones.

    specs: as a representation's constructor gets them. Raises KeyError for a field that is not among them.
    """

    def __init__(self, specs: Mapping[str, FieldSpec], field: str) -> None:
        self.fields = fields_of([field], specs)
        if field not in PICTURES or not self.fields:
            raise KeyError(field)
        self.stacked = self.fields == [field]
        self.cameras = specs[field].shape[0] if self.stacked else len(self.fields)
        self._prepare: Callable[[Tensor, ImageInput], Tensor] = prepare_images if field == "rgb" else _prepare_depth

    def prepare(self, observations: Mapping[str, Tensor], card: ImageInput) -> Tensor:
        """(B * V, 3, size, size) float32, each image resized and normalised as the card says: the first observation's
        cameras in their order, then the second's.
        """
        if self.stacked:
            return self._prepare(observations[self.fields[0]].flatten(0, 1), card)
        return torch.stack([self._prepare(observations[name], card) for name in self.fields], 1).flatten(0, 1)

    def each(self, observations: Mapping[str, Tensor], card: ImageInput) -> list[Tensor]:
        """As `prepare`, for rules that keep an image's shape: (B * V, 3, H, W) of one stack, or (B, 3, H, W) of each
        camera in their order.
        """
        if self.stacked:
            return [self.prepare(observations, card)]
        return [self._prepare(observations[name], card) for name in self.fields]


def _prepare_depth(depth: Tensor, card: ImageInput) -> Tensor:
    return prepare_pictures(depth_pictures(depth), card)


def refuse_apart(name: str, observes: Iterable[str], specs: Mapping[str, FieldSpec], takes: bool) -> None:
    """Raises `SpecMismatch` where a method that reads one stack would be given images of different sizes.

    name: the method's. takes: whether it says that it takes them (`camera_sizes`).
    """
    stacks = [field for field in observes if field in PICTURES and field not in specs]
    if not takes and (apart := fields_of(stacks, specs)):
        raise SpecMismatch(
            f"{name} reads {' and '.join(stacks)} as one stack, but these cameras have different sizes, so that each "
            f"image is a field of its own: give all cameras one size (suite.observation.sizes=null), or have the "
            f"method read the fields {', '.join(apart)} (methods.pictures.Pictures reads both) and say "
            "camera_sizes = True"
        )
