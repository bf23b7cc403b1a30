"""The next actions of running episodes, the same to the last bit whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from benchmark.policy.ensemble import ensembled, whole_actions
from benchmark.policy.episode_memory import Memory
from benchmark.policy.policy import PolicyDiverged
from benchmark.settings.seeds import plan_seed as seed_of
from methods.errors import not_finite
from methods.policy import Policy

CUDA_ROWS = 32
"""On a GPU the kernel is chosen by the batch's shape, so batches are padded to a multiple of this."""


class EmptyCloud(ValueError):
    """An observation without a single point. There is nothing to encode, and no fake point is put in its place."""


def act(
    policy: Policy, observations: Mapping[str, np.ndarray], memories: Sequence[Memory], device: torch.device, bf16: bool
) -> np.ndarray:
    """The next actions (B, A) float32 for stacked observations (B, ...). The policy must be in eval mode.

    Episodes whose plan is used up get a new one; the others go on with theirs.

    An observation's action is the same to the last bit whatever else is in the batch, because a simulator is chaotic:
    otherwise the number of workers would change who succeeds. Matrix products of 1, 2 and 3 rows differ in the last
    bit on a CPU, so there every row is its own call (which costs nothing: one cloud or image already fills a core);
    on a GPU the whole batch is one call of a fixed shape.

    Raises `EmptyCloud` for an observation without a point, and if an action is not finite `BadFeature` where the
    method's feature is not, else `PolicyDiverged`.
    """
    if "points_valid" in observations and not observations["points_valid"].any(axis=1).all():
        raise EmptyCloud("nothing is inside the crop: choose other cameras or a wider crop (suite.observation)")
    for row, memory in enumerate(memories):
        if policy.obs_steps > 1:
            memory.seen.append({name: array[row].copy() for name, array in observations.items()})
            while len(memory.seen) > policy.obs_steps:
                memory.seen.popleft()
    empty = [row for row, memory in enumerate(memories) if not memory.plan]
    if empty:
        inputs = _inputs(policy, observations, memories, empty)
        # a plan's noise has a name of its own: the episode and the step at which it is made
        seeds = [seed_of(memories[row].seed, len(memories[row].actions)) for row in empty]
        for row, chunk in zip(empty, _plans(policy, inputs, seeds, device, bf16), strict=True):
            if policy.ensemble >= 0:
                chunk = ensembled(memories[row], chunk, policy.ensemble, policy.specs.action)[None]
            memories[row].plan.extend(whole_actions(chunk, policy.specs.action))
    return np.stack([memory.plan.popleft() for memory in memories])


def _inputs(
    policy: Policy, observations: Mapping[str, np.ndarray], memories: Sequence[Memory], rows: Sequence[int]
) -> dict[str, np.ndarray]:
    """What the policy reads for these rows: present or latest observations, and the latest actions."""
    steps = policy.obs_steps
    if steps == 1:
        inputs = {name: array[list(rows)] for name, array in observations.items()}
    else:
        windows = [[*[memories[row].seen[0]] * (steps - len(memories[row].seen)), *memories[row].seen] for row in rows]
        inputs = {name: np.stack([np.stack([o[name] for o in window]) for window in windows]) for name in observations}
    instruction = [memories[row].language for row in rows]
    if instruction[0] is not None:
        features = np.stack([one for one in instruction if one is not None])
        inputs["language"] = features if steps == 1 else np.repeat(features[:, None], steps, axis=1)
    history = policy.past_actions
    if history:
        past = [
            np.stack([latest(memories[row].actions, history, policy.action_dim, steps - 1 - i) for i in range(steps)])
            for row in rows
        ]
        inputs["past_actions"] = np.stack(past) if steps > 1 else np.stack(past)[:, 0]
    return inputs


def latest(actions: Sequence[np.ndarray] | np.ndarray, count: int, size: int, ago: int = 0) -> np.ndarray:
    """The `count` newest actions (size,) as of `ago` steps back, newest last, zeros before: (count, size) float32."""
    known = actions[: max(0, len(actions) - ago)][-count:]
    found = np.zeros((count, size), np.float32)
    if len(known):
        found[count - len(known) :] = known
    return found


def _plans(
    policy: Policy, inputs: Mapping[str, np.ndarray], seeds: Sequence[int], device: torch.device, bf16: bool
) -> np.ndarray:
    """(B, execute, A): the part of each chunk that will be played; all that is not past where chunks are averaged."""
    rows = len(seeds)
    block = CUDA_ROWS if device.type == "cuda" else 1
    calls = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for first in range(0, rows, block):
            index = np.minimum(np.arange(first, first + block), rows - 1)
            batch = {name: torch.from_numpy(array[index]).to(device) for name, array in inputs.items()}
            calls.append(policy.plan(batch, [seeds[i] for i in index]).float().cpu())
            if not calls[-1].isfinite().all() and policy.encoded is not None and not policy.encoded.isfinite().all():
                raise not_finite(type(policy.representation), "on an observation of a rollout")
    played = policy.chunk - policy.lead if policy.ensemble >= 0 else policy.execute
    plans = torch.cat(calls)[:rows, policy.lead : policy.lead + played].numpy()
    if not np.isfinite(plans).all():
        raise PolicyDiverged(
            "the policy's action is not finite (NaN or infinite): training diverged. Try a smaller "
            "protocol.learning_rate, or look at the loss in the cell's progress.json"
        )
    return plans
