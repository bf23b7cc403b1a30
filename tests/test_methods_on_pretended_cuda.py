"""Every method under every head on a pretended CUDA device: features, a step, validation, checkpoint, resume, rollout.

The networks are the shipped classes with fewer layers: which tensor is on which device does not depend on how many.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import baselines.lift3d
import benchmark.policy.act
from baselines import BASELINES
from baselines.clip import CLIP, CLIPViTB16
from baselines.pointnet2 import PointNet2
from baselines.r3m import R3M
from baselines.spa import SPA
from baselines.vc1 import VC1
from benchmark.data.features import encode_rows
from benchmark.data.residence import Residence
from benchmark.data.samples import Samples
from benchmark.encoders.specs import encoder_specs
from benchmark.policy.act import act
from benchmark.policy.build import make_policy
from benchmark.policy.episode_memory import Memory
from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.load import choices, load_head, load_protocol
from benchmark.training.harness import small
from benchmark.training.trainer import Trainer
from methods import METHODS
from methods.base import Representation, has_tokens
from methods.clamp.encoder import PAPER
from methods.clamp.encoder import SMALL as SMALL_CLAMP
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.clar.representation import CLAR, SMALL
from methods.frozen import fingerprint
from methods.networks.clip import CLIPConfig
from methods.networks.vit import ViTConfig
from methods.policy import Policy
from methods.registry import method_class
from methods.testing import random_observations
from tests.methods.test_contract import TINY_VGGT
from tests.pretend_cuda import pretend_cuda

GPU = torch.device("cuda")
EPISODE, ROWS, ACTION = 2, 3, 4
"""Frames that are trained on; these and one that is held out; numbers of an action."""
POINTS = 32
ALIKE = {"clar-small": "clar", "dp3-policy": "dp3", "vc1-vitl": "vc1", "spa-vitl": "spa", "clip-vitb16": "clip"}
ALIKE |= {"r3m-resnet18": "r3m", "r3m-resnet50": "r3m"}
"""Methods that are another's class with other sizes, or another head on their card."""
HUB = {name for name, target in BASELINES.items() if target.startswith("baselines.hub")}
"""Of packages that need not be installed; tests/methods/test_hub_timm.py and test_hub_hf.py have small ones."""


def few_steps(head: HeadConfig | DiffusionConfig) -> Any:
    found = small(head)
    if isinstance(found, HeadConfig):
        return found
    return dataclasses.replace(found, sample_steps=2, decoder_layers=1, encoder_layers=1, channels=(16,), pad_after=-1)


HEADS = {name: few_steps(load_head(name)) for name in choices("head")}
ONCE = {"diffusion-50"}
"""Heads with the classes of others, a transformer that predicts actions: under `state` alone."""
TOKENS = dataclasses.replace(HEADS["diffusion"], condition="tokens", sampler="ddpm")


def method_names() -> list[str]:
    found = {method_class(name).card.name for name in {**METHODS, **BASELINES} if name not in HUB}
    return sorted((found - set(ALIKE) - {"vggt"}) | {TINY_VGGT})


@pytest.fixture(autouse=True)
def _few_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (VC1, SPA):
        monkeypatch.setattr(kind, "config", ViTConfig(size=224, patch=16, width=64, depth=1, heads=2))
    for kind in (CLIP, CLIPViTB16):
        monkeypatch.setattr(kind, "config", CLIPConfig(patch=32, width=64, depth=1))
    monkeypatch.setattr(R3M, "depth", 18)
    monkeypatch.setattr(benchmark.policy.act, "CUDA_ROWS", 2)
    monkeypatch.setattr(baselines.lift3d, "DEPTH", 1)
    monkeypatch.setattr(CLAMP, "config", dataclasses.replace(PAPER, depth=1, views=1))
    monkeypatch.setattr(CLAMPSmall, "config", dataclasses.replace(SMALL_CLAMP, depth=1, views=1))
    monkeypatch.setattr(CLAR, "config", dataclasses.replace(SMALL, depth=2, drop_path=0.1))


