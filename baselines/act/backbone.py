"""ResNet-18 as ACT trains it: from ImageNet's weights, with BatchNorms that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.networks.resnet import ResNet
from methods.weights import load_strictly


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm by its buffers alone: neither its statistics nor its scale and shift are trained, as in DETR."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, maps: Tensor) -> Tensor:
        return functional.batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-5)


def resnet18() -> ResNet:
    """Untrained, with frozen BatchNorms; 11,166,912 parameters. Its state has torchvision's names."""
    network = ResNet(18)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FrozenBatchNorm2d(child.num_features))
    return network


def load_imagenet(network: ResNet, tensors: Mapping[str, Tensor], source: str) -> None:
    """From a file of torchvision's, whose classifier is not used. Raises `BadWeights`."""
    load_strictly(network, tensors, source, ignore=("fc", "num_batches_tracked"))
