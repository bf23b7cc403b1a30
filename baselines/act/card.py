"""What ACT says of itself, whole and over a representation."""

from __future__ import annotations

import dataclasses

from baselines.images import IMAGENET_MEAN, IMAGENET_STD
from methods.card import ImageInput, MethodOption, WeightFile
from methods.policy_card import PolicyCard

KL_WEIGHT = "10"
RATES = ("preset", "1e-05", "3e-05", "0.0001", "0.0003", "0.001")
PICTURES = ImageInput(480, (0, 1), IMAGENET_MEAN, IMAGENET_STD, resize="whole", interpolation="bilinear")
"""480 x 640 in the published experiments, which nothing resizes; of larger images the short side becomes 480."""
SMALL_PICTURES = dataclasses.replace(PICTURES, size=96)

IMAGENET = WeightFile(
    "resnet18-f37072fd.pth",
    "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "BSD-3-Clause (torchvision); trained on ImageNet",
    sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    size=46_830_571,
    note="torchvision's ResNet-18, IMAGENET1K_V1",
)

SIZE = MethodOption(
    "size",
    "act",
    ("act", "small"),
    "small, for two CPU cores: width 128, 4 heads, feed-forward 512, 2 + 2 + 3 layers, rates 3e-4 and 1e-4; images "
    "are shrunk to a short side of 96",
    changes=(("small", "input", SMALL_PICTURES),),
)
COMPAT = MethodOption(
    "compat",
    "none",
    ("none", "act"),
    "act: only the decoder's first layer is used, as in the published code, which takes [0] of all layers' outputs",
)
KL = MethodOption("kl", KL_WEIGHT, ("0", "1", "10", "100"), "weight of the latent's divergence (published: 10)")
RATE = MethodOption("rate", RATES[0], RATES, "AdamW's rate; preset: 1e-5 as published, 3e-4 under size=small")
BACKBONE_RATE = MethodOption(
    "backbone_rate", RATES[0], RATES, "of the ResNet; preset: 1e-5 as published, 1e-4 under size=small"
)
CONDITION = MethodOption(
    "condition",
    "pooled",
    ("pooled", "tokens"),
    "what of the representation is seen: its feature as one token, or its tokens",
    changes=(("tokens", "token_sets", ("tokens",)),),
)

PUBLISHED = (
    "by default a decoder's last layer is used; compat=act has the published code's first",
    "the published run draws one window an episode and epoch, batches of 8, 2,000 epochs; here the protocol's samples, "
    "batch and epochs",
    "temporal ensembling, which looks at every step; without it: policy.ensemble=-1 policy.execute=25",
)

WHOLE = PolicyCard(
    name="act",
    title="ACT",
    summary="action chunks from a CVAE's transformer over ResNet-18 maps of all cameras; a whole policy",
    kind="2d",
    observes=("rgb",),
    input=PICTURES,
    training="end-to-end",
    batch="3d",
    paper="Zhao et al., Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware, RSS 2023, arXiv:2304.13705",
    licence="MIT",
    parameters=11_166_912,
    parameters_source="torchvision's resnet18 without its classifier and BatchNorms; with 14 actions the policy has "
    "83.92 M, as published",
    weights=(IMAGENET,),
    options=(SIZE, COMPAT, KL, RATE, BACKBONE_RATE),
    notes=("batch as for 3D methods: 16 under the papers' protocol, the published is 8", *PUBLISHED),
    reported_as="ACT",
    representation=False,
    token_sets=(),
    chunk=100,
    ensemble=0.01,
    as_head="act-head",
    beside="act-beside",
)

OVER = dataclasses.replace(
    WHOLE,
    name="act-head",
    title="ACT (head)",
    reported_as=None,
    summary="ACT over a representation, whose feature or tokens take the place of the images' tokens; `--head act`",
    kind="control",
    observes=(),
    input=None,
    parameters=None,
    parameters_source="",
    weights=(),
    options=(dataclasses.replace(SIZE, changes=()), COMPAT, KL, RATE, CONDITION),
    notes=PUBLISHED,
    representation=True,
    token_sets=("pooled",),
    as_head="",
    beside="",
)

BESIDE = dataclasses.replace(
    WHOLE,
    name="act-beside",
    title="ACT beside a representation",
    reported_as=None,
    summary="ACT with a representation's tokens beside those of its images: `--method act+clamp`",
    kind="control",
    parameters=None,
    parameters_source="",
    weights=(),
    options=(
        *WHOLE.options,
        dataclasses.replace(
            CONDITION, default="tokens", allowed=("tokens", "pooled"), changes=(("pooled", "token_sets", ("pooled",)),)
        ),
    ),
    notes=(*PUBLISHED, "policy.weights says how it begins: a policy that `bench pretrain --policy act` left, or none"),
    representation=True,
    token_sets=("tokens",),
    as_head="",
    beside="",
    begins_as=WHOLE.name,
)
