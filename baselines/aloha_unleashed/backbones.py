"""A camera's ResNet: its last map, under one of three normalisations."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from methods.networks.resnet import ResNet
from methods.weights import load_strictly

GROUP = 8
"""Channels that are normalised together; Diffusion Policy has 16 in networks of four times the width."""
STRIDE = 32
"""Pixels of a map's cell."""


def map_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the map: 480 x 848 pixels give 15 x 27."""
    return -(-height // STRIDE), -(-width // STRIDE)


def make_backbone(depth: int, base: int, group: bool) -> ResNet:
    """With random weights. group: GroupNorm in the place of BatchNorm, with the same names of weights."""
    network = ResNet(depth, base)
    if group:
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.GroupNorm(child.num_features // GROUP, child.num_features))
    return network


def load_imagenet(network: ResNet, tensors: Mapping[str, Tensor], source: str) -> None:
    """Weights of torchvision's layout, without its classifier. Raises `BadWeights`."""
    own = network.state_dict()
    counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}  # older files have none
    unused = ("fc",) if counters else ("fc", "running_", "num_batches_tracked")
    load_strictly(network, {**counters, **tensors}, source, ignore=unused)


def hold_statistics(network: ResNet) -> None:
    """Normalise by the running statistics, and leave them as they are. To be called after every `train()`."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
