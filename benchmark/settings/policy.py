"""A policy of the contract `methods.policy.Policy` in the place of a head, as typed data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from benchmark.settings.bounds import Range, check_bounds
from benchmark.settings.labels import label, named_in_paths
from benchmark.system.errors import ConfigError
from envs.identity import named_by
from methods.policy_card import PolicyCard

WHOLE = "whole"
"""The head's label of a policy that is whole by itself: then the policy is the method."""
WEIGHTS = "weights"
"""`policy.weights`: what a policy over a representation begins with; a whole one takes --weights."""
WITHOUT = "none"
"""Of `policy.weights`: begin as a policy does that was not pre-trained."""
RANDOM = "random"
"""Of `policy.weights`: none of the files that it has without pre-training either."""
WINDOW = ("chunk", "lead", "execute", "obs_steps", "pad_after", "ensemble")
Actions = Annotated[int, Range(1, 1_024)]


def check_ensemble(ensemble: float, execute: int) -> None:
    """Raises `ConfigError`. ensemble: -1 for none."""
    if ensemble != -1 and ensemble < 0:
        raise ConfigError(f"ensemble={ensemble} is not allowed: 0 or more weights the latest chunks, -1 is none")
    if ensemble >= 0 and execute != 1:
        raise ConfigError(f"ensemble={ensemble:g} looks again at every step: it takes execute=1, not {execute}")


def check_window(chunk: int, lead: int, execute: int) -> None:
    """Raises `ConfigError` where more is played than is planned."""
    if lead >= chunk or execute > chunk - lead:
        raise ConfigError(
            f"execute={execute}: between 1 and the actions of a chunk that are not past (chunk={chunk}, lead={lead})"
        )


@dataclass(frozen=True)
class PolicyConfig:
    """How a policy looks and acts, as its card says with a run's `policy.KEY=VALUE`. policy: a registered name or
    `path/to/file.py:Class`. code: what its numbers depend on (`methods.code.code_facts`); options: its card's, those at
    their default left out. weights: over a representation, a file, `random` or `none` that it begins with, as the run
    says; "" where it says nothing. The three are empty for a policy that is whole: the cell's method names them.
    """

    name: str
    policy: str
    chunk: Actions
    lead: Annotated[int, Range(0, 1_023)]
    execute: Actions
    obs_steps: Annotated[int, Range(1, 64)]
    pad_after: Annotated[int, Range(-1, 1_023)]
    ensemble: Annotated[float, Range(-1, 100)]
    card: str = ""
    code: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""

    def __post_init__(self) -> None:
        check_bounds(self, "policy")
        named_in_paths("the policy's label", self.name)
        check_window(self.chunk, self.lead, self.execute)
        check_ensemble(self.ensemble, self.execute)

    @property
    def whole(self) -> bool:
        return not self.card

    def identity(self) -> dict[str, Any]:
        """What a number depends on; where the file lies is no part of it."""
        found = {key: value for key, value in named_by(self).items() if key in ("name", *WINDOW)}
        if not self.whole:
            found["policy"] = {"name": self.card, "code": dict(self.code)}
            found["policy"] |= {"options": dict(self.options)} if self.options else {}
        return found


def policy_config(target: str, card: PolicyCard, given: Mapping[str, Any], code: Mapping[str, Any]) -> PolicyConfig:
    """target: as the user named it; given: `policy.KEY=VALUE`, of which a whole policy's options are left alone.

    Raises `ConfigError`, or `UnknownName` for an option that its card does not name.
    """
    written = card.window()
    window = {**written, **{key: value for key, value in given.items() if key in WINDOW}}
    if type(window["ensemble"]) is int:
        window["ensemble"] = float(window["ensemble"])
    changed: dict[str, Any] = {key: window[key] for key in WINDOW if window[key] != written[key]}
    if not card.representation:
        return PolicyConfig(label(WHOLE, changed), target, **window)
    try:
        options = card.choose_options({key: value for key, value in given.items() if key not in (*WINDOW, WEIGHTS)})
    except ValueError as error:
        raise ConfigError(str(error).replace("method.", "policy.")) from error
    weights = _beginning(card, given.get(WEIGHTS))
    begun = {WEIGHTS: Path(weights).stem} if weights not in ("", WITHOUT) else {}
    named = label(card.name, changed | options | begun)
    return PolicyConfig(named, target, **window, card=card.name, code=code, options=options, weights=weights)


def _beginning(card: PolicyCard, said: Any) -> str:
    """`policy.weights` as it was said. Raises `ConfigError` where a policy that may be pre-trained is not told."""
    if said is None and card.begins_as:
        raise ConfigError(
            f"{card.name} has to be told how it begins: policy.weights=FILE, which `bench pretrain --policy "
            f"{card.begins_as}` leaves, or --encoders-only (policy.weights={WITHOUT}) for a policy without pre-training"
        )
    if not isinstance(said, str | None) or said == "":
        raise ConfigError(f"policy.weights={said!s:.60} is not allowed: a file of weights, {RANDOM} or {WITHOUT}")
    if said not in (None, RANDOM, WITHOUT) and Path(said).stem in (RANDOM, WITHOUT):
        raise ConfigError(
            f"policy.weights={said}: a file of this name would stand in labels as no file does; rename it"
        )
    return said or ""
