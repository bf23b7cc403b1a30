"""CLAR's frozen teacher (section III-A): an image and a text encoder "such as CLIP".

Which CLIP is silent; ViT-B/16 is our default, because the local alignment samples its patch tokens and ViT-B/32's
7 x 7 map is too coarse. The teacher is no module of what is trained, so no checkpoint or optimiser ever sees it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from methods import text
from methods.card import ImageInput, MethodCard
from methods.clip_layout import MEAN, OPENAI_VIT_B16, STD, split_towers
from methods.frozen import fingerprint
from methods.networks.clip import VIT_B16, CLIPConfig, TextTower, VisionTower
from methods.networks.clip_tokens import Tokenizer
from methods.preprocess import prepare_images
from methods.text import ClipText
from methods.weights import choose_weights, load_strictly, read_tensors

CARD = MethodCard(
    name="clar-teacher",
    title="CLIP ViT-B/16, both towers",
    summary="what CLAR's pre-training aligns with; frozen",
    kind="control",
    observes=(),
    input=ImageInput(224, (0, 1), MEAN, STD, resize="resize"),
    training="frozen",
    batch="2d",
    paper="Radford et al., CLIP, ICML 2021, arXiv:2103.00020",
    licence="MIT",
    weights=(OPENAI_VIT_B16, text.CARD.weights[1]),
)  # fmt: skip
"""For `bench weights clar-teacher`."""


class Teacher:
    """label: `clip-vitb16` or `random`. dim, map_dim: widths of its features and of its map's cells."""

    def __init__(self, vision: VisionTower, words: ClipText | None, label: str) -> None:
        self.vision = vision.requires_grad_(False).eval()
        self.words, self.label = words, label
        self.dim, self.map_dim = vision.config.embed, vision.config.width
        self.cells = vision.config.size // vision.config.patch

    @classmethod
    def load(cls, folder: Path, config: CLIPConfig = VIT_B16) -> Teacher:
        """From the files of `CARD` under `folder`. Raises `WeightsMissing` or `BadWeights`."""
        model, merges = choose_weights(CARD, None, folder).files
        image, words = split_towers(read_tensors(model), config)
        vision, tower = VisionTower(config), TextTower(config)
        load_strictly(vision, image, str(model))
        load_strictly(tower, words, str(model))
        tokenizer = Tokenizer.from_file(merges, config.vocabulary, config.context)
        return cls(vision, ClipText(tower, tokenizer), "clip-vitb16")

    @classmethod
    def random(cls, config: CLIPConfig = VIT_B16) -> Teacher:
        """An untrained image tower, always the same, and a fixed random vector for every sentence."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return cls(VisionTower(config), None, "random")

    def to(self, device: torch.device) -> Teacher:
        self.vision.to(device)
        if self.words is not None:
            self.words.tower.to(device)
        return self

    def identity(self) -> str:
        """Changes with its weights: part of every cache key."""
        return f"{self.label}-{fingerprint(self.vision)[:16]}"

    @torch.inference_mode()
    def images(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 to the projected class token (B, dim) and the patch tokens (B, h, w, map_dim)."""
        tokens = self.vision.ln_post(self.vision.tokens(prepare_images(rgb, self._input)))
        return tokens[:, 0] @ self.vision.proj, tokens[:, 1:].unflatten(1, (self.cells, self.cells))

    @property
    def _input(self) -> ImageInput:
        return ImageInput(self.vision.config.size, (0, 1), MEAN, STD, resize="resize")

    @torch.inference_mode()
    def texts(self, sentences: Sequence[str]) -> Tensor:
        """(n, dim)."""
        if self.words is not None:
            return self.words(sentences)
        return torch.stack([self._random_text(sentence) for sentence in sentences])

    def _random_text(self, sentence: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "little") % 2**63
        return torch.randn(self.dim, generator=torch.Generator().manual_seed(seed))
