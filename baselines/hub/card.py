"""The card of a hub's model: what its own configuration says, and the options that every one has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from baselines.hub.names import CHANGES, VERSION
from baselines.images import OBSERVE
from methods.card import ImageInput, MethodCard, MethodOption, WeightFile

TRAINING = ("frozen", "lora", "finetune")
MEANING = (
    "cls: the class token; mean: of patch tokens or of the map; map: the model's own attention pooling; "
    "tokens: all patch tokens side by side"
)
LARGEST = 2048


@dataclass(frozen=True)
class HubCard(MethodCard):
    """patch: pixels of a patch's edge, 0 for a model that takes one size. crop: share of the scaled image that is
    cut out. resolved: the model's name in its package with what was left out of it filled in.
    """

    patch: int = 0
    crop: float = 1.0
    resolved: str = ""

    def choose_options(self, given: Mapping[str, Any]) -> dict[str, str]:
        """As of any card; of `size` any number that the patches divide. Raises ValueError."""
        chosen = super().choose_options({name: value for name, value in given.items() if name != "size"})
        if "size" not in given:
            return chosen
        assert isinstance(self.input, ImageInput)
        text, default = str(given["size"]), str(self.input.size)
        size = int(text) if text.isdecimal() and len(text) < 6 else 0
        if text != default and not self.patch:
            raise ValueError(f"method.size={text}: {self.name} takes images of {default} pixels alone")
        if not 1 <= size <= LARGEST:
            raise ValueError(f"method.size={text} is no number of pixels from 1 to {LARGEST} ({self.name})")
        if text != default and size % self.patch:
            low = max(1, size // self.patch) * self.patch
            raise ValueError(
                f"method.size={size}: the patches of {self.name} have {self.patch} pixels, which do not divide it; "
                f"take {low} or {low + self.patch}"
            )
        return chosen if text == default else {**chosen, "size": text}

    def under(self, options: Mapping[str, Any]) -> MethodCard:
        card = super().under(options)
        if not set(options) & {"size", "training", "features"}:
            return card
        card = dataclasses.replace(card, parameters=None)  # other parts are there, or more of them
        if "size" in options:
            assert isinstance(card.input, ImageInput)
            card = dataclasses.replace(card, input=sized(card.input, int(options["size"]), self.crop))
        return card


def sized(card: ImageInput, size: int, crop: float) -> ImageInput:
    """Of another size, with the same share cut out. timm: floor(size / crop_pct)."""
    scaled = math.floor(size / crop)
    return dataclasses.replace(card, size=size, scaled=0 if scaled == size else scaled)


def hub_input(
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: Literal["bicubic", "bilinear"],
    crop: float,
    resize: Literal["stretch", "short-side"],
) -> ImageInput:
    """Pictures as the hubs' own transforms leave them: PIL's, in whole numbers, before they become tensors."""
    (a, b, c), (d, e, f) = ((float(v) for v in values) for values in (mean, std))
    whole = ImageInput(size, (0, 1), (a, b, c), (d, e, f), resize, interpolation=interpolation, rounded=True)
    return sized(whole, size, crop)


def hub_card(
    name: str,
    title: str,
    input: ImageInput,
    features: tuple[str, ...],
    weights: tuple[WeightFile, ...],
    requires: tuple[tuple[str, str], ...],
    licence: str,
    paper: str,
    lora: bool,
    **more: Any,
) -> HubCard:
    """features: those that the model can give, its own pooling first."""
    training = TRAINING if lora else ("frozen", "finetune")
    return HubCard(
        name=name,
        title=title,
        summary=more.pop("summary", "an image model of a hub, frozen unless method.training says otherwise"),
        kind="2d",
        observes=("rgb",),
        input=input,
        training="frozen",
        batch="2d",
        paper=paper,
        licence=licence,
        weights=weights,
        options=(
            MethodOption(
                "training",
                "frozen",
                training,
                "lora: low-rank updates of q, k and v are trained; finetune: everything",
                changes=tuple((value, field, then) for _, value, field, then in CHANGES if value in training),
            ),
            MethodOption("features", features[0], features, MEANING),
            OBSERVE,
            MethodOption("size", str(input.size), (str(input.size),), "pixels of what the network gets"),
        ),
        requires=requires,
        version=VERSION,
        **more,
    )
