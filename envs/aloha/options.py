"""What can be said of the simulator by `env.aloha.KEY=VALUE`; what its numbers depend on is in its version."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from envs.aloha.places import STEP
from envs.options import BadOption, options_of

LONGEST_DELAY = 1.0
"""Seconds."""
BY_JOINTS, ABSOLUTE, RELATIVE = CONTROLS = ("joints", "cartesian", "relative-cartesian")
MOST_NOISE = 0.1
"""Radians."""
NOISE_LABELS = 2
"""Raised when what is recorded under noise changes: 1 held the expert's own corrections of the noise."""


@dataclass(frozen=True)
class Options:
    """root: the checkout, read where it is looked for (`envs.aloha.checkout`).

    stand_ins: without some visual meshes that mirrors of aloha_sim leave out (`checkout.REPLACEABLE`).
    image_delay, joint_delay: seconds by which images (and points and views) and proprio are late. aloha_sim's own
        default is 0.3 and 0.1; CLAMP says nothing.
    variety: whether the experts vary grasps, speed and way between episodes.
    noise: standard deviation, radians, of a slow disturbance of the joint targets that the experts play and do not
        label: what is recorded is the undisturbed target (Laskey et al., DART, 2017).
    control: what an action says, one of `CONTROLS` (`envs.aloha.control`).
    habit: whether the experts take of all grasps and goals those nearest to one posture of the task, and not the
        cheapest (`envs.aloha.experts.habits`, where the tasks are that have one).
    """

    root: str | None = None
    stand_ins: bool = False
    image_delay: float = 0.0
    joint_delay: float = 0.0
    variety: bool = True
    noise: float = 0.0
    control: str = BY_JOINTS
    habit: bool = False

    @property
    def image_steps(self) -> int:
        return round(self.image_delay / STEP)

    @property
    def joint_steps(self) -> int:
        return round(self.joint_delay / STEP)

    @property
    def named(self) -> str:
        """What a number depends on, for the simulator's version; "" with the defaults."""
        names = ("image_delay", "joint_delay", "variety", "noise", "control", "habit")
        other = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(Options, name)}
        said = [f"{name}={f'{value:g}' if isinstance(value, float) else value}" for name, value in other.items()]
        if self.noise:
            said.insert(1 + [part.partition("=")[0] for part in said].index("noise"), f"noise-labels={NOISE_LABELS}")
        return "".join(f", {part}" for part in said)


def control_in(version: str) -> str:
    """What a version of the simulator says of its control, or options KEY=VALUE with a comma between them."""
    return next((part.partition("=")[2] for part in version.split(", ") if part.startswith("control=")), BY_JOINTS)


def options_in(version: str) -> str:
    """What a version of the simulator says of its options, as they are given (`env.aloha.variety=false`); else ""."""
    names = {field.name for field in dataclasses.fields(Options)}
    parts = [part for part in version.split(", ") if part.partition("=")[0] in names and "=" in part]
    return " ".join(f"env.aloha.{part.replace('=True', '=true').replace('=False', '=false')}" for part in parts)


def read_options() -> Options:
    """As said on the command line or in $REPBENCH_ALOHA_OPTIONS. Raises `BadOption`."""
    said = options_of("aloha")
    known = {field.name: field for field in dataclasses.fields(Options)}
    if unknown := sorted(set(said) - set(known)):
        raise BadOption(f"env.aloha.{unknown[0]} is no option; there are {', '.join(known)}")
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name == "root":
            wanted, right = "the path of a folder", isinstance(value, str)
        elif name == "control":
            wanted, right = f"one of {', '.join(CONTROLS)}", value in CONTROLS
        elif isinstance(known[name].default, bool):
            wanted, right = "true or false", isinstance(value, bool)
        else:
            most = MOST_NOISE if name == "noise" else LONGEST_DELAY
            wanted = f"a number from 0 to {most:g}"
            right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
            if right and name != "noise" and abs(value / STEP - round(value / STEP)) > 1e-6:
                wanted, right = f"a multiple of {STEP:g} s, the length of a step", False
        if not right:
            raise BadOption(f"env.aloha.{name}={value!r} is not allowed: it must be {wanted}")
        found[name] = float(value) if isinstance(known[name].default, float) else value
    return Options(**found)
