"""The policy's card: what CLAMP says, and by name what it leaves open."""

from __future__ import annotations

import dataclasses

from methods.card import MethodOption, WeightFile
from methods.policy_card import PolicyCard

IMAGENET = WeightFile(
    "resnet50-0676ba61.pth",
    "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "BSD-3-Clause",
    note="torchvision's ResNet-50, ImageNet classification, V1; its sha256 begins with 0676ba61",
)

OPTIONS = (
    MethodOption(
        "size",
        "paper",
        ("paper", "small"),
        "small: ResNet-18 with 16 to 128 channels and group norm, from scratch; width 128, 4 heads, feed-forward 256, "
        "2 encoder and 2 decoder layers, rate 5e-4 after 200 steps",
        changes=(("small", "weights", ()),),
    ),
    MethodOption(
        "norm",
        "auto",
        ("auto", "frozen", "batch", "group"),
        "of the ResNets; frozen: statistics of the loaded weights are kept, as in ACT; batch: they are the batch's; "
        "group: GroupNorm instead, as in Diffusion Policy; auto: frozen with loaded weights, batch without, group in "
        "size=small",
    ),
    MethodOption(
        "positions",
        "sine",
        ("sine", "learned"),
        "of observation tokens; sine: in two dimensions for a map's cells, as in ACT, with a learned vector for each "
        "camera; learned: a vector for each token",
    ),
    MethodOption(
        "layer_norm",
        "before",
        ("before", "after"),
        "of the transformer's layers; before: of what a layer gets, with one norm behind the last; after: as in ACT",
    ),
    MethodOption(
        "step",
        "memory",
        ("memory", "added"),
        "where the one-hot diffusion step's projection goes; memory: one more token beside the encoder's latents; "
        "added: to each token of the noised chunk",
    ),
    MethodOption("diffusion_steps", "50", ("50", "100"), "levels of noise, in training"),
    MethodOption("schedule", "squaredcos_cap_v2", ("squaredcos_cap_v2", "linear"), "of the noise, diffusers' name"),
    MethodOption(
        "sampler",
        "ddpm",
        ("ddpm", "ddim-10", "ddim-25"),
        "ddpm: all levels, ancestral (CLAMP, equation 4); ddim-N: N of them, without noise between",
    ),
    MethodOption(
        "distortion",
        "tensor2robot",
        ("tensor2robot", "none"),
        "of images in training: brightness, saturation, hue and contrast, in tensor2robot's ranges",
    ),
    MethodOption(
        "crop",
        "none",
        ("none", "random"),
        "random: of each image 90 % of height and width, anywhere in training and the middle when it acts (CLAMP, "
        "Table IV, which does not say how much)",
    ),
    MethodOption(
        "learning_rate",
        "auto",
        ("auto", "1e-3", "5e-4", "1e-4", "5e-5", "1e-5"),
        "auto: 1e-5 where training begins with a pre-trained policy, else 1e-4, both CLAMP's; of size=small 5e-5, 5e-4",
    ),
    MethodOption(
        "instruction",
        "none",
        ("none", "token"),
        "token: the instruction's feature is one more observation token; CLAMP names no such input of this policy",
    ),
)

CARD = PolicyCard(
    name="aloha-unleashed",
    title="ALOHA Unleashed",
    summary="a diffusion transformer over ResNet maps of all cameras, whole chunks of 50 actions in open loop",
    kind="2d",
    observes=("rgb",),
    input=None,  # every camera's image in its own size and shape
    training="end-to-end",
    batch="2d",
    paper="Zhao et al., ALOHA Unleashed, CoRL 2024, arXiv:2410.13126, as in CLAMP, sections III-C and VII-C",
    licence="MIT (this code; no code is public)",
    parameters_source="CLAMP says 192M: four cameras, one projection of their maps; two cameras have 145 M",
    weights=(IMAGENET,),
    options=OPTIONS,
    requires=(("diffusers", "pip install diffusers"),),
    reported_as="ALOHA Unleashed",
    representation=False,
    token_sets=(),
    chunk=50,
    execute=50,
    beside="aloha-unleashed-beside",
    notes=(
        "an episode's actions are played 50 at a time in open loop, as in the paper; policy.execute=25 looks again "
        "twice as often (docs/policies.md)",
    ),
)

CONDITION = MethodOption(
    "condition",
    "tokens",
    ("tokens", "pooled"),
    "what of the representation is seen: its tokens (CLAMP), or its feature as one token (CLAMP, Table IV)",
    changes=(("pooled", "token_sets", ("pooled",)),),
)
BEGIN = MethodOption(
    "begin",
    "whole",
    ("whole", "decoder"),
    "what of a pre-trained policy's weights is taken; decoder: the decoder alone with the normalisers, its ResNets "
    "begin with ImageNet's and its encoder anew (CLAMP, Table IV)",
    changes=(("decoder", "weights", (IMAGENET,)),),
)
BESIDE = dataclasses.replace(
    CARD,
    name="aloha-unleashed-beside",
    title="ALOHA Unleashed beside a representation",
    summary="aloha-unleashed with a representation's tokens beside its images' and the state: "
    "`--method aloha-unleashed+clamp`",
    kind="control",
    weights=(),
    options=(
        *(dataclasses.replace(one, changes=()) if one.name == "size" else one for one in OPTIONS),
        CONDITION,
        BEGIN,
    ),
    reported_as=None,
    representation=True,
    token_sets=("tokens",),
    beside="",
    begins_as=CARD.name,
    notes=(
        *CARD.notes,
        "policy.weights says how it begins: a policy that `bench pretrain --policy aloha-unleashed` left, or none",
    ),
)
