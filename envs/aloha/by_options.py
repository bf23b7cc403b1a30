"""What the class `Aloha` says of itself that its options decide, looked up each time it is asked."""

from __future__ import annotations

from typing import Any

from envs.aloha import checkout
from envs.aloha.control import SPECS
from envs.aloha.options import read_options
from envs.spec import ActionSpec


class Version:
    """`aloha==1, aloha_sim 3cb9adff (content), stand-ins for ..., OPTION=VALUE`: all that numbers depend on."""

    def __get__(self, instance: object, owner: Any) -> str:
        options = read_options()
        found = checkout.usable(checkout.root_named(), options.stand_ins)
        shapes = f", stand-ins for {' '.join(found.replaced)}" if found.replaced else ""
        return f"aloha=={owner.revision}, aloha_sim {checkout.COMMIT[:8]} ({found.content}){shapes}{options.named}"


class Actions:
    """The `ActionSpec` of the control that is asked for (`envs.aloha.control`)."""

    def __get__(self, instance: Any, owner: Any) -> ActionSpec:
        return SPECS[read_options().control if instance is None else instance.options.control]
