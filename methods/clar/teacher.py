"""CLAR's frozen teacher (section III-A): an image and a text encoder "such as CLIP".

Which CLIP is silent; ViT-B/16 is our default, because the local alignment samples its patch tokens and ViT-B/32's
7 x 7 map is too coarse. The teacher is no module of what is trained, so no checkpoint or optimiser ever sees it.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from methods import text
from methods.card import ImageInput, MethodCard
from methods.clip_layout import MEAN, OPENAI_VIT_B16, STD, split_towers
from methods.frozen import fingerprint
from methods.networks.clip import VIT_B16, CLIPConfig, TextTower, VisionTower
from methods.networks.clip_tokens import Tokenizer
from methods.objective import Feature
from methods.preprocess import prepare_images
from methods.text import ClipText
from methods.weights import choose_weights, load_strictly, read_tensors

CARD = MethodCard(
    name="clar-teacher",
    title="CLIP ViT-B/16, both towers",
    summary="what CLAR's pre-training aligns with; frozen",
    kind="control",
    observes=(),
    input=ImageInput(224, (0, 1), MEAN, STD, resize="stretch"),
    training="frozen",
    batch="2d",
    paper="Radford et al., CLIP, ICML 2021, arXiv:2103.00020",
    licence="MIT",
    weights=(OPENAI_VIT_B16, text.CARD.weights[1]),
)
"""For `bench weights clar-teacher`."""


class Teacher(ABC):
    """What is asked of one. dim, map_dim: widths of its features and of its map's cells; cells: rows of the map."""

    inputs = ("rgb",)
    label: str
    dim: int
    map_dim: int
    cells: int

    @classmethod
    def load(cls, folder: Path, config: CLIPConfig = VIT_B16, card: MethodCard = CARD) -> Teacher:
        """CLIP, from the files of `card` under `folder`. Raises `WeightsMissing` or `BadWeights`."""
        model, merges = choose_weights(card, None, folder).files
        image, words = split_towers(read_tensors(model), config)
        vision, tower = VisionTower(config), TextTower(config)
        load_strictly(vision, image, str(model))
        load_strictly(tower, words, str(model))
        return CLIPTeacher(vision, ClipText(tower, Tokenizer.from_file(merges, config.vocabulary, config.context)))

    @abstractmethod
    def to(self, device: torch.device) -> Teacher:
        """Move its weights."""

    @abstractmethod
    def identity(self) -> str:
        """Changes with its weights: part of every cache key."""

    @abstractmethod
    def images(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 to one feature (B, dim) and a map (B, cells, cells, map_dim)."""

    @abstractmethod
    def texts(self, sentences: Sequence[str]) -> Tensor:
        """(n, dim)."""

    def outputs(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Feature]:
        """Of V images (V, H, W, 3): `image_feature` (V, dim), and `image_map` (V, h, w, map_dim) in 300 kB each."""
        views = shapes["rgb"][0]
        return {
            "image_feature": Feature((views, self.dim), "float32", 1e-4),
            "image_map": Feature((views, self.cells, self.cells, self.map_dim), "float16", 2e-3),
        }

    def features(self, inputs: Mapping[str, np.ndarray], device: torch.device) -> dict[str, np.ndarray]:
        """Pictures (B, V, H, W, 3) uint8 to the arrays of `outputs`."""
        pictures = inputs["rgb"]
        found = self.images(torch.from_numpy(pictures).flatten(0, 1).to(device))
        given = self.outputs({"rgb": pictures.shape[1:]})
        return {
            name: values.cpu().numpy().astype(feature.dtype).reshape(*pictures.shape[:2], *values.shape[1:])
            for (name, feature), values in zip(given.items(), found, strict=True)
        }


class CLIPTeacher(Teacher):
    """The projected class token, and the patch tokens after the final norm."""

    label = "clip-vitb16"

    def __init__(self, vision: VisionTower, words: ClipText) -> None:
        self.vision, self.words = vision.requires_grad_(False).eval(), words
        self.dim, self.map_dim = vision.config.embed, vision.config.width
        self.cells = vision.config.size // vision.config.patch
        self.input = ImageInput(vision.config.size, (0, 1), MEAN, STD, resize="stretch")

    def to(self, device: torch.device) -> Teacher:
        self.vision.to(device)
        self.words.tower.to(device)
        return self

    def identity(self) -> str:
        return f"{self.label}-{fingerprint(self.vision)[:16]}-{fingerprint(self.words.tower)[:16]}"

    @torch.inference_mode()
    def images(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.vision.ln_post(self.vision.tokens(prepare_images(rgb, self.input)))
        return tokens[:, 0] @ self.vision.proj, tokens[:, 1:].unflatten(1, (self.cells, self.cells))

    def texts(self, sentences: Sequence[str]) -> Tensor:
        return self.words(sentences)


class RandomTeacher(Teacher):
    """Knows nothing, but tells images apart: fixed random projections of pixels, a random vector a sentence.

    For trying the machinery where CLIP's weights are not. An untrained CLIP would not do: its features of different
    images are parallel to the third digit, so nothing could be learnt from them.
    """

    label = "random"

    def __init__(self, size: int = 224, patch: int = 16, dim: int = 512, map_dim: int = 768) -> None:
        self.dim, self.map_dim, self.cells, self.patch = dim, map_dim, size // patch, patch
        self.input = ImageInput(size, (0, 1), MEAN, STD, resize="stretch")
        generator = torch.Generator().manual_seed(0)
        pixels = 3 * patch * patch
        self.of_patch = torch.randn(pixels, map_dim, generator=generator) * pixels**-0.5
        self.of_grid = torch.randn(3 * self.cells**2, dim, generator=generator) * (3 * self.cells**2) ** -0.5

    def to(self, device: torch.device) -> Teacher:
        self.of_patch, self.of_grid = self.of_patch.to(device), self.of_grid.to(device)
        return self

    def identity(self) -> str:
        return f"{self.label}-{self.cells}x{self.patch}-{self.dim}-{self.map_dim}"

    @torch.inference_mode()
    def images(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """The map: each patch's pixels. The feature: colours of the cells against the image's mean."""
        pixels = prepare_images(rgb, self.input)
        patches = functional.unfold(pixels, self.patch, stride=self.patch).transpose(1, 2)
        colours = functional.avg_pool2d(pixels, self.patch)
        colours = (colours - colours.mean(dim=(2, 3), keepdim=True)).flatten(1)
        return colours @ self.of_grid, (patches @ self.of_patch).unflatten(1, (self.cells, self.cells))

    def texts(self, sentences: Sequence[str]) -> Tensor:
        return torch.stack([self._text(sentence) for sentence in sentences])

    def _text(self, sentence: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "little") % 2**63
        return torch.randn(self.dim, generator=torch.Generator().manual_seed(seed))
