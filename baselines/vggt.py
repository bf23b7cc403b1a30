"""VGGT (Wang et al., CVPR 2025) as CLAR's Table I has it: a map of its depth head, and a trained projection of it.

CLAR's only words (footnote 1): the "intermediate feature map from its DPT depth head" and "a convolutional projection
head to aggregate it into a single feature vector". Taken here: the fused map after `output_conv1`, 128 channels, before
the final up-sampling; averaged to a smaller grid, so that 5,000 frames can be kept; three convolutions of stride 2.
The network is the authors' own package, which is not on PyPI; one view at 224 = 16 x 14 pixels, of other images the
short side scaled to 224 and the central square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput, MethodCard, MethodOption, WeightFile
from methods.pictures import Pictures
from methods.weights import load_strictly, read_tensors

INSTALL = "python -m pip install git+https://github.com/facebookresearch/vggt"
CHANNELS = 128


class Trunk(nn.Module):
    """Aggregator and depth head of the `vggt` package, parameters named as in its checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        from vggt.heads.dpt_head import DPTHead
        from vggt.models.aggregator import Aggregator

        self.aggregator: Any = Aggregator(img_size=518, patch_size=14, embed_dim=1024)
        self.depth_head: Any = DPTHead(dim_in=2048, output_dim=2, activation="exp", conf_activation="expp1")

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 to the fused map (B, 128, 8 H / 14, 8 W / 14)."""
        kept: list[Tensor] = []
        hook = self.depth_head.scratch.output_conv1.register_forward_hook(lambda _m, _i, out: kept.append(out))
        try:
            views = images.unsqueeze(1)
            tokens, patch_start = self.aggregator(views)
            self.depth_head(tokens, images=views, patch_start_idx=patch_start)
        finally:
            hook.remove()
        return kept[0]


class VGGT(Representation):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = MethodCard(
        name="vggt",
        title="VGGT-1B depth head",
        summary="geometry transformer's depth features, frozen, under a trained convolutional projection",
        kind="2d",
        observes=("rgb",),
        # the aggregator subtracts ImageNet's mean by itself
        input=ImageInput(224, (0, 1), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), resize="short-side"),
        training="partial",
        batch="2d",
        paper="Wang et al., VGGT, CVPR 2025, arXiv:2503.11651",
        licence="VGGT License (the package); CC-BY-NC-4.0 (these weights); this code is MIT",
        parameters=None,
        parameters_source="about 1.0 billion in the package's aggregator and depth head; it is not counted here",
        weights=(
            WeightFile(
                "model.safetensors",
                "https://huggingface.co/facebook/VGGT-1B/resolve/main/model.safetensors",
                "CC-BY-NC-4.0",
                non_commercial=True,
                note="5 GB",
            ),
        ),
        options=(MethodOption("map", "32", ("16", "32", "64", "128"), "edge of the kept map, in cells"),),
        requires=(("vggt", INSTALL),),
        reported_as="VGGT",
        version=2,
    )
    camera_sizes = True
    feature_dim = 512

    def __init__(self, specs: Mapping[str, FieldSpec], map: str = "32", trunk: nn.Module | None = None) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, ImageInput)
        self.edge = int(map)
        self.trunk = trunk or Trunk()
        self.trunk.requires_grad_(False)
        self.trunk.eval()
        layers: list[nn.Module] = []
        for inputs, outputs in ((CHANNELS, 128), (128, 256), (256, 512)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(32, outputs), nn.ReLU()]
        self.projection = nn.Sequential(*layers)
        self.pictures = Pictures(specs, "rgb")
        self.feature_dim = self.pictures.cameras * 512

    @property
    def frozen_part(self) -> nn.Module:
        return self.trunk

    def train(self, mode: bool = True) -> VGGT:
        super().train(mode)
        self.trunk.eval()
        return self

    def load_weights(self, paths: Sequence[Path]) -> None:
        tensors = read_tensors(paths[0], prefixes=("aggregator.", "depth_head."))
        load_strictly(self.trunk, tensors, str(paths[0]), ignore=("camera_head", "point_head", "track_head"))

    def encode_frozen(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, V, 128, map, map)."""
        assert isinstance(self.card.input, ImageInput)
        maps = self.trunk(self.pictures.prepare(observations, self.card.input)).float()
        kept = functional.adaptive_avg_pool2d(maps, self.edge)
        return kept.view(-1, self.pictures.cameras, CHANNELS, self.edge, self.edge)

    def project(self, frozen: Tensor) -> Tensor:
        features = self.projection(frozen.flatten(0, 1)).mean((2, 3))
        return features.view(len(frozen), -1)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.project(self.encode_frozen(observations))
