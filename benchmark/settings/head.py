"""The heads that a cell can be run with, as typed data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated, Any

from benchmark.settings.bounds import Factor, Range, Rate, Share, check_bounds, one_of, shown
from benchmark.settings.labels import base_of, named_in_paths
from benchmark.settings.policy import check_ensemble
from benchmark.system.errors import ConfigError
from envs.identity import added as later_fields
from envs.identity import later, named_by

MOST_LAYERS = 64
DIRECT_KINDS = ("mlp", "bnmlp")
"""Heads that regress one action."""
Layers = Annotated[int, Range(1, MOST_LAYERS)]
Width = Annotated[int, Range(1, 16_384)]


@dataclass(frozen=True)
class HeadConfig:
    """See `benchmark/conf/head/*.yaml`."""

    name: str
    width: Annotated[int, Range(0, 16_384)]
    hidden: tuple[Width, ...]
    activation: str
    init: str
    input_scale: Rate
    kind: str = later("")
    """Which head it is, `mlp` or `bnmlp`, where its name does not say so: of a user's own head."""
    compat: str = later("none")

    def __post_init__(self) -> None:
        check_bounds(self, "head")
        named_in_paths("head.name", self.name)
        one_of("head.kind", self.kind, ("", *DIRECT_KINDS))
        if not self.kind and base_of(self.name) not in DIRECT_KINDS:
            raise ConfigError(f"head.kind is missing: {self.name} must say which it is, {' or '.join(DIRECT_KINDS)}")
        if self.direct_kind == "mlp" and self.width < 1:
            raise ConfigError("head.width=0 is not allowed: the mlp head projects each modality to at least 1 number")
        if len(self.hidden) > MOST_LAYERS:
            raise ConfigError(f"head.hidden has {len(self.hidden)} layers; {MOST_LAYERS} are allowed")
        one_of("head.activation", self.activation, ("relu", "selu"))
        one_of("head.init", self.init, ("default", "orthogonal"))
        one_of("head.compat", self.compat, ("none", "lift3d"))
        if self.compat != "none" and self.direct_kind != "mlp":
            raise ConfigError(f"head.compat={self.compat} is of the mlp head alone")

    @property
    def direct_kind(self) -> str:
        return self.kind or base_of(self.name)

    def identity(self) -> dict[str, Any]:
        """What a number depends on."""
        return named_by(self)


@dataclass(frozen=True)
class DiffusionConfig:
    """See `benchmark/conf/head/diffusion.yaml`."""

    name: str
    condition: str
    denoiser: str
    obs_steps: Annotated[int, Range(1, 64)]
    chunk: Annotated[int, Range(1, 1_024)]
    lead: Annotated[int, Range(0, 1_023)]
    execute: Annotated[int, Range(1, 1_024)]
    train_steps: Annotated[int, Range(1, 10_000)]
    sample_steps: Annotated[int, Range(1, 10_000)]
    sampler: str
    schedule: str
    prediction: str
    width: Width
    heads: Annotated[int, Range(1, 256)]
    encoder_layers: Layers
    decoder_layers: Layers
    dropout: Share
    channels: tuple[Width, ...]
    kernel: Annotated[int, Range(1, 255)]
    groups: Annotated[int, Range(1, 16_384)]
    step_embedding: Annotated[int, Range(4, 16_384)]
    learning_rate: Rate
    betas: tuple[Share, Share]
    weight_decay: Factor
    warmup_steps: Annotated[int, Range(0, 1_000_000_000)]
    ema_power: Annotated[float, Range(0, 100)]
    ema_after: Annotated[int, Range(0, 1_000_000_000)] = later(0)
    pad_after: Annotated[int, Range(-1, 1_023)] = later(-1)
    ensemble: Annotated[float, Range(-1, 100)] = later(-1.0)

    def __post_init__(self) -> None:
        check_bounds(self, "head")
        named_in_paths("head.name", self.name)
        one_of("head.condition", self.condition, ("pooled", "tokens"))
        one_of("head.denoiser", self.denoiser, ("transformer", "unet"))
        one_of("head.sampler", self.sampler, ("ddim", "ddpm"))
        one_of("head.schedule", self.schedule, ("squaredcos_cap_v2", "linear"))
        one_of("head.prediction", self.prediction, ("epsilon", "sample"))
        if self.lead >= self.chunk:
            raise ConfigError(f"head.lead={self.lead} must be less than head.chunk={self.chunk}")
        if not 1 <= self.execute <= self.chunk - self.lead:
            raise ConfigError(
                f"head.execute={self.execute}: between 1 and the {self.chunk - self.lead} actions of a chunk that are "
                f"not past (head.chunk={self.chunk}, head.lead={self.lead})"
            )
        check_ensemble(self.ensemble, self.execute)
        if not 1 <= self.sample_steps <= self.train_steps:
            raise ConfigError(
                f"head.sample_steps={self.sample_steps} is not from 1 to head.train_steps={self.train_steps}"
            )
        if self.denoiser == "unet":
            if self.condition == "tokens":
                raise ConfigError("head.denoiser=unet takes the pooled feature; tokens need head.denoiser=transformer")
            self._check_unet()
            shrinks = 2 ** (len(self.channels) - 1)
            if self.chunk % shrinks:
                raise ConfigError(f"head.chunk={self.chunk} must be a multiple of {shrinks} for head.denoiser=unet")
        elif self.width % self.heads:
            raise ConfigError(f"head.width={self.width} must be a multiple of head.heads={self.heads}")
        if self.condition == "tokens" and self.obs_steps > 1:
            raise ConfigError("head.condition=tokens takes one observation: head.obs_steps=1")

    def _check_unet(self) -> None:
        if not 1 <= len(self.channels) <= 8:
            raise ConfigError(f"head.channels={shown(self.channels)} is not allowed: a U-Net has 1 to 8 levels")
        odd = [width for width in self.channels if width % self.groups]
        if odd:
            raise ConfigError(f"head.channels: {odd[0]} must be a multiple of head.groups={self.groups}")
        if not self.kernel % 2:
            raise ConfigError(f"head.kernel={self.kernel} must be odd: an even one would shorten the chunk")
        if self.step_embedding % 2:
            raise ConfigError(f"head.step_embedding={self.step_embedding} must be even: a sine and a cosine each")

    def identity(self) -> dict[str, Any]:
        """What a number depends on, the package that schedules the noise among it."""
        return named_by(self) | {"packages": {"diffusers": metadata.version("diffusers")}}


def left_out(head: Mapping[str, Any]) -> int:
    """Frames at an episode's end of which a diffusion head makes no sample: their chunks reach past the end by more
    than `pad_after` actions. head: its settings, as a record's identity has them; 0 for the direct heads.
    """
    pad = head.get("pad_after", -1)
    return 0 if pad < 0 else max(0, head["chunk"] - head["lead"] - 1 - pad)


def check_labels(name: str, known: Collection[str]) -> None:
    """Raises `ConfigError` for a policy that is called as a head of this project is."""
    if base_of(name) in {*known, "whole"}:
        raise ConfigError(f"a policy must not be called {base_of(name)}, which is a head: give its card another name")


def added(head: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that heads did not have when older records were made, with what was done then. head: its settings."""
    kind = DiffusionConfig if "denoiser" in head else HeadConfig
    return later_fields(kind)
