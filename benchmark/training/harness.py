"""What this project does around a method, as far as numbers depend on it, and the version of it.

    python -m benchmark.training.harness    # write the certificate anew, after `HARNESS` was raised

A head's loss, the optimiser, the order of samples, the plan of a chunk: none of it is in a method's card, and all of it
is in every number. `benchmark.settings.harness_version.HARNESS` is part of a record's identity; the certificate (losses
and actions of small policies from fixed data and seeds) says when it has to be raised. A head whose own settings are
others than the certificate's has other names for its numbers by that alone, so its figures may change without a new
version.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.data.samples import Samples
from benchmark.policy.act import act
from benchmark.policy.build import make_policy
from benchmark.policy.episode_memory import Memory
from benchmark.settings.harness_version import HARNESS
from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.load import choices, load_head, load_protocol
from benchmark.system.files import write_json
from benchmark.system.progress import say
from benchmark.training.trainer import Trainer
from envs.identity import named_by
from envs.spec import FieldSpec
from methods.controls import State

CERTIFICATE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "harness.json"
TOLERANCE = 2e-3
"""Relative to the largest of a row of figures: sums in another order differ by 1e-5 after these few steps."""
EPISODES, STEPS, ACTION = 3, 16, 4


def small(head: HeadConfig | DiffusionConfig) -> HeadConfig | DiffusionConfig:
    """A head of the same kind that is trained in a second."""
    if isinstance(head, HeadConfig):
        return head
    return dataclasses.replace(
        head,
        width=32,
        heads=2,
        encoder_layers=1,
        decoder_layers=2,
        channels=tuple(16 for _ in head.channels),
        step_embedding=16,
        groups=4,
        warmup_steps=2,
    )


def certify() -> dict[str, Any]:
    """`version`; for every head its settings, and the figures of a small policy: losses of two epochs, held-out loss,
    actions.
    """
    heads = {name: load_head(name) for name in choices("head")}
    return {
        "version": HARNESS,
        "settings": {name: json.loads(json.dumps(named_by(head))) for name, head in heads.items()},
        "heads": {name: _figures(small(head)) for name, head in heads.items()},
    }


def renamed(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """Heads whose settings are not those of the other certificate."""
    both = {**here["settings"], **there["settings"]}
    return sorted(name for name in both if here["settings"].get(name) != there["settings"].get(name))


def departures(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What differs between two certificates in figures that must not, in words."""
    found: list[str] = []
    for name in sorted((set(here["heads"]) & set(there["heads"])) - set(renamed(here, there))):
        for what, figures in here["heads"][name].items():
            a, b = np.array(figures), np.array(there["heads"][name][what])
            worst = float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)) if a.shape == b.shape else np.inf
            if not worst <= TOLERANCE:
                found.append(f"{what} of head {name} by {worst:.1e}")
    return found


def _figures(head: HeadConfig | DiffusionConfig) -> dict[str, list[float]]:
    specs = {
        "ground_truth": FieldSpec("ground_truth", (6,), "float32", "m"),
        "proprio": FieldSpec("proprio", (3,), "float32", "m"),
    }
    fields = {name: _numbers(i + 1, EPISODES * STEPS, *spec.shape) for i, (name, spec) in enumerate(specs.items())}
    actions = torch.tanh(3 * fields["ground_truth"][:, :ACTION]) * 2
    torch.manual_seed(0)
    representation = State(specs)
    policy = make_policy(head, representation, 3, ACTION)
    representation.fit(fields)
    representation.freeze_as_card_says()
    rows = slice(0, 2 * STEPS), slice(2 * STEPS, None)
    with torch.inference_mode():
        seen = {"feature": policy.encode_frozen(fields).clone(), "proprio": fields["proprio"]}
    train, valid = (Samples({n: v[part] for n, v in seen.items()}, actions[part], STEPS) for part in rows)
    policy.fit(train.actions, train.inputs["proprio"])
    protocol = dataclasses.replace(load_protocol("clar"), epochs=2, evaluate_every=1)
    trainer = Trainer(policy, protocol, 0, 8, torch.device("cpu"), bf16=False)
    losses = [trainer.train_epoch(train) for _ in range(2)]
    held_out = trainer.validate(valid)
    assert held_out is not None
    played: list[float] = []
    with trainer.optimization.averaged():
        policy.eval()
        memories = [Memory(seed) for seed in (11, 12)]
        for step in range(3):
            now = {name: value[[step, STEPS + step]].numpy() for name, value in fields.items()}
            chosen = act(policy, now, memories, torch.device("cpu"), bf16=False)
            for memory, action in zip(memories, chosen, strict=True):
                memory.actions.append(action)
            played += chosen.ravel().tolist()
    return {
        name: [float(f"{v:.6g}") for v in row]
        for name, row in (("losses", losses), ("held-out loss", [held_out]), ("actions", played))
    }


def _numbers(start: int, *shape: int) -> torch.Tensor:
    """Low-discrepancy numbers in -1..1, the same on every machine."""
    phase = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) * 0.6180339887498949 + start * 0.3
    return torch.from_numpy((phase % 1.0 * 2 - 1).astype(np.float32))


def main(_: Sequence[str]) -> int:
    here = certify()
    there = json.loads(CERTIFICATE.read_text()) if CERTIFICATE.exists() else None
    if there is not None and here["version"] <= there["version"]:
        found = departures(here, there)
        if found:
            say(f"version {here['version']} computes something else ({'; '.join(found)}): raise HARNESS first")
            return 1
        others = renamed(here, there)
        if not others:
            return 0
        kept = {name: figures for name, figures in there["heads"].items() if name not in others}
        here["heads"] |= kept  # to the last digit
    write_json(CERTIFICATE, here)
    say(f"version {here['version']} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
