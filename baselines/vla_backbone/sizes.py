"""The two sizes of the policy: pi-0's, and one that runs on two cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expert:
    """width: of its tokens; hidden: of its gated layer."""

    width: int
    hidden: int


@dataclass(frozen=True)
class Size:
    """picture, patch: pixels. vision_*: of the image's transformer. backbone reads images and instruction, action
    state and actions; both have `depth` layers with the same `heads`, one key and value for all of them, of `head_dim`.
    """

    picture: int
    patch: int
    vision_width: int
    vision_depth: int
    vision_heads: int
    vision_hidden: int
    backbone: Expert
    action: Expert
    depth: int
    heads: int
    head_dim: int
    learning_rate: float
    fine_tuning: float
    warmup_steps: int


SIZES: dict[str, Size] = {
    # SigLIP So400m/14, Gemma 2B and the action expert of 300 M (openpi's siglip.py, gemma.py); rate of openpi's
    # CosineDecaySchedule, without its decay
    "pi-0": Size(
        224, 14, 1152, 27, 16, 4304, Expert(2048, 16384), Expert(1024, 4096), 18, 8, 256, 2.5e-5, 2.5e-5, 1000
    ),
    # ours
    "small": Size(112, 16, 96, 2, 3, 384, Expert(128, 256), Expert(96, 256), 3, 4, 32, 5e-4, 5e-5, 200),
}
