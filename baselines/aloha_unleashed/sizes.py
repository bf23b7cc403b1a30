"""The two sizes of the policy: CLAMP's, and one that can be trained on two cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """depth, base: of each camera's ResNet, and the channels of its first stage. width, heads, feed_forward, dropout:
    of the transformer. learning_rate: of pre-training and of training from scratch; fine_tuning: of a policy that was
    pre-trained; both after `warmup_steps`.
    """

    depth: int
    base: int
    width: int
    heads: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    learning_rate: float
    fine_tuning: float
    warmup_steps: int


SIZES: dict[str, Size] = {
    # CLAMP, sections III-C and VII-C
    "paper": Size(50, 64, 768, 8, 3200, 4, 7, 0.1, 1e-4, 1e-5, 5000),
    # ours
    "small": Size(18, 16, 128, 4, 256, 2, 2, 0.1, 5e-4, 5e-5, 200),
}
