"""What a policy is: the contract between what learns to act and the loops that train it and play it.

A `Policy` turns observations into a chunk of actions. It may stand over a representation, which a run chooses, or be
whole by itself. The loops (`benchmark.training`, `benchmark.policy.act`) draw samples, move weights, save and resume,
and remember running episodes; they know none of its tensors by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from envs.spec import ActionSpec, FieldSpec
from methods.base import Representation
from methods.errors import BadWeights, other_dtype, other_shape
from methods.policy_card import PolicyCard
from methods.weights import load_strictly, read_tensors

Inputs = Mapping[str, Tensor]
"""Fields (B, ...), or (B, obs_steps, ...) where a policy looks at several observations: what its card and its
representation's observe, and `proprio`; of cameras of different sizes each image by itself, `rgb@corner`.
`language` (B, D), or (B, obs_steps, D), is the instruction's feature where a suite gives one; `feature` stands for the
outputs of a representation's frozen part, in place of what it observes."""


class Looks(Protocol):
    """Which observations and actions belong to a sample, as `PolicyCard` says; left_out: frames at an episode's end
    of which there is no sample."""

    @property
    def chunk(self) -> int: ...
    @property
    def lead(self) -> int: ...
    @property
    def obs_steps(self) -> int: ...
    @property
    def left_out(self) -> int: ...


@dataclass(frozen=True)
class Window:
    """As `PolicyCard`, with a run's changes. left_out follows from pad_after."""

    chunk: int = 1
    lead: int = 0
    execute: int = 1
    obs_steps: int = 1
    left_out: int = 0
    ensemble: float = -1.0


@dataclass(frozen=True)
class PolicySpecs:
    """What a policy is built for. observation: the fields it may read, without the batch's axis. action: what it gives.
    language: width of an instruction's feature, 0 in suites without instructions. action_loss, action_scaling: what the
    protocol says of the action's parts (`methods.action_terms`), for policies that score them by `action_losses`.
    """

    observation: Mapping[str, FieldSpec]
    action: ActionSpec
    language: int = 0
    window: Window = field(default_factory=Window)
    action_loss: str = ""
    action_scaling: str = ""


@dataclass(frozen=True)
class Recipe:
    """What the protocol says of moving weights; a policy takes it or has its own."""

    learning_rate: float
    encoder_lr_multiplier: float
    weight_decay: float


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that are moved alike. schedule: of the rate after a linear warm-up over `warmup_steps` from zero:
    `constant`, or `cosine` to zero at the last step. follows_protocol: the rate is the protocol's, and rises and falls
    by epochs as that says (`protocol.schedule`, `warmup_epochs`)."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    follows_protocol: bool = False


@dataclass(frozen=True)
class Average:
    """An exponential moving average of the weights is played: its rate goes to 0.9999 as 1 - (1 + step) ** -power, from
    step `after` on."""

    power: float
    after: int = 0


