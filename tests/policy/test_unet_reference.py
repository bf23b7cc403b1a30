"""DP3's U-Net against a reference written from Diffusion Policy's description, in fp64: values and gradients.

The reference loops over steps of time and taps of a kernel; time stands last and channels first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark.policy.denoisers import UNetDenoiser
from tests.methods.by_hand import agree, group_norm, linear, mish, shaken
from tests.policy.test_diffusion import config

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def convolution(layer: Any, values: Tensor, stride: int = 1) -> Tensor:
    """(C, B, T) to (D, B, T / stride), zeros outside, an odd kernel around each step."""
    taps, steps = layer.weight.shape[2], values.shape[2]
    found = []
    for step in range(0, steps, stride):
        total = layer.bias[:, None].expand(-1, values.shape[1])
        for tap in range(taps):
            where = step + tap - taps // 2
            if 0 <= where < steps:
                total = total + layer.weight[:, :, tap] @ values[:, :, where]
        found.append(total)
    return torch.stack(found, 2)


def doubled(layer: Any, values: Tensor) -> Tensor:
    """The transposed convolution of four taps: step t is spread over 2 t - 1 to 2 t + 2."""
    batch, steps = values.shape[1:]
    found = [layer.bias[:, None].expand(-1, batch) for _ in range(2 * steps)]
    for step in range(steps):
        for tap in range(4):
            where = 2 * step + tap - 1
            if 0 <= where < 2 * steps:
                found[where] = found[where] + layer.weight[:, :, tap].T @ values[:, :, step]
    return torch.stack(found, 2)


def block(layers: Any, values: Tensor) -> Tensor:
    return mish(group_norm(layers[1], convolution(layers[0], values)))


def residual(film: Any, values: Tensor, condition: Tensor) -> Tensor:
    """FiLM (Perez et al., 2018) between two blocks: scales in the first half of the condition's image, then shifts."""
    inner = block(film.first, values)
    image = linear(film.modulate[1], mish(condition))
    half = len(image) // 2
    inner = image[:half, :, None] * inner + image[half:, :, None]
    skip = values if len(values) == half else convolution(film.skip, values)
    return block(film.second, inner) + skip


def unet(network: UNetDenoiser, noised: Tensor, step: Tensor, memory: Tensor, size: int) -> Tensor:
    """Down: two residual blocks, then half of the steps except at the last level; two in the middle; up: the level's
    output beside what comes from below, two blocks, then twice the steps. Its first level has no way up.
    """
    half = size // 2
    rates = [math.exp(-math.log(10_000) * k / (half - 1)) for k in range(half)]
    angles = [[float(s) * rate for rate in rates] for s in step]
    waves = torch.tensor([[math.sin(a) for a in row] + [math.cos(a) for a in row] for row in angles]).T
    told = linear(network.step[2], mish(linear(network.step[0], waves)))
    condition = torch.cat([told, memory.reshape(len(memory), -1).T])
    values, kept = noised.permute(2, 0, 1), []
    for number, level in enumerate(network.down):
        values = residual(level.second, residual(level.first, values, condition), condition)
        kept.append(values)
        if number < len(network.down) - 1:
            values = convolution(level.resize, values, stride=2)
    for film in network.middle:
        values = residual(film, values, condition)
    for number, level in enumerate(network.up):
        values = torch.cat([values, kept[len(kept) - 1 - number]])
        values = doubled(level.resize, residual(level.second, residual(level.first, values, condition), condition))
    values = block(network.out[0], values)
    return convolution(network.out[1], values).permute(1, 2, 0)


def test_dp3s_unet_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    small = config("dp3", chunk=8, execute=4, channels=(16, 32, 48), groups=8)
    network = UNetDenoiser(small, 3, condition=2 * 5)
    shaken(network)
    noised, step, memory = torch.randn(2, 8, 3), torch.tensor([0, 17]), torch.randn(2, 2, 5)
    agree(
        network,
        lambda: network(noised, step, memory),
        lambda _: unet(network, noised, step, memory, small.step_embedding),
        monkeypatch,
    )
