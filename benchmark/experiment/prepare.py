"""A cell's policy, untrained, and the samples it learns from.

What is frozen is encoded once and kept (`benchmark.data.features`); what is trained gets the observations themselves.
Of a joint policy the tasks' samples follow each other and are shuffled together.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.data.episodes import end_to_end
from benchmark.data.features import FeatureCache, encode_rows
from benchmark.data.observation_source import Frames, Observations
from benchmark.data.observations import cache_key
from benchmark.data.residence import Residence
from benchmark.data.samples import Samples, parts_of
from benchmark.experiment.cell import Cell, observed
from benchmark.experiment.probe import Built
from benchmark.experiment.task_data import TaskData, open_simulators
from benchmark.records.paths import Paths
from benchmark.settings import seeds
from benchmark.settings.instructions import InstructionFeatures
from benchmark.system.phase_times import Clock
from envs.pictures import fields_of
from methods.base import Representation
from methods.code import code_facts
from methods.policy import Policy


@dataclass(frozen=True)
class Prepared:
    policy: Policy
    train: Samples
    valid: Samples


def prepare(
    cell: Cell,
    paths: Paths,
    task_data: Sequence[TaskData],
    instruction_features: InstructionFeatures | None,
    device: torch.device,
    bf16: bool,
    clock: Clock,
    built: Built | None = None,
) -> Prepared:
    """Build the policy, fit its normalisers on the training demonstrations, encode once what is frozen.

    Nothing is rendered where the features are there already and no normaliser has to be fitted; what a frozen network
    sees of large frames is rendered, encoded and thrown away (`runtime.keep_frame_mb`). What is trained on is held in
    memory up to `runtime.resident_gb`. built: the same representation that would be built here, if the probe
    was left with one.
    """
    residence = Residence(cell.settings.runtime.resident_gb * 1e9, device)
    env = cell.settings.simulator()
    torch.manual_seed(seeds.training_seed(cell.seed, "init"))
    representation = (built.take() if built else None) or cell.build(cell.specs())
    if representation is not None and representation.frozen_part is not None and representation.card.weights:
        # the head's start must not depend on how many numbers the encoder drew: it may be trained without it
        torch.manual_seed(seeds.training_seed(cell.seed, "head"))
    policy = cell.build_policy(representation, instruction_features.dim if instruction_features else 0).to(device)
    keep_frame = cell.settings.runtime.keep_frame_mb * 1e6
    seen = [
        Observations(
            paths.caches,
            t.demos,
            cell.request,
            t.pool,
            t.fingerprint,
            cell.past_actions,
            keep_frame,
            cell.settings.of_task(t.task).frame_every,
        )
        for t in task_data
    ]
    if representation is not None and type(representation).fit is not Representation.fit:
        representation.fit(TrainingFields(seen, residence, clock))
    if representation is not None:
        representation.freeze_as_card_says()
    train: list[Samples] = []
    valid: list[Samples] = []
    for of_task, observations in zip(task_data, seen, strict=True):
        tensors = _inputs(cell, paths, of_task, observations, policy, residence, bf16, clock)
        targets = torch.from_numpy(of_task.demos.arrays["actions"])
        if cell.settings.of_task(of_task.task).clip_actions:
            targets = targets.clamp(torch.tensor(env.action_spec.low), torch.tensor(env.action_spec.high))
        looked_at = observations.looked_at
        if instruction_features is not None:
            instruction = instruction_features.of_demonstrations(of_task.task, looked_at.episodes.lengths)
            tensors["language"] = residence.hold(torch.from_numpy(instruction))
        for part, found in zip(parts_of(of_task.demos, observations.every), (train, valid), strict=True):
            own = {name: tensor[part.seen] for name, tensor in tensors.items()}
            found.append(Samples(own, targets[part.acted].to(device), part.lengths, part.frames))
    joined, held_out = _together(train, residence), _together(valid, residence)
    # of a joint policy one task's may have found room on the device, and another's not
    policy.fit(joined.actions, torch.cat([part.inputs["proprio"].to(device) for part in train]))
    return Prepared(policy, joined, held_out)


class TrainingFields(Mapping[str, Tensor]):
    """What `Representation.fit` sees: fields (T, ...) of all tasks' training demonstrations, read when asked for.

    A method that asks for past actions alone has nothing rendered.
    """

    def __init__(self, seen: Sequence[Observations], residence: Residence, clock: Clock) -> None:
        self._seen, self._residence, self._clock = seen, residence, clock

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._seen[0].names():
            raise KeyError(name)
        with self._clock("observations"):
            return self._residence.whole([one.field(name)[: one.looked_at.train_rows] for one in self._seen])

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen[0].names())

    def __len__(self) -> int:
        return len(self._seen[0].names())


def _inputs(
    cell: Cell,
    paths: Paths,
    of_task: TaskData,
    observations: Observations,
    policy: Policy,
    residence: Residence,
    bf16: bool,
    clock: Clock,
) -> dict[str, Tensor]:
    """Of every frame of one task: the method's input, or `feature` where that does not change in training."""

    def whole() -> dict[str, np.ndarray]:
        with clock("observations"):
            return observations.whole()

    part = policy.representation.frozen_part if policy.representation is not None and len(policy.sets) == 1 else None
    if part is None:
        return residence.place(whole())
    # what a policy over it reads by itself
    names = cell.cards[1].observes if len(cell.cards) > 1 else ()
    own = residence.place(_read_by_policy(cell, of_task, observations, names, clock)) if names else {}
    if not list(part.parameters()):  # a control: nothing is worth keeping
        fields = whole()
        with clock("features"):
            everything = slice(0, observations.looked_at.episodes.rows)
            feature = encode_rows(policy, fields, everything, residence.device, bf16)
        return {"feature": residence.hold(feature), **residence.place({"proprio": fields["proprio"]}), **own}
    cache = FeatureCache(
        paths.caches,
        f"{of_task.task}-{cell.method_name}",
        cache_key(observations.looked_at, cell.request, of_task.fingerprint),
        policy,
        cell.options,
        code_facts(cell.method),
        residence.device,
        bf16,
    )

    def frames() -> Frames:
        with clock("observations"):
            return observations.frames()

    with clock("features"):
        stored, proprio = cache.load(frames, observations.looked_at.episodes)
    return {**residence.place({"feature": stored, "proprio": proprio}), **own}


