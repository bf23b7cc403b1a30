"""A method's facts as typed data: what it sees, how its input is prepared, what is trained, where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from envs.identity import later, named_by
from envs.names import LONGEST, UnsafeName, safe_name
from envs.registry import UnknownName
from envs.spec import ActionSpec, FieldSpec
from envs.view_layouts import FIVE, LAYOUTS


@dataclass(frozen=True)
class ImageInput:
    """How pixels reach the network. `methods.preprocess` reads this and is the only place that applies it.

    size: height = width in pixels of what the network gets.
    pixel_range: range the network's own normalisation expects, before mean and std: (0, 1) or (0, 255).
    mean, std: per channel, in units of `pixel_range`.
    resize: `none` (the simulator renders at `size`), `short-side` (proportions are kept: the short side becomes
        `scaled`, then the central `size` x `size` are cut out) or `stretch` (to `scaled` x `scaled`, whatever the
        shape, then the same cut) or `whole` (nothing is cut off: where the short side is longer than `size` the image
        is shrunk, in its proportions, until it is `size`; smaller images stay as they are).
    scaled: pixels of the short side before the cut; 0: `size`.
    interpolation: averaging where it shrinks, as PIL and torchvision do; bicubic with their a = -0.5, also where it
        enlarges.
    rounded: a resized image has whole numbers in 0..255, as PIL leaves them; else fractions, of which bicubic ones
        may lie outside, as torchvision leaves tensors.
    keeps_size: an image of `size` x `size` is not touched, whatever `scaled` says.
    """

    size: int
    pixel_range: tuple[float, float]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: Literal["none", "stretch", "short-side", "whole"] = "none"
    scaled: int = later(0)
    interpolation: Literal["bicubic", "bilinear"] = later("bicubic")
    rounded: bool = later(False)
    keeps_size: bool = later(False)


@dataclass(frozen=True)
class PointInput:
    """How a cloud reaches the network.

    normalization: `none` keeps metres in the robot frame; `unit_sphere` subtracts the centroid and divides by the
        largest radius, cloud by cloud; `limits` maps each axis' range over the training clouds to [-1, 1].
        The others have one centre and one scale for many clouds, so shapes keep their proportions and things their
        place: `fixed` those on the card (`FixedPointInput`), whatever the task; `task` the middle and the largest half
        of the training clouds' range, fitted anew for every task, pre-trained or not; `workspace` the same where
        weights are untrained, and for pre-trained ones the range that came with them: older CLAR's, kept so that its
        checkpoints and records can be made again.
    """

    num_points: int
    normalization: Literal["none", "unit_sphere", "limits", "fixed", "task", "workspace"]


@dataclass(frozen=True)
class FixedPointInput(PointInput):
    """Of methods whose normalisation is, or can be, `fixed`: (points - center) / half_width. Robot frame, metres."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half_width: float = 1.0


@dataclass(frozen=True)
class VectorInput:
    """A state vector. `standardize` subtracts the training mean and divides by the training deviation."""

    field: str
    normalization: Literal["none", "standardize"]


@dataclass(frozen=True)
class WeightFile:
    """One file of pre-trained weights, as its publisher offers it.

    url: None if nobody has published it. sha256, size (bytes): None where the publisher states none that could be
    checked when this was written; a fetch then keeps what it found beside the file.
    """

    filename: str
    url: str | None
    licence: str
    sha256: str | None = None
    size: int | None = None
    non_commercial: bool = False
    note: str = ""


@dataclass(frozen=True)
class MethodOption:
    """A choice that the paper leaves open, or a fault of public code that is not repeated by default.

    Given as `method.NAME=VALUE`, and to the constructor as a keyword. allowed: the values, the default among them.
    random: those under which `encode` draws at random when a policy is played too; under all others it must not.
    changes: what else the card says under a value, as (value, field of the card, what it is then).
    """

    name: str
    default: str
    allowed: tuple[str, ...]
    meaning: str
    random: tuple[str, ...] = ()
    changes: tuple[tuple[str, str, Any], ...] = ()


def past_actions_spec(card: MethodCard, action: ActionSpec) -> dict[str, FieldSpec]:
    """The field that a method with `past_actions` reads and no simulator gives; empty for other methods."""
    if not card.past_actions:
        return {}
    shape = (card.past_actions, action.size)
    return {"past_actions": FieldSpec("past_actions", shape, "float32", action.unit, "", "newest last, zeros before")}


