"""What ACT is over whatever it sees: z-scores, the CVAE's loss, plans from the latent's mean, and its rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from baselines.act.card import KL_WEIGHT
from baselines.act.network import ChunkTransformer
from baselines.act.posterior import Posterior, divergence, draw
from baselines.act.sizes import FLOOR, SIZES, WEIGHT_DECAY, Sizes
from methods.action_loss import nearer
from methods.base import Representation
from methods.errors import BadMethod
from methods.policy import Inputs, ParameterGroup, Policy, PolicySpecs, Recipe


class ZScore(nn.Module):
    """(..., D) less the training data's mean, divided by its deviation, which is `FLOOR` or more.

    kept: entries that stay as they are, such as those of quaternions.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int, kept: Sequence[slice] = ()) -> None:
        super().__init__()
        self.kept = tuple(kept)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, values: Tensor) -> None:
        """values: (T, D). One row has no deviation: `FLOOR`."""
        values = values.double()
        self.mean.copy_(values.mean(0))
        self.deviation.copy_(values.std(0, correction=min(1, len(values) - 1)).clamp_min(FLOOR))
        for part in self.kept:
            self.mean[part], self.deviation[part] = 0.0, 1.0

    def forward(self, values: Tensor) -> Tensor:
        return (values.float() - self.mean) / self.deviation

    def undo(self, values: Tensor) -> Tensor:
        return values * self.deviation + self.mean


class ChunkPolicy(Policy):
    """A subclass says what is seen: `_seen`, and the width of its tokens."""

    optimizer = "adamw"

    def __init__(
        self, specs: PolicySpecs, representation: Representation | None, seen_dim: int, options: Mapping[str, str]
    ) -> None:
        super().__init__(specs, representation)
        self.sizes = chosen_sizes(options)
        self.kl = float(options.get("kl", KL_WEIGHT))
        action, proprio = specs.action, specs.observation["proprio"].shape[0]
        self.proprio, self.actions = ZScore(proprio), ZScore(action.size, action.quaternions)
        self.posterior = Posterior(self.sizes, self.chunk, proprio, action.size)
        self.transformer = ChunkTransformer(self.sizes, self.chunk, proprio, action.size, seen_dim, specs.language)

    @classmethod
    def check(cls, specs: PolicySpecs) -> None:
        refuse(cls.card.name, specs, "L1 of z-scores")

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        self.actions.fit(actions)
        self.proprio.fit(proprio)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        """`l1`: the mean over all of a chunk's numbers of |error|, 0 where an action is not the episode's own (as
        published: not the mean over those that are). `kl`: of the latent, times its weight.
        """
        target = self.actions(actions if actions.dim() == 3 else actions.unsqueeze(1))
        proprio = self.proprio(inputs["proprio"])
        mean, log_variance = self.posterior(proprio, target, padded)
        guess = self._chunk(draw(mean, log_variance), proprio, inputs)
        gap = (guess - nearer(guess, target, self.specs.action)).abs()
        return {"l1": (gap * ~padded.unsqueeze(2)).mean(), "kl": self.kl * divergence(mean, log_variance)}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        """From the latent 0, the mean of its prior: nothing is drawn."""
        proprio = self.proprio(inputs["proprio"])
        return self.actions.undo(self._chunk(proprio.new_zeros(len(proprio), self.sizes.latent), proprio, inputs))

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """Rates of its own, constant. Of a representation that is trained its own times the protocol's multiplier."""
        slower = {"backbone": self.sizes.backbone_rate, "representation": self.sizes.rate}
        slower["representation"] *= recipe.encoder_lr_multiplier
        parts = {name: list(part.parameters()) for name, part in self.named_children() if name in slower}
        inside = {id(parameter) for part in parts.values() for parameter in part}
        own = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        groups = [(own, self.sizes.rate), *((part, slower[name]) for name, part in parts.items())]
        return [
            ParameterGroup(trained, rate, WEIGHT_DECAY)
            for parameters, rate in groups
            if (trained := [parameter for parameter in parameters if parameter.requires_grad])
        ]

    def _seen(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, seen_dim) and their positions (T, width)."""
        raise NotImplementedError

    def _chunk(self, latent: Tensor, proprio: Tensor, inputs: Inputs) -> Tensor:
        return self.transformer(latent, proprio, *self._seen(inputs), inputs.get("language"), self._further(inputs))

    def _further(self, inputs: Inputs) -> tuple[Tensor, Tensor] | None:
        """Tokens (B, T, width) beside what is seen, and their positions (T, width)."""
        return None


def chosen_sizes(options: Mapping[str, str]) -> Sizes:
    """Of a card's options. Under `compat=act` the decoder has one layer: of the published seven the outputs of all but
    the first are thrown away (`self.transformer(...)[0]` of stacked outputs), so that no gradient reaches the others.
    """
    found = SIZES[options.get("size", "act")]
    if options.get("compat") == "act":
        found = dataclasses.replace(found, decoder_layers=1)
    for name in ("rate", "backbone_rate"):
        if (said := options.get(name, "preset")) != "preset":
            found = dataclasses.replace(found, **{name: float(said)})  # type: ignore[arg-type]
    return found


def refuse(name: str, specs: PolicySpecs, own: str) -> None:
    """Raises `BadMethod` for what a run asks and a policy of one observation, with a loss of its `own`, does not do."""
    if specs.window.obs_steps != 1:
        raise BadMethod(f"{name} looks at one observation, not at {specs.window.obs_steps}: use policy.obs_steps=1")
    for setting in ("action_loss", "action_scaling"):
        if said := getattr(specs, setting):
            raise BadMethod(
                f"{name} has a loss and a scaling of its own, {own}, and cannot take protocol.{setting}="
                f"{said!r}: say protocol.{setting}=''"
            )
