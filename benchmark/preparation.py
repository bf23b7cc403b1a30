"""A cell's policy, untrained, and the samples it learns from.

What is frozen is encoded once and kept (`benchmark.data.features`); what is trained gets the observations themselves.
Of a joint policy the tasks' samples follow each other and are shuffled together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark import seeds
from benchmark.cell import Cell, Paths
from benchmark.clock import Clock
from benchmark.data.features import FeatureCache, encode_rows, histories, mapped
from benchmark.data.observations import cache_key, load_or_render
from benchmark.language import Speaker
from benchmark.policy.policy import Policy, make_policy
from benchmark.probe import Built
from benchmark.stage import Stage
from benchmark.train import Joined, Samples
from methods.base import Representation
from methods.code import code_facts

LARGEST_RESIDENT = 2 * 2**30
"""Bytes of features that are held in memory."""


@dataclass(frozen=True)
class Prepared:
    policy: Policy
    train: Samples
    valid: Samples


def prepare(cell: Cell, paths: Paths, stages: Sequence[Stage], speaker: Speaker | None, device: torch.device,
            bf16: bool, clock: Clock, built: Built | None = None) -> Prepared:  # fmt: skip
    """Build the policy, fit its normalisers on the training demonstrations, encode once what is frozen.

    Nothing is rendered where the features are there already and no normaliser has to be fitted. built: the same
    representation that would be built here, if the probe was left with one.
    """
    env, protocol = cell.settings.suite.env_class(), cell.settings.protocol
    torch.manual_seed(seeds.training_seed(cell.seed, "init"))
    representation = (built.take() if built else None) or cell.build(cell.specs())
    if representation.frozen_part is not None and representation.card.weights:
        # the head's start must not depend on how many numbers the encoder drew: it may be trained without it
        torch.manual_seed(seeds.training_seed(cell.seed, "head"))
    policy = make_policy(
        cell.settings.head, representation, len(env.proprio_names), env.action_spec.size, speaker.dim if speaker else 0
    ).to(device)
    seen = [functools.cache(functools.partial(_fields, cell, paths, stage, clock)) for stage in stages]
    if type(representation).fit is not Representation.fit:
        pairs = zip(stages, seen, strict=True)
        training = [{name: array[: _train_rows(s)] for name, array in fields().items()} for s, fields in pairs]
        representation.fit({name: _cat([mapped(part[name]) for part in training]) for name in training[0]})
    representation.freeze_as_card_says()
    train: list[Samples] = []
    valid: list[Samples] = []
    for stage, fields in zip(stages, seen, strict=True):
        tensors = _inputs(cell, paths, stage, fields, policy, device, bf16, clock)
        targets = torch.from_numpy(stage.demos.arrays["actions"].reshape(-1, env.action_spec.size))
        if protocol.clip_actions:
            targets = targets.clamp(torch.tensor(env.action_spec.low), torch.tensor(env.action_spec.high))
        episodes, steps = stage.demos.arrays["actions"].shape[:2]
        if speaker is not None:
            told = speaker.of_demonstrations(stage.task, episodes, steps)
            tensors["language"] = torch.from_numpy(told).to(device)
        rows = slice(0, _train_rows(stage)), slice(_train_rows(stage), None)
        for part, found in zip(rows, (train, valid), strict=True):
            found.append(Samples({n: t[part] for n, t in tensors.items()}, targets[part].to(device), steps))
    joined, held_out = _together(train), _together(valid)
    policy.head.fit(joined.actions, torch.cat([part.inputs["proprio"] for part in train]))
    return Prepared(policy, joined, held_out)


def _train_rows(stage: Stage) -> int:
    return stage.demos.train * stage.demos.arrays["actions"].shape[1]


def _fields(cell: Cell, paths: Paths, stage: Stage, clock: Clock) -> dict[str, np.ndarray]:
    with clock("observations"):
        rendered = load_or_render(paths.data, stage.demos, cell.request, stage.pool, stage.fingerprint)
    count = cell.representation.card.past_actions
    if count:
        rendered["past_actions"] = histories(stage.demos.arrays["actions"], count)
    return rendered


def _inputs(cell: Cell, paths: Paths, stage: Stage, fields: Callable[[], dict[str, np.ndarray]], policy: Policy,
            device: torch.device, bf16: bool, clock: Clock) -> dict[str, Tensor]:  # fmt: skip
    """Of every frame of one task: the method's input, or `feature` where that does not change in training."""
    part = policy.representation.frozen_part
    if part is None:
        return {name: torch.from_numpy(np.array(array)).to(device) for name, array in fields().items()}
    if not list(part.parameters()):  # a control: nothing is worth keeping
        episodes, steps = stage.demos.arrays["actions"].shape[:2]
        with clock("features"):
            feature = encode_rows(policy, fields(), slice(0, episodes * steps), device, bf16)
        return {"feature": feature.to(device), "proprio": _resident(fields()["proprio"], device)}
    cache = FeatureCache(
        paths.data, f"{stage.task}-{cell.method_name}", cache_key(stage.demos, cell.request, stage.fingerprint),
        policy, cell.options, code_facts(cell.method), device, bf16,
    )  # fmt: skip
    with clock("features"):
        stored, proprio = cache.load(fields, stage.demos.arrays["actions"].shape[1])
    return {"feature": _resident(stored, device), "proprio": _resident(proprio, device)}


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """In the device's memory if it is small, else read from the file batch by batch."""
    return mapped(array) if array.nbytes > LARGEST_RESIDENT else torch.from_numpy(np.array(array)).to(device)


def _together(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    inputs = {name: _end_to_end([part.inputs[name] for part in parts]) for name in parts[0].inputs}
    return Samples(inputs, torch.cat([part.actions for part in parts]), parts[0].steps)


def _end_to_end(parts: Sequence[Tensor]) -> Tensor:
    """As one tensor; where they are large, one that only looks like it."""
    if sum(part.nbytes for part in parts) > LARGEST_RESIDENT and len(parts) > 1:
        return Joined(parts)  # type: ignore[return-value]
    return _cat(parts)


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
