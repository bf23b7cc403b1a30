"""CLAR's pre-training objective (section III, eq. 7): the encoder, what it is trained with, and the four terms.

total = 1.5 MAE + 0.5 (cloud, image) + 0.5 (cloud, text) + 0.5 local. The same encoder runs twice in a step: over the
visible patches for the decoder, and over all of them for contrast and alignment. A term that is switched off (Table V)
is not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from methods.clar.contrast import FORMS, GlobalContrast
from methods.clar.local import LocalAlignment, project, visible
from methods.clar.mae import DEPTH, Decoder, chamfer, draw_mask, draw_masked_count, split_patches
from methods.clar.representation import CLAR
from methods.objective import ObjectiveModel, Pairs
from methods.pointops import farthest_points, nearest, take
from methods.preprocess import repeat_valid

TERMS = ("mae", "image", "text", "local")


@dataclass(frozen=True)
class Options:
    """Every choice of the objective; `benchmark/conf/pretrain/clar.yaml` says which are the paper's and why.

    mae, contrast, local: which parts are on (Table V). The weights are eq. 7's alpha, beta, gamma, theta.
    """

    mae: bool = True
    contrast: bool = True
    local: bool = True
    weight_mae: float = 1.5
    weight_image: float = 0.5
    weight_text: float = 0.5
    weight_local: float = 0.5
    mask_low: float = 0.6
    mask_high: float = 0.8
    decoder_depth: int = DEPTH
    cd_scale: float = 300.0
    form: str = "infonce"
    local_width: int = 256
    local_heads: int = 8
    local_points: int = 4
    local_negatives: str = "image"
    augment: str = "none"

    def __post_init__(self) -> None:
        if not (self.mae or self.contrast or self.local):
            raise ValueError("nothing is left to pre-train with: mae, contrast and local are all off")
        if self.form not in FORMS:
            raise ValueError(f"form={self.form} is none of {', '.join(FORMS)}")
        if self.local_negatives not in ("image", "batch"):
            raise ValueError(f"local_negatives={self.local_negatives} is none of image, batch")
        if self.augment not in ("none", "scale-translate"):
            raise ValueError(f"augment={self.augment} is none of none, scale-translate")
        if not 0 < self.mask_low <= self.mask_high < 1:
            raise ValueError(f"mask ratios lie between 0 and 1: {self.mask_low}, {self.mask_high}")
        if self.local_width % self.local_heads:
            raise ValueError(f"local_width={self.local_width} is no multiple of local_heads={self.local_heads}")

    @property
    def taught(self) -> bool:
        """Whether a teacher and images are needed."""
        return self.contrast or self.local

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms that are on, the Chamfer term's scale included."""
        found = {"mae": self.weight_mae * self.cd_scale} if self.mae else {}
        found |= {"image": self.weight_image, "text": self.weight_text} if self.contrast else {}
        return found | ({"local": self.weight_local} if self.local else {})


