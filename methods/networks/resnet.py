"""ResNets without their classifier (He et al., CVPR 2016; stride in the 3x3 convolution), torchvision's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(inputs, width, stride)

    def forward(self, maps: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(maps)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + (maps if self.downsample is None else self.downsample(maps)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _downsample(inputs, 4 * width, stride)

    def forward(self, maps: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(maps)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + (maps if self.downsample is None else self.downsample(maps)))


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if inputs == outputs and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


LAYERS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """Images (B, 3, H, W) to (B, feature_dim), averaged over the last map. base: channels of the first stage."""

    def __init__(self, depth: int, base: int = 64) -> None:
        super().__init__()
        block, counts = LAYERS[depth]
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = base
        for level, count in enumerate(counts):
            width = base * 2**level
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, width, 2 if level and not index else 1))
                inputs = width * block.expansion
            setattr(self, f"layer{level + 1}", nn.Sequential(*blocks))
        self.feature_dim = self.token_dim = inputs
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to the last map (B, feature_dim, H / 32, W / 32)."""
        out = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for level in range(1, 5):
            out = getattr(self, f"layer{level}")(out)
        return out

    def tokens(self, images: Tensor) -> Tensor:
        """The last map's cells row by row, (B, H / 32 * W / 32, feature_dim)."""
        return self.maps(images).flatten(2).transpose(1, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))