def built(name: str) -> tuple[Representation, dict[str, Tensor]]:
    """A method and `ROWS` frames of what it observes, both on the CPU."""
    kind = method_class(name)
    specs = dict(encoder_specs(kind.card))
    sizes = {"points": POINTS, "points_valid": POINTS, "views": 1, "views_valid": 1}
    for field in sizes.keys() & specs.keys():
        specs[field] = dataclasses.replace(specs[field], shape=(sizes[field], *specs[field].shape[1:]))
    torch.manual_seed(0)
    representation = kind(specs, **({"map": "8"} if name == TINY_VGGT else {}))
    if isinstance(representation, PointNet2):
        representation.first.centers, representation.second.centers = 16, 8
    return representation, random_observations(specs, ROWS)


def learned_from(policy: Policy, fields: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `benchmark.experiment.prepare` makes of the frames: features, or the frames themselves."""
    residence = Residence(1e9, GPU)
    arrays = {name: value.numpy() for name, value in fields.items()}
    if policy.representation is None or policy.representation.frozen_part is None:
        return residence.place(arrays)
    feature = encode_rows(policy, arrays, slice(0, ROWS), GPU, bf16=False)
    return {**residence.place({"proprio": arrays["proprio"]}), "feature": residence.hold(feature)}


def lived(policy: Policy, inputs: dict[str, Tensor], fields: dict[str, Tensor], file: Path, bf16: bool) -> None:
    """Fit, an epoch of one step, hold out, save, act; another step, back to the file, and act once more."""
    assert policy.representation is not None
    frozen = policy.representation.card.frozen
    before = fingerprint(policy.representation) if frozen else ""
    actions = torch.rand(ROWS, ACTION).to(GPU)
    train, valid = (
        Samples({name: values[rows] for name, values in inputs.items()}, actions[rows])
        for rows in (slice(0, EPISODE), slice(EPISODE, None))
    )
    policy.fit(train.actions, train.inputs["proprio"])
    protocol = dataclasses.replace(load_protocol("clar"), epochs=2, evaluate_every=1)
    trainer = Trainer(policy, protocol, 0, EPISODE, GPU, bf16)
    trainer.train_epoch(train)
    held_out = trainer.validate(valid)
    trainer.save(file, "mine")
    with trainer.optimization.averaged():
        played = acted(policy, fields, bf16)
    assert played.shape == (2, ACTION) and np.isfinite(played).all()
    trainer.train_epoch(train)
    trainer.restore(file, "mine")
    assert trainer.epoch == 1 and trainer.validate(valid) == held_out
    if trainer.optimization.ema is not None:  # with the average that the file has
        with trainer.optimization.averaged():
            assert np.array_equal(acted(policy, fields, bf16), played)
    assert not frozen or fingerprint(policy.representation) == before
    assert {value.device.type for value in policy.state_dict().values()} == {"cuda"}


def acted(policy: Policy, fields: dict[str, Tensor], bf16: bool) -> np.ndarray:
    """The first actions of two episodes."""
    policy.eval()
    now = {name: value[:2].numpy() for name, value in fields.items() if name != "past_actions"}
    return act(policy, now, [Memory(7), Memory(8)], GPU, bf16)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, id=name.rpartition(":")[2]) for name in method_names()])
def test_a_method_under_every_head(name: str, tmp_path: Path) -> None:
    heads = {label: head for label, head in HEADS.items() if label not in ONCE or name == "state"}
    if has_tokens(method_class(name)):
        heads["tokens"] = TOKENS
    with pretend_cuda() as seen:
        representation, fields = built(name)
        ready: dict[str, dict[str, Tensor]] = {}
        for number, (label, head) in enumerate(heads.items()):
            own = representation if representation.card.frozen else copy.deepcopy(representation)
            policy = make_policy(head, own, fields["proprio"].shape[1], ACTION).to(GPU)
            if number == 0 or own is not representation:
                own.fit(fields)
                own.freeze_as_card_says()
            kind = "tokens" if label == "tokens" else "pooled"
            if kind not in ready or not own.card.frozen:
                ready[kind] = learned_from(policy, fields)
            lived(policy, ready[kind], fields, tmp_path / "epoch.pt", bf16=number == 1)
    assert not seen.notes
    steps = seen.launches["_fused_adam_"] + seen.launches["_fused_adamw_"]
    assert steps >= 2 * len(heads)


def test_the_others_are_the_same_classes() -> None:
    for name, of in ALIKE.items():
        assert issubclass(method_class(name), method_class(of))