class Pretraining(ObjectiveModel):
    """The encoder in its representation, and the parts that are thrown away after pre-training."""

    representation: CLAR
    gathered = ("image_feature", "text_feature", "said")
    undecayed = ("cls_token", "cls_pos", "mask_token")

    def __init__(self, representation: CLAR, options: Options, teacher_dim: int = 512, map_dim: int = 768) -> None:
        super().__init__()
        self.representation, self.options = representation, options
        self.embeddings = ("clouds",) if options.contrast else ()
        o, config = options, representation.config
        self.decoder = Decoder(config, o.decoder_depth) if o.mae else None
        self.contrast = GlobalContrast(representation.feature_dim, teacher_dim, o.form) if o.contrast else None  # type: ignore[arg-type]
        self.local = None
        if o.local:
            self.local = LocalAlignment(
                config.width,
                map_dim,
                o.local_width,
                o.local_heads,
                o.local_points,
                o.form,  # type: ignore[arg-type]
                o.local_negatives,  # type: ignore[arg-type]
            )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fields (B, ...), as `envs.spec` describes clouds and images of one camera, to what the terms are made of.

        `mae` and `local` are scalars; `clouds` (B, teacher_dim) are unit vectors for `batch_terms`, which may see
        those of other devices as well.
        """
        centers, patches, raw = self.patches(batch["points"], batch["points_valid"])
        found: dict[str, Tensor] = {}
        if self.decoder is not None:
            found["mae"] = self._reconstruct(centers, patches)
        if self.contrast is None and self.local is None:
            return found
        tokens = self.representation.encoder(centers, patches)
        if self.contrast is not None:
            found["clouds"] = self.contrast.embed(self.representation.pool(tokens))
        if self.local is not None:
            pixels, depth = project(raw, batch["intrinsics"], batch["extrinsics"])
            seen = visible(pixels, depth, batch["depth"])
            size = pixels.new_tensor([batch["depth"].shape[2], batch["depth"].shape[1]])
            found["local"] = self.local(tokens[:, 1:], batch["image_map"].float(), pixels / size, seen)
            found["seen"] = seen.float().mean().detach()
        return found

    def batch_terms(self, embeddings: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The terms `image` and `text` for the clouds' unit vectors; {} if contrast is off."""
        if self.contrast is None:
            return {}
        image, words = self.contrast(embeddings["clouds"], batch["image_feature"], batch["text_feature"], batch["said"])
        return {"image": image, "text": words}

    @property
    def weights(self) -> Mapping[str, float]:
        """Eq. 7's."""
        return self.options.weights

    def after_step(self) -> None:
        """Temperatures stay in their range."""
        for part in (self.contrast, self.local):
            if part is not None:
                part.temperature.clamp()

    def parts(self) -> dict[str, Any]:
        """The encoder, and the rest for `bench retrieval` and `bench attention`."""
        named = {"contrast": self.contrast, "local": self.local}
        return {
            "representation": self.representation.state_dict(),
            **({"decoder": self.decoder.state_dict()} if self.decoder is not None else {}),
            "loss": {name: part.state_dict() for name, part in named.items() if part is not None},
        }

    @property
    def why_no_pairs(self) -> str:
        if self.contrast is None:
            return "it was pre-trained without contrast: it shares no space with images or text"
        return ""

    def pairs(self, batch: Mapping[str, Tensor]) -> Pairs:
        """Clouds, found by their image and by their instruction in the teacher's space."""
        assert self.contrast is not None
        clouds = self.contrast.embed(self.representation.encode(batch))
        image, words = (functional.normalize(batch[n].float(), dim=-1) for n in ("image_feature", "text_feature"))
        return Pairs(clouds, {"image": image, "text": words}, {"text": batch["said"]})

    def patches(self, points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Centres and patches as the encoder takes them, and the centres in metres in the robot's frame."""
        config = self.representation.config
        cloud = self.representation.preprocess(points, valid)
        index = farthest_points(cloud, config.patches)
        raw = take(repeat_valid(points.float(), valid), index)
        if self.options.augment == "scale-translate" and self.training:
            # Point-MAE's; the projection into the image keeps the true centres
            low, high = cloud.new_tensor(2 / 3), cloud.new_tensor(3 / 2)
            scale = low + (high - low) * torch.rand(len(cloud), 1, 3, device=cloud.device)
            cloud = cloud * scale + (torch.rand(len(cloud), 1, 3, device=cloud.device) - 0.5) * 0.4
        centers = take(cloud, index)
        patches = take(cloud, nearest(centers, cloud, config.patch_points)) - centers.unsqueeze(2)
        return centers, patches, raw

    def _reconstruct(self, centers: Tensor, patches: Tensor) -> Tensor:
        assert self.decoder is not None
        batch, n = centers.shape[:2]
        masked_count = draw_masked_count(n, self.options.mask_low, self.options.mask_high)
        seen, hidden = draw_mask(batch, n, masked_count, centers.device)
        seen_centers, hidden_centers = split_patches(centers, seen, hidden)
        seen_patches, hidden_patches = split_patches(patches, seen, hidden)
        encoded = self.representation.encoder(seen_centers, seen_patches)[:, 1:]
        predicted = self.decoder(encoded, seen_centers, hidden_centers)
        return chamfer(predicted.float(), hidden_patches).mean()
