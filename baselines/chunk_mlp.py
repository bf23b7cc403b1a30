"""An MLP that regresses a chunk of actions: the least that a planner of chunks can be, and seconds of one CPU core.

`bench run --method METHOD --policy chunk-mlp`. Of a chunk it predicts every second action, and what lies between is
interpolated: at 50 Hz neighbouring joint targets say the same, and fewer outputs are learnt from fewer steps.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.act.card import CONDITION
from baselines.act.policy import ZScore, refuse
from baselines.attentive_probe import AttentiveProbe
from methods.base import Representation
from methods.card import MethodOption
from methods.errors import BadMethod
from methods.policy import Inputs, ParameterGroup, Policy, PolicySpecs, Recipe
from methods.policy_card import PolicyCard

WIDTH, LAYERS = 512, 3
WARMUP_STEPS = 100

CARD = PolicyCard(
    name="chunk-mlp",
    title="MLP of chunks",
    summary="regresses a chunk of actions from a representation's feature and proprioception; no paper's",
    kind="control",
    observes=(),
    input=None,
    training="end-to-end",
    batch="3d",
    paper="none: a control of this benchmark",
    licence="MIT",
    parameters=None,
    parameters_source="",
    options=(
        MethodOption(
            "every",
            "2",
            ("1", "2", "5", "10"),
            "of a chunk's actions every so many is predicted, the first and the last always; 1: all",
        ),
        MethodOption("loss", "l2", ("l1", "l2"), "of standardised actions, the mean over those of the episode"),
        MethodOption(
            "rate", "0.001", ("0.0001", "0.0003", "0.001"), "AdamW's, which falls to zero along a cosine over the run"
        ),
        dataclasses.replace(
            CONDITION, meaning="what of the representation is seen: its feature, or its tokens by an attentive probe"
        ),
    ),
    notes=("it regresses a mean: of two ways to do a task it may take the one between them",),
    token_sets=("pooled",),
    chunk=50,
    execute=25,
)


class ChunkMLP(Policy):
    """Feature (or what a probe reads of the tokens), proprioception and instruction side by side, then three layers of
    512. All actions are scaled by their mean and deviation, and are compared where they are the episode's own. A plan
    stays within the range of the training data's actions, as a diffusion head's does: far from them a regression leaves
    what joints can do.
    """

    card = CARD
    optimizer = "adamw"

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None, **options: str) -> None:
        super().__init__(specs, representation)
        assert representation is not None
        chosen = {option.name: options.get(option.name, option.default) for option in self.card.options}
        self.loss, self.rate = chosen["loss"], float(chosen["rate"])
        proprio = specs.observation["proprio"].shape[0]
        self.proprio, self.actions = ZScore(proprio), ZScore(self.action_dim)
        self.limits: Tensor
        self.register_buffer("limits", torch.tensor([[-torch.inf], [torch.inf]]).repeat(1, self.action_dim))
        self.between: Tensor
        self.register_buffer("between", interpolation(self.chunk, int(chosen["every"])), persistent=False)
        self.sets = (chosen["condition"],)
        self.probe = AttentiveProbe(representation.token_dim) if self.condition == "tokens" else None
        width = representation.feature_dim if self.probe is None else self.probe.size
        widths = [width + proprio + specs.language, *[WIDTH] * LAYERS]
        hidden = [(nn.Linear(before, after), nn.GELU()) for before, after in itertools.pairwise(widths)]
        self.layers = nn.Sequential(*(layer for pair in hidden for layer in pair))
        self.keys = nn.Linear(WIDTH, self.between.shape[1] * self.action_dim)

    @classmethod
    def check(cls, specs: PolicySpecs) -> None:
        if specs.action.quaternions:
            raise BadMethod("chunk-mlp regresses numbers one by one, and this action has quaternions, which are not")
        refuse(cls.card.name, specs, "of z-scores")

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        self.actions.fit(actions)
        self.limits.copy_(torch.stack([actions.amin(0), actions.amax(0)]))
        self.proprio.fit(proprio)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        target = self.actions(actions if actions.dim() == 3 else actions.unsqueeze(1))
        gap = self._chunk(inputs) - target
        each = gap.abs() if self.loss == "l1" else gap.square()
        own = ~padded
        return {self.loss: (each.mean(2) * own).sum() / own.sum().clamp_min(1)}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        """Nothing is drawn."""
        return self.actions.undo(self._chunk(inputs)).clamp(self.limits[0], self.limits[1])

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """A rate of its own; of a representation that is trained that times the protocol's multiplier."""
        encoder = [] if self.representation is None else list(self.representation.parameters())
        inside = {id(parameter) for parameter in encoder}
        own = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        groups = [(own, self.rate), (encoder, self.rate * recipe.encoder_lr_multiplier)]
        return [
            ParameterGroup(trained, rate, recipe.weight_decay, schedule="cosine", warmup_steps=WARMUP_STEPS)
            for parameters, rate in groups
            if (trained := [parameter for parameter in parameters if parameter.requires_grad])
        ]

    def _chunk(self, inputs: Inputs) -> Tensor:
        """(B, chunk, A), standardised."""
        found = self.conditioning(inputs)
        seen = [found if self.probe is None else self.probe(found), self.proprio(inputs["proprio"])]
        if "language" in inputs:
            seen.append(inputs["language"].float())
        keys = self.keys(self.layers(torch.cat(seen, dim=1))).unflatten(1, (-1, self.action_dim))
        return self.between @ keys


def interpolation(chunk: int, every: int) -> Tensor:
    """(chunk, keys): each action as a mixture of the two predicted ones that it lies between. Predicted are every
    `every`-th action from the first on, and the last."""
    keys = [*range(0, chunk - 1, every), chunk - 1]
    weights = torch.zeros(chunk, len(keys))
    weights[keys[0], 0] = 1.0
    for place, (before, after) in enumerate(itertools.pairwise(keys)):
        for step in range(before, after + 1):
            share = (step - before) / (after - before)
            weights[step] = 0.0
            weights[step, place], weights[step, place + 1] = 1 - share, share
    return weights
