"""The rows of CLAR's Table V: one encoder pre-trained in four ways, and not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.system.errors import ConfigError

SUITE = "clar-ablation"


@dataclass(frozen=True)
class Variant:
    """row: as Table V prints it. without: parts that are off; None is no pre-training at all."""

    row: str
    name: str
    without: tuple[str, ...] | None


VARIANTS = (
    Variant("CLAR", "full", ()),
    Variant("CLAR w/o MAE", "without-mae", ("mae",)),
    Variant("CLAR w/o Local", "without-local", ("local",)),
    Variant("CLAR w/o Local and Con.", "mae-only", ("local", "contrast")),
    Variant("CLAR w/o Pre.", "none", None),
)


def choose(names: Sequence[str] | None) -> tuple[Variant, ...]:
    """The variants of these names, or all, in the table's order. Raises `ConfigError`."""
    known = [variant.name for variant in VARIANTS]
    for name in names or []:
        if name not in known:
            raise ConfigError(f"--variants {name} is none of {', '.join(known)}")
    return tuple(variant for variant in VARIANTS if not names or variant.name in names)
