"""An encoder's certificate: what it is, what it gives on fixed inputs, and which rules it keeps.

Two machines that print the same certificate compute the same thing. The inputs are drawn from a formula, not stored:
frames of smooth gradients and edges, clouds on a table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput, MethodCard
from methods.frozen import count_parameters, fingerprint

SAMPLES = 8
SHOWN = 16
GOLDEN = 0.6180339887498949
TOLERANCE = 1e-4
"""Relative difference of features that counts as the same; float32 sums in another order differ by 1e-6."""


@dataclasses.dataclass(frozen=True)
class Check:
    """verdict: `ok`, `fail`, or `-` where the rule does not apply."""

    name: str
    verdict: str
    detail: str


def golden_inputs(specs: Mapping[str, FieldSpec], samples: int = SAMPLES) -> dict[str, Tensor]:
    """Fixed observations (samples, ...) for any specs; the same on every machine."""
    made: dict[str, Tensor] = {}
    for name, spec in specs.items():
        shape = (samples, *spec.shape)
        phase = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        if spec.dtype == "bool":
            value = np.ones(shape, bool)
        elif spec.dtype == "uint8":
            value = _frames(shape) if len(shape) == 5 else np.floor(256 * (phase * GOLDEN % 1.0)).astype(np.uint8)
        else:  # low-discrepancy coordinates in a box of a metre
            value = ((phase * GOLDEN) % 1.0).astype(np.float32)
            if spec.shape[-1:] == (3,) and len(spec.shape) == 2:
                value = value * np.array([1.2, 0.6, 0.4], np.float32) + np.array([-0.6, 0.3, 0.0], np.float32)
        made[name] = torch.from_numpy(value)
    return made


def _frames(shape: tuple[int, ...]) -> np.ndarray:
    """(S, V, H, W, 3): gradients whose direction and colour change with the sample, with a dark square on them."""
    samples, views, height, width, _ = shape
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    frames = np.empty(shape, np.uint8)
    for sample in range(samples):
        for view in range(views):
            for channel in range(3):
                wave = np.cos(6.0 * (sample + 1) * (rows * (channel + 1) + columns * (view + 1)) / samples)
                frames[sample, view, :, :, channel] = np.floor(127.5 + 127 * wave)
            top = height // 4 + 8 * sample
            frames[sample, view, top : top + height // 5, width // 3 : width // 2] = 16
    return frames


def certificate(representation: Representation, specs: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """Plain data for a small JSON file. Normalisers are fitted on the golden inputs."""
    card: MethodCard = representation.card
    inputs = golden_inputs(specs)
    representation.fit(inputs)
    representation.freeze_as_card_says()
    parameters = count_parameters(representation)
    representation.eval()
    with torch.no_grad():
        features = representation.encode(inputs)
    checks = [
        _parameter_count(card, parameters),
        _finite(features, representation.feature_dim),
        _deterministic(representation, inputs, features),
        _independent(representation, inputs, features),
        _frozen(representation, inputs),
        _pixel_range(representation, inputs, features),
    ]
    return {
        "method": card.name,
        "parameters": parameters,
        "parameters_trained": count_parameters(representation, trained_only=True),
        "feature_dim": representation.feature_dim,
        "weights_fingerprint": fingerprint(representation),
        "features": {
            "first": [round(float(v), 6) for v in features[0, :SHOWN]],
            "mean": round(float(features.mean()), 6) if features.numel() else 0.0,
            "norms": [round(float(v), 5) for v in features.norm(dim=1)],
        },
        "checks": [dataclasses.asdict(check) for check in checks],
        "passed": all(check.verdict != "fail" for check in checks),
        "torch": torch.__version__,
        "device": str(features.device),
    }


def compare(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between two certificates of one method, in words; empty if they agree."""
    found = [
        f"{key}: {mine[key]} here, {theirs[key]} there"
        for key in ("method", "parameters", "feature_dim")
        if mine[key] != theirs[key]
    ]
    if found:
        return found
    for key in ("first", "norms"):
        a, b = np.array(mine["features"][key]), np.array(theirs["features"][key])
        if a.shape != b.shape:
            return [f"features: {a.size} numbers here, {b.size} there ({key})"]
        worst = float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)) if a.size else 0.0
        if not worst <= TOLERANCE:
            same = mine["weights_fingerprint"] == theirs["weights_fingerprint"]
            cause = (
                f"with equal weights (torch {mine['torch']} here, {theirs['torch']} there)"
                if same
                else "and so do the weights"
            )
            return [f"features differ by {worst:.1e} relative ({key}), {cause}"]
    return []


