"""The shipped heads compute what they computed before policies had a contract: initial weights, losses, plans, keys.

The literals were written down at b4aac20 with torch 2.13.0 on one CPU. There they hold to the last bit, on others
to what rounding makes in three steps.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.samples import Samples
from benchmark.policy.act import act
from benchmark.policy.build import make_policy
from benchmark.policy.episode_memory import Memory
from benchmark.settings.load import load_head, load_protocol
from benchmark.system.provenance import describe_machine
from benchmark.training.trainer import Trainer
from envs.registry import env_class
from envs.spec import ObservationRequest
from methods.registry import method_class

CPU = torch.device("cpu")
SMALL = {
    "width": 32,
    "heads": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "channels": (16, 32),
    "groups": 4,
    "step_embedding": 16,
    "chunk": 8,
    "execute": 3,
    "train_steps": 20,
    "sample_steps": 5,
    "warmup_steps": 2,
}
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": ("mlp", {}),
    "bnmlp": ("bnmlp", {}),
    "transformer": ("diffusion", SMALL),
    "dp3": ("dp3", SMALL | {"lead": 1, "pad_after": 2}),
}
MADE_ON = {"torch": "2.13.0+cpu", "cpu": "Intel(R) Xeon(R) Processor", "python": "3.11.7"}
EXPECTED: dict[str, Any] = {
    "mlp": {
        "start": "f36c5d8a6a80f6fc",
        "losses": ["0x1.67ed833333333p-2", "0x1.ce3cfcccccccdp-4", "0x1.56b4666666666p-3", "0x1.6342440000000p-4"],
        "plan": "0x1.f7e895b000000p+3",
        "sent": "b77d14465ad7fb1b",
        "keys": "52cd8ef1954fde01",
    },
    "bnmlp": {
        "start": "d0c6629f649f03b1",
        "losses": ["0x1.7720480000000p-2", "0x1.dccd0cccccccdp-3", "0x1.fc18dcccccccdp-4", "0x1.ffa9ac0000000p-4"],
        "plan": "0x1.a80266a000000p+2",
        "sent": "be3d28f41a5562b8",
        "keys": "0ea0f72cd832b846",
    },
    "transformer": {
        "start": "5fc140fd5b541ded",
        "losses": ["0x1.01c8f66666666p+1", "0x1.e9f7266666666p+0", "0x1.c235a66666666p+0", "0x1.c6abc00000000p+0"],
        "plan": "0x1.6017678000000p+3",
        "sent": "e806b641e874dcaa",
        "keys": "11691f3ef3bd3d2d",
    },
    "dp3": {
        "start": "b71e26de58605e7c",
        "losses": ["0x1.7e04580000000p-1", "0x1.679fe80000000p-1", "0x1.3f07080000000p-1", "0x1.20d4ca0000000p-1"],
        "plan": "0x1.83f0158000000p+3",
        "sent": "da932ccbc70dea06",
        "keys": "6fe530fa64d1ec52",
    },
}


def figures(name: str) -> dict[str, Any]:
    head, changes = HEADS[name]
    config = dataclasses.replace(load_head(head), **changes)
    specs = env_class("metaworld").specs(ObservationRequest(("points", "points_valid"), ("corner",), num_points=64))
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "points": torch.rand(20, 64, 3, generator=generator),
        "points_valid": torch.ones(20, 64, dtype=torch.bool),
        "proprio": torch.rand(20, 2, generator=generator),
    }
    samples = Samples(inputs, torch.rand(20, 3, generator=generator), 10)
    torch.manual_seed(3)
    policy = make_policy(config, method_class("dp3")(specs), 2, 3)
    start = [round(float(p.detach().double().sum()), 9) for p in policy.parameters()]
    policy.representation.fit(inputs)
    policy.head.fit(samples.actions, inputs["proprio"])
    protocol = dataclasses.replace(load_protocol("clar"), epochs=3, evaluate_every=1)
    trainer = Trainer(policy, protocol, 5, 32, CPU, False)
    losses = [trainer.train_epoch(samples) for _ in range(3)]
    held_out = trainer.validate(samples)
    with trainer.optimization.averaged():
        policy.eval()
        memories = [Memory(seed) for seed in (1, 2)]
        sent = []
        for step in range(4):
            now = {key: value[[step, 10 + step]].numpy() for key, value in inputs.items()}
            sent.append(act(policy, now, memories, CPU, False))
            for memory, action in zip(memories, sent[-1], strict=True):
                memory.actions.append(action)
    groups = trainer.optimizer.state_dict()["param_groups"]
    keys = [*policy.trained_state(), *(f"{k}={v}" for g in groups for k, v in sorted(g.items())), *trainer.history[0]]
    return {
        "start": hashlib.sha256(repr(start).encode()).hexdigest()[:16],
        "losses": [loss.hex() for loss in (*losses, held_out)],  # type: ignore[union-attr]
        "plan": np.stack(sent).sum(dtype=np.float64).item().hex(),
        "sent": hashlib.sha256(np.stack(sent).tobytes()).hexdigest()[:16],
        "keys": hashlib.sha256(repr(keys).encode()).hexdigest()[:16],
    }


def here() -> dict[str, str]:
    return {"torch": torch.__version__, "cpu": describe_machine(CPU)["cpu"], "python": platform.python_version()}


@pytest.mark.parametrize("name", HEADS)
def test_a_shipped_head_computes_what_it_did(name: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = figures(name)
    finally:
        torch.set_num_threads(threads)
    if here() == MADE_ON:
        assert found == EXPECTED[name]
        return
    assert found["keys"] == EXPECTED[name]["keys"]
    for key in ("losses", "plan"):
        now, then = ([float.fromhex(v) for v in np.atleast_1d(of[key])] for of in (found, EXPECTED[name]))
        assert now == pytest.approx(then, rel=2e-3), key