def _read_by_policy(
    cell: Cell, of_task: TaskData, observations: Observations, names: Sequence[str], clock: Clock
) -> dict[str, np.ndarray]:
    """Fields (T, ...) that a policy over a frozen representation reads by itself. Where frames are too large to be kept
    whole, such as CLAMP's views, these fields alone are rendered and kept."""
    with clock("observations"):
        if observations.frame_bytes() <= observations.keep_frame:
            fields = observations.whole()
            return {name: fields[name] for name in fields_of(names, fields)}
        request = observed(cell.settings, cell.cards[1:])
        alone = dataclasses.replace(observations, request=request, _whole={})
        if alone.stored() is None and of_task.demos.sensors is None:
            pool, _ = open_simulators(cell, of_task.task, request, len(of_task.pool.workers))
            with pool:
                fields = dataclasses.replace(alone, pool=pool, _whole={}).whole()
        else:
            fields = alone.whole()
        return {name: fields[name] for name in fields_of(names, fields)}


def _together(parts: Sequence[Samples], residence: Residence) -> Samples:
    if len(parts) == 1:
        return parts[0]
    inputs = {name: residence.end_to_end([part.inputs[name] for part in parts]) for name in parts[0].inputs}
    steps = end_to_end([part.episodes for part in parts]).lengths
    before = [0, *itertools.accumulate(len(part.actions) for part in parts)]
    looks = [first + part.at for first, part in zip(before, parts, strict=False)]
    frames = None if all(part.frames is None for part in parts) else torch.cat(looks)
    return Samples(inputs, torch.cat([part.actions for part in parts]), steps, frames)
