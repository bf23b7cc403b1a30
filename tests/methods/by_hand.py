"""Layers written out from their formulas, for references: no `torch.nn`, channels first, one column for each row.

A value is (C, ...): what a network here has in its last axis stands in the first, and everything else is a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

EPSILON, MOMENTUM = 1e-5, 0.1


class Run:
    """One pass of a reference. training: which statistics a BatchNorm takes; kept: of each dropout, in order, which
    entries (C, ...) it let through; starts: drawn first points of farthest-point sampling, (B,) for each level.
    """

    def __init__(self, training: bool, kept: Sequence[Tensor] = (), starts: Sequence[Tensor] = ()) -> None:
        self.training, self.kept, self.starts = training, list(kept), list(starts)
        self.moved: list[tuple[nn.Module, Tensor, Tensor]] = []

    def batch_norm(self, norm: Any, values: Tensor) -> Tensor:
        """Over all columns. In training it keeps the mean and the unbiased variance that move the statistics."""
        flat = values.reshape(len(values), -1)
        count = flat.shape[1]
        mean, variance = norm.running_mean, norm.running_var
        if self.training:
            mean = flat.sum(1) / count
            variance = ((flat - mean[:, None]) ** 2).sum(1) / count
            self.moved.append((norm, mean.detach(), variance.detach() * count / (count - 1)))
        scaled = (flat - mean[:, None]) / (variance[:, None] + EPSILON) ** 0.5
        return (norm.weight[:, None] * scaled + norm.bias[:, None]).reshape(values.shape)

    def dropout(self, values: Tensor, share: float) -> Tensor:
        return values * self.kept.pop(0) / (1 - share) if self.training else values


def linear(layer: Any, values: Tensor) -> Tensor:
    """A layer's matrix, or a convolution over single points, times every column."""
    matrix = layer.weight.reshape(len(layer.weight), -1)
    out = matrix @ values.reshape(len(values), -1)
    if layer.bias is not None:
        out = out + layer.bias[:, None]
    return out.reshape(len(matrix), *values.shape[1:])


def relu(values: Tensor) -> Tensor:
    return values * (values > 0)


def mish(values: Tensor) -> Tensor:
    return values * torch.tanh(torch.log(1 + torch.exp(values)))


def layer_norm(norm: Any, values: Tensor) -> Tensor:
    """Over the channels of each column."""
    mean = sum(values[i] for i in range(len(values))) / len(values)
    variance = sum((values[i] - mean) ** 2 for i in range(len(values))) / len(values)
    shape = (-1, *[1] * (values.dim() - 1))
    return norm.weight.view(shape) * (values - mean) / (variance + EPSILON) ** 0.5 + norm.bias.view(shape)


def group_norm(norm: Any, values: Tensor) -> Tensor:
    """(C, B, ...): over the channels of a group and everything of one sample."""
    size = len(values) // norm.num_groups
    found = []
    for first in range(0, len(values), size):
        group = values[first : first + size]
        samples = []
        for sample in group.unbind(1):
            mean = sample.sum() / sample.numel()
            variance = ((sample - mean) ** 2).sum() / sample.numel()
            samples.append((sample - mean) / (variance + EPSILON) ** 0.5)
        found.append(torch.stack(samples, 1))
    shape = (-1, *[1] * (values.dim() - 1))
    return norm.weight.view(shape) * torch.cat(found) + norm.bias.view(shape)


def largest(columns: Sequence[Tensor]) -> Tensor:
    best = columns[0]
    for other in columns[1:]:
        best = torch.where(other > best, other, best)
    return best


def farthest(points: Tensor, count: int, start: int) -> list[int]:
    """(N, 3): each next point is the one whose nearest chosen point is farthest."""
    chosen = [start]
    while len(chosen) < count:
        gaps = [min(float(((p - points[i]) ** 2).sum()) for i in chosen) for p in points]
        chosen.append(gaps.index(max(gaps)))
    return chosen


def ball(points: Tensor, center: Tensor, radius: float, count: int) -> list[int]:
    """The first `count` points within the radius, filled up with the first of them."""
    inside = [j for j, p in enumerate(points) if float(((p - center) ** 2).sum()) <= radius**2][:count]
    return inside + inside[:1] * (count - len(inside))


class Given(nn.Module):
    """In place of a method's preprocessing, which gives float32: the points as they are."""

    def forward(self, points: Tensor, valid: Tensor) -> Tensor:
        return points


@contextmanager
def recorded(module: nn.Module, patch: pytest.MonkeyPatch) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Inside: of each dropout what it let through, channels first, and every draw of `torch.randint`."""
    kept: list[Tensor] = []
    draws: list[Tensor] = []
    real = torch.randint

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept.append(((output != 0) | (inputs[0] == 0)).to(output.dtype).movedim(-1, 0))

    def draw(*arguments: Any, **named: Any) -> Tensor:
        draws.append(real(*arguments, **named))
        return draws[-1]

    handles = [m.register_forward_hook(keep) for m in module.modules() if isinstance(m, nn.Dropout)]
    with patch.context() as inside:
        inside.setattr(torch, "randint", draw)
        yield kept, draws
    for handle in handles:
        handle.remove()


def shaken(module: nn.Module) -> None:
    """Biases, norms and statistics something that matters, at every width's own scale."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and value.dim() == 1:
                noise = torch.rand(value.shape, generator=generator, dtype=value.dtype)
                value.copy_(0.5 + noise if "var" in name else value + 0.3 * (noise - 0.5))


def agree(
    module: nn.Module, ours: Callable[[], Tensor], theirs: Callable[[Run], Tensor], patch: pytest.MonkeyPatch
) -> None:
    """Value, gradient of every parameter and moved statistics, in evaluation and in training mode, to 1e-8."""
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    for training in (False, True):
        module.train(training)
        before = {name: value.clone() for name, value in module.named_buffers()}
        with recorded(module, patch) as (kept, starts):
            value = ours()
        run = Run(training, kept, starts)
        expected = theirs(run)
        assert value.dtype == torch.float64
        torch.testing.assert_close(value, expected, rtol=1e-8, atol=1e-10)
        ways = torch.arange(value.numel(), dtype=value.dtype).view(value.shape).sin()
        found = torch.autograd.grad((value * ways).sum(), list(parameters.values()))
        wanted = torch.autograd.grad((expected * ways).sum(), list(parameters.values()))
        # a bias before BatchNorm has no gradient but roundings of the others'
        least = 1e-9 * max(float(one.abs().max()) for one in wanted)
        for name, one, other in zip(parameters, found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=least, msg=lambda m, n=name: f"{n}: {m}")
        assert not training or bool(run.moved) == any(isinstance(m, nn.BatchNorm1d) for m in module.modules())
        names = {id(m): name for name, m in module.named_modules()}
        for norm, mean, variance in run.moved:
            for kind, now in (("running_mean", mean), ("running_var", variance)):
                old = before[f"{names[id(norm)]}.{kind}"]
                moved = (1 - MOMENTUM) * old + MOMENTUM * now
                torch.testing.assert_close(norm.get_buffer(kind), moved, rtol=1e-8, atol=1e-10)
        if not training:
            assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())