@dataclass(frozen=True)
class MethodCard:
    """Everything a table, a protocol or a person has to know about a method.

    observes: fields of an observation that `encode` reads.
    training: `end-to-end` (all parameters are trained), `partial` (the method's `requires_grad` says which) or
        `frozen` (none; features are computed once).
    kind: `2d`, `3d` or `control`.
    batch: which of the protocol's batch sizes applies; Lift3D's public code uses one for 2D and one for 3D methods.
    parameters: published or computed count of the encoder, asserted in a test; None where it depends on the input.
    requires: optional Python packages, each with the command that installs it.
    head: the head a policy brings along; None takes whichever the run asks for.
    past_actions: how many of the latest actions `encode` reads, as the field `past_actions` (B, H, A): zeros before
        the first step, the newest last.
    layout: of the virtual cameras whose `views` it observes, one of `envs.view_layouts.LAYOUTS`.
    reported_as: the method's row in the papers' tables, None if they have none.
    version: raised by hand whenever what the method computes, or how it is trained, changes; moving code about changes
        neither. Part of a record's identity and of the key of kept features. Of the methods that are shipped, a
        committed table of certificates says what each version computes (`tests/golden/certificates.json`).
    """

    name: str
    title: str
    summary: str
    kind: Literal["2d", "3d", "control"]
    observes: tuple[str, ...]
    input: ImageInput | PointInput | VectorInput | None
    training: Literal["end-to-end", "partial", "frozen"]
    batch: Literal["2d", "3d"]
    paper: str
    licence: str
    parameters: int | None = None
    parameters_source: str = ""
    weights: tuple[WeightFile, ...] = ()
    options: tuple[MethodOption, ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    head: str | None = None
    past_actions: int = 0
    reported_as: str | None = None
    notes: tuple[str, ...] = ()
    version: int = 1
    layout: str = later(FIVE)

    def __post_init__(self) -> None:
        """Raises ValueError, in one line, for a field that is not what the class says of it."""
        for name, allowed in _literals().items():
            if getattr(self, name) not in allowed:
                raise self._wrong(name, f"one of {', '.join(allowed)}")
        for name in ("name", "title", "summary", "paper", "licence", "parameters_source"):
            if not isinstance(getattr(self, name), str):
                raise self._wrong(name, "a text")
        try:
            safe_name("name", self.name)  # what follows a `+` in a table is an option, weights or a text encoder
        except UnsafeName:
            rule = f"letters, digits, '.', '_' and '-', up to {LONGEST}, because it names files"
            raise self._wrong("name", rule) from None
        for name, least, most in (("version", 1, 10**9), ("past_actions", 0, 10**4), ("parameters", 0, 10**15)):
            value = getattr(self, name)
            if not (value is None and name == "parameters") and (type(value) is not int or not least <= value <= most):
                raise self._wrong(name, f"a whole number, {least} or more, up to {most}")
        for name, kind in _LISTS.items():
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
                raise self._wrong(name, f'a tuple of {kind.__name__}, with a comma after a single one: ("rgb",)')
        if len(set(self.observes)) < len(self.observes):
            raise self._wrong("observes", "a tuple that names each field once")
        for pair in self.requires:
            if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
                raise self._wrong(
                    "requires", 'pairs of a package and how it is installed: (("timm", "pip install timm"),)'
                )
        if self.input is not None and not isinstance(self.input, ImageInput | PointInput | VectorInput):
            raise self._wrong("input", "an ImageInput, a PointInput, a VectorInput or None")
        _check_input(self.name, self.input)
        for name, allowed in _literals(type(self.input)).items() if self.input is not None else ():
            if getattr(self.input, name) not in allowed:
                value = getattr(self.input, name)
                raise ValueError(
                    f"the card of {self.name} has input.{name}={value!r}; it is one of {', '.join(allowed)}"
                )
        if self.layout not in LAYOUTS:
            raise self._wrong("layout", f"one of {', '.join(LAYOUTS)}")
        for name in ("head", "reported_as"):
            if not isinstance(getattr(self, name), str | None):
                raise self._wrong(name, "a text or None")

    def _wrong(self, name: str, expected: str) -> ValueError:
        return ValueError(f"the card of {self.name!s:.100} has {name}={getattr(self, name)!r:.100}; it is {expected}")

    def choose_options(self, given: Mapping[str, Any]) -> dict[str, str]:
        """The given options without those at their default. Raises `UnknownName` or ValueError for a wrong one."""
        known = {option.name: option for option in self.options}
        chosen = {}
        for name, value in given.items():
            if name not in known:
                raise UnknownName(f"option of {self.name}", name, known)
            text = str(value).lower() if isinstance(value, bool) else str(value)  # YAML reads true as a bool
            if text not in known[name].allowed:
                raise ValueError(f"method.{name}={value} is none of {', '.join(known[name].allowed)} ({self.name})")
            if text != known[name].default:
                chosen[name] = text
        return chosen

    def under(self, options: Mapping[str, Any]) -> MethodCard:
        """The card of the method with these options: what is observed and trained may be chosen by one."""
        new = {
            field: then
            for option in self.options
            for value, field, then in option.changes
            if str(options.get(option.name, option.default)) == value
        }
        return dataclasses.replace(self, **new) if new else self

    @property
    def frozen(self) -> bool:
        return self.training == "frozen"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without `later` fields that have their default, as a number's name has it."""
        return {**named_by(self), "input": None if self.input is None else named_by(self.input)}

    def random(self, options: Mapping[str, str]) -> bool:
        """Whether `encode` is meant to draw at random under these options."""
        return any(options.get(option.name, option.default) in option.random for option in self.options)


def _check_input(name: str, found: Any) -> None:
    """Raises ValueError for numbers that no network or simulator could be asked for."""
    limits = {"size": (1, 10**4), "num_points": (1, 10**7), "scaled": (0, 10**4)}
    for field, (least, most) in limits.items():
        value = getattr(found, field, least)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(
                f"the card of {name} has input.{field}={value!r}; it is a whole number from {least} to {most}"
            )
    for field in ("rounded", "keeps_size"):
        if type(getattr(found, field, False)) is not bool:
            raise ValueError(f"the card of {name} has input.{field}={getattr(found, field)!r}; it is True or False")
    if 0 < getattr(found, "scaled", 0) < found.size:
        raise ValueError(
            f"the card of {name} has input.scaled={found.scaled}, from which no {found.size} pixels can be cut"
        )


_LISTS: dict[str, type] = {
    "observes": str,
    "weights": WeightFile,
    "options": MethodOption,
    "requires": tuple,
    "notes": str,
}


def _literals(kind: Any = MethodCard) -> dict[str, tuple[str, ...]]:
    """The fields of a card, or of its input, that take one of a few words."""
    hints = get_type_hints(kind).items()
    return {name: get_args(hint) for name, hint in hints if getattr(hint, "__origin__", None) is Literal}
