"""CLAMP's pre-training objective (section III-B): three encoders into one space, each pair of them by SigLIP's loss.

total = (image-text + image-action + text-action) / 3. Without the text (Table III) image-action alone is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from envs.errors import UserError
from methods.clamp.loss import SCALES, SIGNS, Scales, siglip
from methods.clamp.representation import CLAMP
from methods.clamp.text import TextConfig, TextEncoder
from methods.clamp.tokens import TOKENIZERS, vocabulary_of
from methods.objective import ObjectiveModel

PAIRS = (("image", "text"), ("image", "action"), ("text", "action"))


@dataclass(frozen=True)
class Options:
    """Every choice of the objective; `benchmark/conf/pretrain/clamp.yaml` says which are the paper's and why.

    context: tokens of a text, 0 for as many as the text encoder's own configuration says.
    """

    text: bool = True
    sign: str = "siglip"
    scales: str = "shared"
    temperature: float = 10.0
    bias: float = -10.0
    tokenizer: str = "mt5"
    position_digits: int = 3
    progress_levels: int = 100
    context: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("sign", self.sign, SIGNS),
            ("scales", self.scales, SCALES),
            ("tokenizer", self.tokenizer, TOKENIZERS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value} is none of {', '.join(allowed)}")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Of modalities that are contrasted."""
        return tuple(pair for pair in PAIRS if self.text or "text" not in pair)


class BadActions(UserError, ValueError):
    """Frames whose actions have another width than the encoder's, or than those of other frames."""


class ClampPretraining(ObjectiveModel):
    """The image and action encoders in their representation, and what is thrown away after pre-training."""

    representation: CLAMP

    def __init__(self, representation: CLAMP, options: Options, text: TextConfig) -> None:
        super().__init__()
        self.representation, self.options = representation, options
        self.text = TextEncoder(vocabulary_of(options.tokenizer), text) if options.text else None
        self.logit = Scales(len(options.pairs), options.scales, options.temperature, options.bias)
        self.embeddings = ("image", "text", "action") if options.text else ("image", "action")
        self.undecayed: Sequence[str] = ("pos_embed", "positions", "probe", "free", "frequency")

    def train(self, mode: bool = True) -> ClampPretraining:
        """The representation's card says `frozen`, which holds for policies: here its dropout is at work."""
        super().train(mode)
        for part in (self.representation.images, self.representation.actions):
            part.train(mode)
        return self

    @property
    def action_size(self) -> int:
        return len(self.representation.low)

    @property
    def weights(self) -> Mapping[str, float]:
        """The mean of the terms."""
        return {_term(pair): 1 / len(self.options.pairs) for pair in self.options.pairs}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """views (B, V, S, S, 4), views_valid, past_actions (B, H, A) and tokens (B, T) to unit vectors (B, D).

        Raises `BadActions` for those of another robot.
        """
        reads, given = self.action_size, batch["past_actions"].shape[-1]
        if given != reads:
            raise BadActions(
                f"frames have actions of {given} numbers, and this encoder reads {reads}: they are of another robot"
            )
        found = {
            "image": self.representation.encode_views(batch),
            "action": self.representation.encode_actions(batch),
        }
        if self.text is not None:
            found["text"] = self.text(batch["tokens"])
        return {name: functional.normalize(found[name].float(), dim=-1) for name in self.embeddings}

    def batch_terms(self, embeddings: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            _term(pair): siglip(embeddings[pair[0]], embeddings[pair[1]], *self.logit.of(number), self.options.sign)
            for number, pair in enumerate(self.options.pairs)
        }

    def parts(self) -> dict[str, Any]:
        """The encoders that policies use, the text encoder, and temperature and bias."""
        return {
            "representation": self.representation.state_dict(),
            **({"text": self.text.state_dict()} if self.text is not None else {}),
            "logit": self.logit.state_dict(),
        }

    @property
    def why_no_pairs(self) -> str:
        return "its modalities find each other: they are judged in all directions"

    @property
    def modalities(self) -> Mapping[str, str]:
        fields = {"image": "views", "text": "tokens", "action": "past_actions"}
        return {name: fields[name] for name in self.embeddings}

    def spaces(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return self(batch)

    def probabilities(self, pair: tuple[str, str], left: Tensor, right: Tensor) -> Tensor:
        number = next(n for n, known in enumerate(self.options.pairs) if set(known) == set(pair))
        scale, bias = self.logit.of(number)
        return torch.sigmoid(left @ right.T * scale + (-bias if self.options.sign == "as_printed" else bias))

    def facts(self) -> dict[str, Any]:
        """Temperature and bias of each pair at the end, and the counts of the encoders."""
        parts = {"image": self.representation.images, "action": self.representation.actions, "text": self.text}
        return {
            "parameters": {
                n: sum(p.numel() for p in part.parameters()) for n, part in parts.items() if part is not None
            },
            "temperature": [round(value, 4) for value in self.logit.log_scale.detach().exp().tolist()],
            "bias": [round(value, 4) for value in self.logit.bias.detach().tolist()],
        }


def _term(pair: tuple[str, str]) -> str:
    return "_".join(pair)
