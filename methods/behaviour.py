"""What a method computes, as a few numbers: features, tokens, gradients and moved statistics on fixed inputs.

Weights are drawn with a seed and then shaken, because a fresh network hides much: its biases are zero, its norms are
one, and its features of different inputs are all but parallel. Numbers hang on no name and no file, so a module may be
renamed and code may be moved; they change with a normalisation, a crop, an epsilon, a pooling, a detached or frozen
layer, and with how weights are drawn.

A tower of many equal blocks is cut to its first two before it is run: the code is the same, and a billion parameters
take seconds. Their count is of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation, has_tokens
from methods.frozen import count_parameters
from methods.verify import golden_inputs

TOLERANCE = 1e-3
"""Relative to a block's largest value: another CPU or torch version departs by less, a changed epsilon by more."""
ROUNDING = 1e-5
"""Of a feature's largest value: what differs between samples is compared no finer than float32 gives it."""
APART = ", apart"
COARSE = {"gradient": 1e-2, "trained": 3e-2, "trained" + APART: 5e-2}
"""A maximum between two all but equal points passes its whole gradient to one of them; BatchNorm over four samples that
are all but equal blows a rounding up to half a percent (PointNet++, one thread against two, without oneDNN)."""
SMALL = 30_000_000
"""Parameters up to which four samples and small weights are affordable; others get two samples, shaken weights only."""
BLOCKS = 4
"""A longer row of equal modules is cut to two."""
DRAWN = 4096
"""Of each parameter, as many entries as are looked at before it is shaken."""
WAYS = 4
PADDED = 100
FACTS = ("observes", "input", "training", "batch", "past_actions", "head")
GOLDEN = 0.6180339887498949


def behaviour(kind: type[Representation], specs: Mapping[str, FieldSpec], options: Mapping[str, str]) -> dict[str, Any]:
    """Plain data: `facts` that are compared exactly, `blocks` of numbers that are compared by `TOLERANCE`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        representation = kind(specs, **options)
        inputs = scattered(specs, 4 if count_parameters(representation) <= SMALL else 2)
        representation.fit(inputs)
        representation.freeze_as_card_says()
        return _measured(representation, inputs)


def scattered(specs: Mapping[str, FieldSpec], samples: int) -> dict[str, Tensor]:
    """Golden inputs whose points lie on no lattice, and whose clouds differ in how many rows are padding.

    On a lattice many distances are equal but for rounding, so that which neighbour is nearest would be chance.
    """
    inputs = golden_inputs(specs, samples)
    if "points" in inputs:
        phase = np.arange(inputs["points"].numel(), dtype=np.float64).reshape(inputs["points"].shape)
        jitter = np.sin(12.9898 * phase + 1) * 43758.5453 % 1.0
        inputs["points"] = inputs["points"] + torch.from_numpy((0.2 * jitter).astype(np.float32))
    if "points_valid" in inputs:
        for sample in range(samples):
            inputs["points_valid"][sample, inputs["points_valid"].shape[1] - sample * PADDED :] = False
    return inputs


def _measured(representation: Representation, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    card = representation.card
    facts = {
        "parameters": count_parameters(representation),
        "trained": count_parameters(representation, trained_only=True),
        "feature_dim": representation.feature_dim,
        "token_dim": representation.token_dim,
        "epsilons": sorted({float(m.eps) for m in representation.modules() if hasattr(m, "eps")}),  # type: ignore[arg-type]
        **{name: card.as_dict()[name] for name in FACTS},
    }
    blocks = {"drawn": [_norm([t.flatten()[:DRAWN] for t in group]) for group in _groups(representation)]}
    shorten(representation)
    shake(representation)
    representation.eval()
    with torch.set_grad_enabled(card.training != "frozen"):
        feature = _seeded(representation, inputs)
    blocks |= _projected("feature", feature.detach())
    if has_tokens(type(representation)):
        with torch.no_grad():
            torch.manual_seed(1)
            blocks |= _projected("tokens", representation.encode_tokens(inputs))
    if card.training != "frozen":
        blocks |= _trained(representation, feature, inputs, facts)
    if facts["parameters"] <= SMALL:
        faint(representation)
        representation.eval()
        with torch.no_grad():
            blocks["faint"] = _projected("faint", _seeded(representation, inputs))["faint"]
    return {"facts": facts, "blocks": {name: [_rounded(v) for v in block] for name, block in blocks.items()}}


def _seeded(representation: Representation, inputs: Mapping[str, Tensor]) -> Tensor:
    torch.manual_seed(1)
    return representation.encode(inputs)


def _trained(
    representation: Representation, feature: Tensor, inputs: Mapping[str, Tensor], facts: dict[str, Any]
) -> dict[str, Any]:
    """Gradients; then of a step in training mode the feature, the statistics it moved and what got no gradient.

    Gradients are those of `feature`, in eval mode: over a few samples, BatchNorm's own blow a rounding up to a percent.
    """
    blocks = {}
    if _backward(feature):
        blocks["gradient"] = [_norm([p.grad for p in g if p.grad is not None]) for g in _groups(representation)]
    representation.zero_grad(set_to_none=True)
    representation.train()
    feature = _seeded(representation, inputs)
    blocks |= _projected("trained", feature.detach())
    if _backward(feature):
        facts["without_gradient"] = sum(p.grad is None for p in representation.parameters())
    blocks["statistics"] = [
        float(buffer.double().abs().sum())
        for module in _norms(representation)
        for buffer in module.buffers()
        if buffer.is_floating_point()
    ]
    return blocks


def _backward(feature: Tensor) -> bool:
    """Gradients of a fixed combination of a feature's entries; False if nothing is trained."""
    if feature.requires_grad:
        (feature * formula(feature.shape)).sum().backward()
    return feature.requires_grad


