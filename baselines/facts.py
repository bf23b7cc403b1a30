"""As `methods.facts`, of the baselines."""

from __future__ import annotations

from baselines.hub.names import DEPTH
from baselines.hub.names import FACTS as HUB
from methods.facts import CardFacts

COLOURED = (("color", "true", "observes", ("points", "points_valid", "point_colors")),)
MOVING = (("compat", "lift3d", "training", "partial"), *DEPTH)
"""R3M's statistics, as in Lift3D, and depth beside its images."""

SHIPPED: dict[str, CardFacts] = {
    "act": CardFacts(1, "3d", "end-to-end", ("rgb",), "ACT"),
    "act-beside": CardFacts(1, "3d", "end-to-end", ("rgb",)),
    "act-head": CardFacts(1, "3d", "end-to-end", ()),
    "aloha-unleashed": CardFacts(1, "2d", "end-to-end", ("rgb",), "ALOHA Unleashed"),
    "aloha-unleashed-beside": CardFacts(1, "2d", "end-to-end", ("rgb",)),
    "chunk-mlp": CardFacts(1, "3d", "end-to-end", ()),
    "clip": CardFacts(2, "2d", "frozen", ("rgb",), "CLIP", DEPTH),
    "clip-vitb16": CardFacts(2, "2d", "frozen", ("rgb",), changes=DEPTH),
    "dinov2": HUB,
    "dinov3": HUB,
    "dp3": CardFacts(1, "3d", "end-to-end", ("points", "points_valid"), "DP3", COLOURED),
    "dp3-policy": CardFacts(2, "3d", "end-to-end", ("points", "points_valid"), "DP3", COLOURED),
    "lift3d": CardFacts(2, "3d", "partial", ("points", "points_valid"), "Lift3D"),
    "mae": HUB,
    "pointnet": CardFacts(1, "3d", "end-to-end", ("points", "points_valid"), "PointNet"),
    "pointnet2": CardFacts(1, "3d", "end-to-end", ("points", "points_valid"), "PointNet++"),
    "pointnext": CardFacts(1, "3d", "end-to-end", ("points", "points_valid"), "PointNeXt"),
    "r3m": CardFacts(2, "2d", "frozen", ("rgb",), "R3M", MOVING),
    "r3m-resnet18": CardFacts(2, "2d", "frozen", ("rgb",), changes=MOVING),
    "r3m-resnet50": CardFacts(2, "2d", "frozen", ("rgb",), changes=MOVING),
    "radio": HUB,
    "siglip2": HUB,
    "spa": CardFacts(2, "2d", "frozen", ("rgb",), "SPA", DEPTH),
    "spa-vitl": CardFacts(2, "2d", "frozen", ("rgb",), changes=DEPTH),
    "theia": HUB,
    "vc1": CardFacts(2, "2d", "frozen", ("rgb",), "VC-1", DEPTH),
    "vc1-vitl": CardFacts(2, "2d", "frozen", ("rgb",), changes=DEPTH),
    "vggt": CardFacts(2, "2d", "partial", ("rgb",), "VGGT"),
    "vla-backbone": CardFacts(1, "2d", "end-to-end", ("rgb",), "VLA Backbone"),
}