def _parameter_count(card: MethodCard, parameters: int) -> Check:
    if card.parameters is None:
        return Check("parameters", "-", f"{parameters:,}; {card.parameters_source}")
    verdict = "ok" if parameters == card.parameters else "fail"
    return Check("parameters", verdict, f"{parameters:,}, published {card.parameters:,} ({card.parameters_source})")


def _finite(features: Tensor, width: int) -> Check:
    good = features.shape == (SAMPLES, width) and features.dtype == torch.float32 and bool(features.isfinite().all())
    return Check("feature", "ok" if good else "fail", f"{tuple(features.shape)} {features.dtype}".replace("torch.", ""))


def _deterministic(representation: Representation, inputs: Mapping[str, Tensor], features: Tensor) -> Check:
    with torch.no_grad():
        same = torch.equal(representation.encode(inputs), features)
    return Check("deterministic", "ok" if same else "fail", "the same bits twice" if same else "differs between calls")


def _independent(representation: Representation, inputs: Mapping[str, Tensor], features: Tensor) -> Check:
    """A batch of one is the same as a batch of eight."""
    if not features.numel():
        return Check("batch independent", "-", "no features")
    with torch.no_grad():
        single = torch.cat(
            [representation.encode({n: v[i : i + 1] for n, v in inputs.items()}) for i in range(SAMPLES)]
        )
    worst = float((single - features).abs().max() / features.abs().max().clamp(min=1e-12))
    return Check(
        "batch independent", "ok" if worst < TOLERANCE else "fail", f"1 against {SAMPLES}: {worst:.0e} relative"
    )


def _frozen(representation: Representation, inputs: Mapping[str, Tensor]) -> Check:
    """In training mode, a forward pass moves nothing of the frozen part."""
    part = representation.frozen_part
    if part is None:
        trained = count_parameters(representation, trained_only=True)
        return Check("frozen", "-", f"{trained:,} parameters are trained")
    before = fingerprint(part)
    representation.train()
    representation.encode({name: value[:2] for name, value in inputs.items()})
    representation.eval()
    asked = sum(p.numel() for p in part.parameters() if p.requires_grad)
    if asked or fingerprint(part) != before:
        return Check("frozen", "fail", f"{asked:,} parameters ask for gradients; statistics or weights moved")
    return Check("frozen", "ok", "parameters and buffers unchanged by a training-mode pass")


def _pixel_range(representation: Representation, inputs: Mapping[str, Tensor], features: Tensor) -> Check:
    """Constant images of 0, 128 and 255 are three different things to the network."""
    if not isinstance(representation.card.input, ImageInput):
        return Check("pixel range", "-", "no pixels")
    answers = []
    with torch.no_grad():
        for value in (0, 128, 255):
            flat = {n: torch.full_like(v[:1], value) if n == "rgb" else v[:1] for n, v in inputs.items()}
            answers.append(representation.encode(flat))
    # an untrained network's features may be all but parallel: then what counts is how far its images lie apart
    scale = min(float(features.abs().max()), 10 * float((features - features.mean(0)).abs().max()))
    gaps = [float((a - b).abs().max()) / scale for a, b in ((answers[0], answers[1]), (answers[1], answers[2]))]
    return Check(
        "pixel range", "ok" if min(gaps) > 1e-3 else "fail", f"0, 128, 255 differ by {gaps[0]:.2g}, {gaps[1]:.2g}"
    )
