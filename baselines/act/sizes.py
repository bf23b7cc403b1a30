"""How large ACT's networks are, and how fast they are moved: as published, and small enough for two CPU cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The defaults are those of tonyzhaozh/act (`imitate_episodes.py`, `detr/main.py`, README).

    width: of tokens. hidden: of the feed-forward parts. latent: numbers of the CVAE's latent. posterior_layers: of its
    encoder. rate, backbone_rate: of AdamW, for the transformers and for the ResNet.
    """

    width: int = 512
    heads: int = 8
    hidden: int = 3200
    latent: int = 32
    posterior_layers: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 7
    dropout: float = 0.1
    rate: float = 1e-5
    backbone_rate: float = 1e-5


WEIGHT_DECAY = 1e-4
FLOOR = 1e-2
"""Least deviation by which an entry of proprioception or of an action is divided (`utils.get_norm_stats`)."""

SIZES = {
    "act": Sizes(),
    "small": Sizes(128, 4, 512, 32, 2, 2, 3, 0.1, rate=3e-4, backbone_rate=1e-4),
}
