"""The numbers of the experiment, the suite it is run on and the head it is run with, as typed data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from benchmark.errors import ConfigError
from benchmark.language import PREFIX, Language, kinds
from benchmark.seeds import parts
from envs.base import Env
from envs.identity import named_by
from envs.registry import UnknownName, env_class, resolve
from envs.spec import ObservationRequest, SpecMismatch, read_crop


@dataclass(frozen=True)
class Protocol:
    """See `benchmark/conf/protocol/clar.yaml` for each number's source."""

    name: str
    title: str
    source: str
    train_demos: int
    valid_demos: int
    horizon: int
    min_success_steps: int
    max_expert_failures: int
    epochs: int
    evaluate_every: int
    rollouts: int
    retest_rollouts: int
    success: str
    select: str
    learning_rate: float
    encoder_lr_multiplier: float
    weight_decay: float
    batch_size: Mapping[str, int]
    clip_actions: bool

    def __post_init__(self) -> None:
        for name in ("train_demos", "horizon", "epochs", "evaluate_every", "rollouts", "retest_rollouts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"protocol.{name} must be at least 1, not {getattr(self, name)}")
        if self.valid_demos < 0:
            raise ConfigError(f"protocol.valid_demos must not be negative, and is {self.valid_demos}")
        if self.evaluate_every > self.epochs:
            raise ConfigError(
                f"protocol.evaluate_every={self.evaluate_every} is more than protocol.epochs={self.epochs}: "
                "no checkpoint would ever be evaluated"
            )
        if self.rollouts > 10_000:
            raise ConfigError("protocol.rollouts above 10,000 would reuse the seeds of the next evaluation")
        _one_of("protocol.success", self.success, ("any-step", "last-step"))
        _one_of("protocol.select", self.select, ("first", "last"))
        if not self.learning_rate > 0:
            raise ConfigError(f"protocol.learning_rate must be positive, not {self.learning_rate}")
        if set(self.batch_size) != {"2d", "3d"} or min(self.batch_size.values()) < 2:
            raise ConfigError(f"protocol.batch_size needs 2d and 3d, at least 2 each, not {dict(self.batch_size)}")

    @property
    def demos(self) -> int:
        return self.train_demos + self.valid_demos

    @property
    def evaluation_epochs(self) -> list[int]:
        return list(range(self.evaluate_every, self.epochs + 1, self.evaluate_every))


@dataclass(frozen=True)
class HeadConfig:
    """See `benchmark/conf/head/*.yaml`."""

    name: str
    width: int
    hidden: tuple[int, ...]
    activation: str
    init: str
    input_scale: float

    def __post_init__(self) -> None:
        _one_of("head.activation", self.activation, ("relu", "selu"))
        _one_of("head.init", self.init, ("default", "orthogonal"))

    def identity(self) -> dict[str, Any]:
        """What a number depends on."""
        return named_by(self)


@dataclass(frozen=True)
class DiffusionConfig:
    """See `benchmark/conf/head/diffusion.yaml`."""

    name: str
    condition: str
    denoiser: str
    obs_steps: int
    chunk: int
    lead: int
    execute: int
    train_steps: int
    sample_steps: int
    sampler: str
    schedule: str
    prediction: str
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    channels: tuple[int, ...]
    kernel: int
    groups: int
    step_embedding: int
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int
    ema_power: float

    def __post_init__(self) -> None:
        _one_of("head.condition", self.condition, ("pooled", "tokens"))
        _one_of("head.denoiser", self.denoiser, ("transformer", "unet"))
        _one_of("head.sampler", self.sampler, ("ddim", "ddpm"))
        _one_of("head.schedule", self.schedule, ("squaredcos_cap_v2", "linear"))
        _one_of("head.prediction", self.prediction, ("epsilon", "sample"))
        if not 1 <= self.execute <= self.chunk - self.lead:
            raise ConfigError(
                f"head.execute={self.execute}: between 1 and the {self.chunk - self.lead} actions of a chunk that are "
                f"not past (head.chunk={self.chunk}, head.lead={self.lead})"
            )
        if not 0 <= self.lead < self.chunk or self.obs_steps < 1:
            raise ConfigError("head.lead must be from 0 to head.chunk - 1, and head.obs_steps at least 1")
        if not 1 <= self.sample_steps <= self.train_steps:
            raise ConfigError(
                f"head.sample_steps={self.sample_steps} is not from 1 to head.train_steps={self.train_steps}"
            )
        if self.denoiser == "unet":
            if self.condition == "tokens":
                raise ConfigError("head.denoiser=unet takes the pooled feature; tokens need head.denoiser=transformer")
            shrinks = 2 ** (len(self.channels) - 1)
            if self.chunk % shrinks:
                raise ConfigError(f"head.chunk={self.chunk} must be a multiple of {shrinks} for head.denoiser=unet")
        elif self.width % self.heads:
            raise ConfigError(f"head.width={self.width} must be a multiple of head.heads={self.heads}")
        if self.condition == "tokens" and self.obs_steps > 1:
            raise ConfigError("head.condition=tokens takes one observation: head.obs_steps=1")

    def identity(self) -> dict[str, Any]:
        """What a number depends on, the package that schedules the noise among it."""
        return named_by(self) | {"packages": {"diffusers": metadata.version("diffusers")}}


@dataclass(frozen=True)
class Suite:
    """A named list of tasks with their cameras. `tasks` maps a group (easy, ...) to task names.

    shift: what else the selected checkpoint is retested under on the same episodes: further cameras, and
        `instructions=held-out` or `instructions=shuffled`. joint: one policy for all tasks, told which by `language`.
    observation: options of `envs.spec.ObservationRequest` as plain data; `crop` is `[x0, y0, z0, x1, y1, z1]` in
        metres, a name that the simulator knows, or absent for the simulator's own.
    """

    name: str
    title: str
    env: str
    source: str
    tasks: Mapping[str, tuple[str, ...]]
    observation: Mapping[str, Any] = field(default_factory=dict)
    shift: tuple[str, ...] = ()
    joint: bool = False
    language: Language | None = None

    def __post_init__(self) -> None:
        try:
            read_crop(self.observation.get("crop"))
        except SpecMismatch as error:
            raise ConfigError(f"suite.observation.crop: {error}") from error
        untold = [task for task in self.task_names if self.language and task not in self.language.instructions]
        if untold:
            raise ConfigError(f"suite.language.instructions has none for {', '.join(untold)}")
        for shift in self.shift:
            there = kinds(self.language)
            if shift.startswith(PREFIX) and shift[len(PREFIX) :] not in there:
                raise ConfigError(
                    f"suite.shift: {shift} cannot be played here; there {'are' if there else 'is'} "
                    f"{', '.join(PREFIX + kind for kind in there) or 'no such'} (suite.language)"
                )
        if self.joint and self.language is None:
            raise ConfigError(f"{self.name} is joint: without suite.language a policy cannot know which task it is in")

    @property
    def task_names(self) -> list[str]:
        return [task for group in self.tasks.values() for task in group]

    def env_class(self) -> type[Env]:
        return env_class(self.env)

    def select(self, tasks: list[str] | None) -> list[str]:
        """The named tasks in the suite's order, or all. Raises `UnknownName`."""
        for task in tasks or []:
            if task not in self.task_names:
                raise UnknownName(f"task of {self.name}", task, self.task_names)
        return [task for task in self.task_names if not tasks or task in tasks]

    def cells(self, tasks: list[str] | None) -> list[str]:
        """The tasks of cells: each of its own, or all of them together as `button-press+reach`."""
        if not self.joint:
            return self.select(tasks)
        return ["+".join(self.select([one for task in tasks for one in parts(task)] if tasks else None))]

    def request(self, observes: tuple[str, ...], num_points: int | None) -> ObservationRequest:
        """What the simulator has to compute for a method that observes these fields (and for the head: proprio).

        The simulator's own choices are filled in as numbers. Raises `ConfigError` or `SpecMismatch`.
        """
        options = dict(self.observation)
        options["cameras"] = tuple(options.get("cameras", ()))
        options["crop"] = read_crop(options.get("crop"))
        if num_points is not None:
            options["num_points"] = num_points
        try:
            request = ObservationRequest(fields=tuple(dict.fromkeys((*observes, "proprio"))), **options)
        except TypeError as error:
            raise ConfigError(f"suite.observation: {error}") from error
        return resolve(self.env_class(), request)


@dataclass(frozen=True)
class Runtime:
    """How it is computed. `precision` alone changes a number."""

    device: str
    precision: str
    workers: int | str
    threads: int | str
    worker_timeout: float
    weights_dir: str | None = None

    def __post_init__(self) -> None:
        _one_of("runtime.precision", self.precision, ("fp32", "bf16"))
        for name in ("workers", "threads"):
            value = getattr(self, name)
            if value != "auto" and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"runtime.{name} is 'auto' or a number of at least 1, not {value!r}")


@dataclass(frozen=True)
class Settings:
    """All that `bench run` was told, apart from method, tasks and seeds."""

    suite: Suite
    protocol: Protocol
    head: HeadConfig | DiffusionConfig
    runtime: Runtime
    env_python: str | None
    method_options: Mapping[str, Any] = field(default_factory=dict)
    head_asked: bool = False
    """Whether the head was named or changed on purpose; if not, a method's own head takes its place."""

    def identity(self) -> dict[str, Any]:
        """The part that a number depends on, the suite apart, of which each cell names what it uses."""
        protocol = {key: value for key, value in named_by(self.protocol).items() if key not in ("title", "source")}
        return {"protocol": protocol, "head": self.head.identity(), "precision": self.runtime.precision}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is none of {', '.join(allowed)}")