class Policy(nn.Module):
    """A subclass sets `card` and implements `losses` and `plan`. Its constructor takes `specs`, its representation
    (None for a policy that is whole), and the options that its card names as keywords.
    """

    card: ClassVar[PolicyCard]
    optimizer: Literal["adam", "adamw"] = "adam"
    average: Average | None = None
    camera_sizes: ClassVar[bool] = False
    """Whether the images that its own card observes may be of different sizes, as `Representation.camera_sizes`."""
    encoded: Tensor | None = None
    """What the representation gave last, detached: whoever finds a loss that is not finite looks whose fault it is."""
    steps_without_gradient = 0
    """Of training, in which a feature of a representation that is trained carried none."""

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None) -> None:
        super().__init__()
        self.check(specs)
        self.specs, self.representation = specs, representation
        self.window = specs.window
        self.sets: tuple[str, ...] = self.card.token_sets if hasattr(type(self), "card") else ()
        """Which token sets of the representation it looks at; a policy whose option chooses one sets this."""

    @classmethod
    def check(cls, specs: PolicySpecs) -> None:
        """Raise `BadMethod` for what a run asks and this policy does not do. Asked before any demonstration is
        collected, when the width of an instruction's feature is not known yet (0), and by the constructor.
        """

    @property
    def action_dim(self) -> int:
        return self.specs.action.size

    @property
    def chunk(self) -> int:
        return self.window.chunk

    @property
    def lead(self) -> int:
        return self.window.lead

    @property
    def execute(self) -> int:
        return self.window.execute

    @property
    def obs_steps(self) -> int:
        return self.window.obs_steps

    @property
    def left_out(self) -> int:
        return self.window.left_out

    @property
    def ensemble(self) -> float:
        return self.window.ensemble

    @property
    def past_actions(self) -> int:
        """How many of the latest actions it reads, as the field `past_actions`."""
        own = self.card.past_actions if hasattr(type(self), "card") else 0
        return max(own, self.representation.card.past_actions if self.representation is not None else 0)

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        """Set normalisers from the training data, (T, A) and (T, S). Called once, after `load_weights`."""

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        """Scalars by name, each with its weight; their sum is trained.

        actions: (B, A), or (B, chunk, A) where chunk > 1. padded: (B, chunk) bool, True where an action is not the
        episode's own, because the chunk reaches past its end (or before its start), where the last (the first) action
        is repeated. Draws come from torch's global generator.
        """
        raise NotImplementedError

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        """(B, chunk, A). What is random is drawn from each row's own seed, on the CPU."""
        raise NotImplementedError

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """Every parameter that is trained, once. By default the representation's have the protocol's multiplier."""
        encoder = list(self.representation.parameters()) if self.representation is not None else []
        inside = {id(parameter) for parameter in encoder}
        own = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        rate = recipe.learning_rate
        groups = [(own, rate), (encoder, rate * recipe.encoder_lr_multiplier)]
        return [
            ParameterGroup(trained, rate, recipe.weight_decay, follows_protocol=True)
            for parameters, rate in groups
            if (trained := [p for p in parameters if p.requires_grad])
        ]

    def load_weights(self, paths: Sequence[Path]) -> None:
        """Begin with these weights: files of `card.weights`, or one of the user's. Raises `BadWeights`.

        By default one file that holds the whole policy by the names of its state, as `policy.safetensors` of an
        exported one does; over a representation, whose weights are the method's, there is no default.
        """
        if self.representation is not None:
            raise BadWeights(
                f"{self.card.name} has no load_weights for what stands over a representation: leave policy.weights out"
            )
        for path in paths:
            load_strictly(self, read_tensors(path), str(path), ("policy.",))

    # What stands over a representation reads it through these.

    @property
    def condition(self) -> str:
        """Which of the representation's outputs is kept where they never change: the one it looks at."""
        return self.sets[0]

    def encode_frozen(self, observations: Inputs) -> Tensor:
        """What of the condition never changes in training."""
        assert self.representation is not None
        if self.condition == "pooled":
            return self.representation.encode_frozen(observations)
        return self.representation.token_set(self.condition, observations)

    def token_sets(self, inputs: Inputs) -> dict[str, Tensor]:
        """Name -> (B, D), (B, obs_steps, D), or tokens (B, T, D), float32, of the sets that it looks at."""
        return {name: self.encode(inputs, name).float() for name in self.sets}

    def conditioning(self, inputs: Inputs) -> Tensor:
        """The token set of `condition`, for a policy that looks at one."""
        return self.token_sets(inputs)[self.condition]

    def encode(self, inputs: Inputs, name: str | None = None) -> Tensor:
        """One token set: (B, D), (B, obs_steps, D), or tokens (B, T, D)."""
        name = name or self.condition
        if self.obs_steps > 1:
            batch, steps = inputs["proprio"].shape[:2]
            flat = self._encode({key: value.flatten(0, 1) for key, value in inputs.items()}, name)
            found = flat.view(batch, steps, -1)
        else:
            found = self._encode(inputs, name)
        self.encoded = found.detach()
        return found

    def _encode(self, inputs: Inputs, name: str) -> Tensor:
        assert self.representation is not None
        if "feature" in inputs and name == self.condition:
            ready = inputs["feature"]
            return self.representation.project(ready) if name == "pooled" else ready
        if name != "pooled":
            return self.representation.token_set(name, inputs)
        found = self.representation.encode(inputs)
        rows, width = len(next(iter(inputs.values()))), self.representation.feature_dim
        if getattr(found, "shape", None) != (rows, width):
            raise other_shape(type(self.representation), tuple(getattr(found, "shape", ())), rows, width)
        if not isinstance(found, Tensor) or not found.is_floating_point():
            given = str(found.dtype).removeprefix("torch.") if isinstance(found, Tensor) else type(found).__name__
            raise other_dtype(type(self.representation), given)
        if self.training and torch.is_grad_enabled() and not found.requires_grad and self._trains():
            self.steps_without_gradient += 1
        return found

    def _trains(self) -> bool:
        assert self.representation is not None
        return any(parameter.requires_grad for parameter in self.representation.parameters())

    # What checkpoints hold.

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
        part = self.representation.frozen_part if self.representation is not None else None
        return None if part is None else next(f"{name}." for name, module in self.named_modules() if module is part)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum that is trained; of one term the term itself, to the bit."""
    first, *others = terms.values()
    for one in others:
        first = first + one
    return first
