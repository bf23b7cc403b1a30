"""Instructions as features: CLIP's text tower, frozen (CLAR, section IV-D).

encoder = ClipText.load(weights_folder())
features = encoder(["press the button"])      # (1, 512)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from methods.card import MethodCard, WeightFile
from methods.clip_layout import OPENAI_VIT_B32, split_towers
from methods.networks.clip import VIT_B32, CLIPConfig, TextTower
from methods.networks.clip_tokens import Tokenizer
from methods.weights import choose_weights, load_strictly, read_tensors

CARD = MethodCard(
    name="clip-text",
    title="CLIP text tower",
    summary="instructions as features, frozen",
    kind="control",
    observes=(),
    input=None,
    training="frozen",
    batch="2d",
    paper="Radford et al., CLIP, ICML 2021, arXiv:2103.00020",
    licence="MIT",
    parameters=63_428_096,
    parameters_source="counted in openai/CLIP's text tower with its projection",
    weights=(
        OPENAI_VIT_B32,
        WeightFile(
            "bpe_simple_vocab_16e6.txt.gz",
            "https://github.com/openai/CLIP/raw/d05afc436d78f1c48dc0dbf8e5980a9d471f35f6/clip/bpe_simple_vocab_16e6.txt.gz",
            "MIT",
            note="the tokenizer's merges, 1.3 MB",
        ),
    ),
)
"""For `bench weights clip-text`; it is no representation of what a robot sees."""


class ClipText:
    """Sentences to (B, 512), not normalised."""

    def __init__(self, tower: TextTower, tokenizer: Tokenizer) -> None:
        self.tower = tower.requires_grad_(False).eval()
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, config: CLIPConfig = VIT_B32, card: MethodCard = CARD) -> ClipText:
        """From the files of `CARD` under `folder`. Raises `WeightsMissing` or `BadWeights`."""
        model, words = choose_weights(card, None, folder).files
        tower = TextTower(config)
        _, text = split_towers(read_tensors(model), config)
        load_strictly(tower, text, str(model))
        return cls(tower, Tokenizer.from_file(words, config.vocabulary, config.context))

    @torch.inference_mode()
    def __call__(self, sentences: Sequence[str]) -> Tensor:
        device = next(self.tower.parameters()).device
        return self.tower(self.tokenizer(sentences).to(device)).float()