def shorten(module: nn.Module) -> None:
    """Cut rows of more than `BLOCKS` equal modules to two."""
    for child in module.modules():
        if isinstance(child, nn.ModuleList | nn.Sequential) and len(child) > BLOCKS:
            kinds = {type(one) for one in child}
            if len(kinds) == 1 and not isinstance(child[0], nn.Linear):
                del child[2:]


def shake(module: nn.Module) -> None:
    """Give zero biases, unit norms and empty statistics values of their own. Large matrices are random already."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() <= 200_000:
                scale = max(0.1, float(parameter.abs().mean()))
                parameter.add_(0.3 * scale * formula(parameter.shape))
        for norm in _norms(module):
            if isinstance(norm.running_mean, Tensor) and isinstance(norm.running_var, Tensor):
                norm.running_mean.copy_(0.1 * formula(norm.running_mean.shape))
                norm.running_var.copy_(1 + 0.5 * formula(norm.running_var.shape))


def faint(module: nn.Module) -> None:
    """A tenth of every weight: variances are so small that a norm's epsilon counts."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.1)
        for norm in _norms(module):
            if isinstance(norm.running_var, Tensor):
                norm.running_var.copy_(1e-4 * (1 + 0.5 * formula(norm.running_var.shape)))


def formula(shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Numbers in -1..1 (shape) float32, the same on every machine."""
    phase = torch.arange(int(np.prod(shape)), dtype=torch.float64)
    return (2 * ((phase + 1) * GOLDEN % 1.0) - 1).float().reshape(tuple(shape))


def _norms(module: nn.Module) -> Iterator[Any]:
    return (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


def _groups(module: nn.Module) -> list[list[Tensor]]:
    """Parameters of each part of a network, in their order: parts of the first level that has more than one."""
    own = list(module.parameters(recurse=False))
    parts = [child for child in module.children() if list(child.parameters())]
    if not own and len(parts) == 1:
        return _groups(parts[0])
    return [list(group) for group in (own, *(part.parameters() for part in parts)) if group]


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([t.detach().double().norm() for t in tensors]).norm()) if tensors else 0.0


def _projected(name: str, feature: Tensor) -> dict[str, list[float]]:
    """Fixed combinations of a feature's entries, and of what in it differs between samples."""
    flat = feature.double().flatten(1)
    ways = formula((WAYS, flat.shape[1])).double() / max(1, flat.shape[1]) ** 0.5
    apart = flat - flat.mean(0, keepdim=True)
    return {name: (flat @ ways.T).flatten().tolist(), name + APART: (apart @ ways.T).flatten().tolist()}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def departures(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What differs between two behaviours, in words; empty if they are the same."""
    found = [
        f"{name}: {here['facts'].get(name)} here, {there['facts'].get(name)} in the table"
        for name in sorted({*here["facts"], *there["facts"]})
        if here["facts"].get(name) != there["facts"].get(name)
    ]
    for name in sorted({*here["blocks"], *there["blocks"]}):
        a, b = np.array(here["blocks"].get(name, [])), np.array(there["blocks"].get(name, []))
        if a.shape != b.shape:
            found.append(f"{name}: {a.size} numbers here, {b.size} in the table")
        elif a.size:
            scale = max(np.abs(a).max(), np.abs(b).max())
            least = ROUNDING * np.abs(there["blocks"][name.removesuffix(APART)]).max() if name.endswith(APART) else 0.0
            gap = np.abs(a - b).max()
            if not gap <= max(COARSE.get(name, TOLERANCE) * scale, least):
                found.append(f"{name} departs by {gap / scale:.1e} of its largest value")
    return found
