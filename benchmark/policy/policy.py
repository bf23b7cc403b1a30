"""A policy: representation, then head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.policy.heads import Head, make_head
from benchmark.policy.memory import Memory
from benchmark.protocol import DiffusionConfig, HeadConfig
from benchmark.seeds import plan_seed as seed_of
from methods.base import Representation

CUDA_ROWS = 32
"""On a GPU the kernel is chosen by the batch's shape, so batches are padded to a multiple of this."""


class EmptyCloud(ValueError):
    """An observation without a single point. There is nothing to encode, and no fake point is put in its place."""


class PolicyDiverged(ArithmeticError):
    """The policy's output is not finite."""


class Policy(nn.Module):
    """A representation under a head. Observations have a leading axis (B, ...), or (B, obs_steps, ...) for a head
    that looks at several; `feature` in place of the method's input stands for the frozen part's outputs, and
    `language` (B, D) is the instruction's where a suite gives one.

    condition: `pooled`, or `tokens` of methods that keep them.
    """

    def __init__(
        self, representation: Representation, head: Head, condition: str = "pooled", action_dim: int = 0
    ) -> None:
        super().__init__()
        self.representation, self.head = representation, head
        self.condition, self.action_dim = condition, action_dim

    def encode_frozen(self, observations: Mapping[str, Tensor]) -> Tensor:
        """What of the condition never changes in training."""
        if self.condition == "tokens":
            return self.representation.encode_tokens(observations)
        return self.representation.encode_frozen(observations)

    def encode(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The head's condition: (B, D), (B, obs_steps, D), or tokens (B, T, D)."""
        if self.head.obs_steps > 1:
            batch, steps = inputs["proprio"].shape[:2]
            flat = self._encode({name: value.flatten(0, 1) for name, value in inputs.items()})
            return flat.view(batch, steps, -1)
        return self._encode(inputs)

    def _encode(self, inputs: Mapping[str, Tensor]) -> Tensor:
        if "feature" in inputs:
            ready = inputs["feature"]
            return ready if self.condition == "tokens" else self.representation.project(ready)
        if self.condition == "tokens":
            return self.representation.encode_tokens(inputs)
        return self.representation.encode(inputs)

    def loss(self, inputs: Mapping[str, Tensor], actions: Tensor) -> Tensor:
        return self.head.loss(self.encode(inputs).float(), inputs["proprio"], actions, self._told(inputs))

    def plan(self, inputs: Mapping[str, Tensor], seeds: Sequence[int]) -> Tensor:
        """(B, chunk, A)."""
        return self.head.plan(self.encode(inputs).float(), inputs["proprio"], seeds, self._told(inputs))

    def _told(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """Features (B, D) of the instruction, which stays the same throughout an episode."""
        language = inputs.get("language")
        return language[:, -1] if language is not None and self.head.obs_steps > 1 else language

    def trained_state(self) -> dict[str, Tensor]:
        """Parameters and buffers without the frozen part, which is the same in every checkpoint."""
        frozen = self._frozen_prefix()
        return {n: t for n, t in self.state_dict().items() if frozen is None or not n.startswith(frozen)}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo `trained_state`. Raises RuntimeError if anything else than the frozen part is missing."""
        frozen = self._frozen_prefix()
        kept = {n: t for n, t in self.state_dict().items() if frozen is not None and n.startswith(frozen)}
        self.load_state_dict({**kept, **state})

    def _frozen_prefix(self) -> str | None:
        part = self.representation.frozen_part
        return None if part is None else next(f"{name}." for name, module in self.named_modules() if module is part)


def make_policy(config: HeadConfig | DiffusionConfig, representation: Representation, proprio_dim: int,
                action_dim: int, language_dim: int = 0) -> Policy:  # fmt: skip
    """The head that `config` describes, over the representation's feature or tokens."""
    condition = config.condition if isinstance(config, DiffusionConfig) else "pooled"
    width = representation.token_dim if condition == "tokens" else representation.feature_dim
    head = make_head(config, width, proprio_dim, action_dim, language_dim)
    return Policy(representation, head, condition, action_dim)


def act(policy: Policy, observations: Mapping[str, np.ndarray], memories: Sequence[Memory], device: torch.device,
        bf16: bool) -> np.ndarray:  # fmt: skip
    """The next actions (B, A) float32 for stacked observations (B, ...). The policy must be in eval mode.

    Episodes whose plan is used up get a new one; the others go on with theirs.

    An observation's action is the same to the last bit whatever else is in the batch, because a simulator is chaotic:
    otherwise the number of workers would change who succeeds. Matrix products of 1, 2 and 3 rows differ in the last
    bit on a CPU, so there every row is its own call (which costs nothing: one cloud or image already fills a core);
    on a GPU the whole batch is one call of a fixed shape.

    Raises `EmptyCloud` for an observation without a point and `PolicyDiverged` if an action is not finite.
    """
    if "points_valid" in observations and not observations["points_valid"].any(axis=1).all():
        raise EmptyCloud("nothing is inside the crop: choose other cameras or a wider crop (suite.observation)")
    head = policy.head
    for row, memory in enumerate(memories):
        if head.obs_steps > 1:
            memory.seen.append({name: array[row].copy() for name, array in observations.items()})
            while len(memory.seen) > head.obs_steps:
                memory.seen.popleft()
    empty = [row for row, memory in enumerate(memories) if not memory.plan]
    if empty:
        inputs = _inputs(policy, observations, memories, empty)
        # a plan's noise has a name of its own: the episode and the step at which it is made
        seeds = [seed_of(memories[row].seed, len(memories[row].actions)) for row in empty]
        for row, chunk in zip(empty, _plans(policy, inputs, seeds, device, bf16), strict=True):
            memories[row].plan.extend(chunk)
    return np.stack([memory.plan.popleft() for memory in memories])


def _inputs(policy: Policy, observations: Mapping[str, np.ndarray], memories: Sequence[Memory],
            rows: Sequence[int]) -> dict[str, np.ndarray]:  # fmt: skip
    """What the policy reads for these rows: present or latest observations, and the latest actions."""
    steps = policy.head.obs_steps
    if steps == 1:
        inputs = {name: array[list(rows)] for name, array in observations.items()}
    else:
        windows = [[*[memories[row].seen[0]] * (steps - len(memories[row].seen)), *memories[row].seen] for row in rows]
        inputs = {name: np.stack([np.stack([o[name] for o in window]) for window in windows]) for name in observations}
    told = [memories[row].language for row in rows]
    if told[0] is not None:
        features = np.stack([one for one in told if one is not None])
        inputs["language"] = features if steps == 1 else np.repeat(features[:, None], steps, axis=1)
    history = policy.representation.card.past_actions
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


def _plans(policy: Policy, inputs: Mapping[str, np.ndarray], seeds: Sequence[int], device: torch.device,
           bf16: bool) -> np.ndarray:  # fmt: skip
    """(B, execute, A): the part of each chunk that will be played."""
    rows = len(seeds)
    block = CUDA_ROWS if device.type == "cuda" else 1
    calls = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for first in range(0, rows, block):
            index = np.minimum(np.arange(first, first + block), rows - 1)
            batch = {name: torch.from_numpy(array[index]).to(device) for name, array in inputs.items()}
            calls.append(policy.plan(batch, [seeds[i] for i in index]).float().cpu())
    head = policy.head
    plans = torch.cat(calls)[:rows, head.lead : head.lead + head.execute].numpy()
    if not np.isfinite(plans).all():
        raise PolicyDiverged(
            "the policy's action is not finite (NaN or infinite): training diverged. Try a smaller "
            "protocol.learning_rate, or look at the loss in the cell's progress.json"
        )
    return plans
