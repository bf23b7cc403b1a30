"""ACT as published: one ResNet-18 over the images of all cameras, whichever their number and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from baselines.act.backbone import load_imagenet, resnet18
from baselines.act.card import WHOLE
from baselines.act.policy import ChunkPolicy
from baselines.act.positions import sine_2d
from methods.base import Representation
from methods.card import ImageInput
from methods.pictures import Pictures
from methods.policy import Inputs, PolicySpecs
from methods.weights import load_strictly, read_tensors


class ACT(ChunkPolicy):
    """Pictures (B, V, H, W, 3) uint8, or (B, H, W, 3) of each camera, and proprioception (B, S) to (B, chunk, A).

    A cell of the ResNet's last map is a token: 300 of an image of 480 x 640.
    """

    card = WHOLE
    camera_sizes = True

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None, **options: str) -> None:
        backbone = resnet18()
        super().__init__(specs, representation, backbone.token_dim, options)
        self.image_input = cast(ImageInput, self.card.under(options).input)
        self.pictures = Pictures(specs.observation, "rgb")
        self.backbone = backbone

    def load_weights(self, paths: Sequence[Path]) -> None:
        """ImageNet's for the ResNet, or a whole policy as an exported one's `policy.safetensors` has it."""
        for path in paths:
            tensors = read_tensors(path)
            if any("transformer." in name for name in tensors):
                self._take({name.removeprefix("policy."): value for name, value in tensors.items()}, str(path))
            else:
                load_imagenet(self.backbone, tensors, str(path))

    def _take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """The weights of a whole policy. Raises `BadWeights`."""
        load_strictly(self, tensors, source)

    def _seen(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        tokens, positions, rows = [], [], len(inputs["proprio"])
        for images in self.pictures.each(inputs, self.image_input):
            maps = self.backbone.maps(images)
            cameras = len(images) // rows
            place = sine_2d(maps.shape[2], maps.shape[3], self.sizes.width, maps.device)
            tokens.append(maps.flatten(2).transpose(1, 2).unflatten(0, (rows, cameras)).flatten(1, 2))
            positions += [place] * cameras
        return torch.cat(tokens, dim=1), torch.cat(positions)
