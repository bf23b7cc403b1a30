"""Table V: one encoder pre-trained in four ways, and not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError
from benchmark.pretrain.job import PretrainJob, make_job

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


def ablation_jobs(variants: Sequence[Variant], method: str, data: Sequence[str], teacher: str,
                  overrides: Sequence[str] = ()) -> dict[Variant, PretrainJob]:  # fmt: skip
    """The pre-training of each variant that has one."""
    return {
        variant: make_job(method, data, variant.without, teacher, overrides)
        for variant in variants
        if variant.without is not None
    }


def check_norm(jobs: Mapping[Variant, PretrainJob], method_options: Mapping[str, Any]) -> None:
    """Raises `ConfigError` where the cells would normalise clouds otherwise than a pre-training does.

    The rows with a pre-training and the one without are compared, so all of them must see clouds alike.
    """
    from methods.registry import method_class

    for job in jobs.values():
        default = next(o.default for o in method_class(job.method).card.options if o.name == "norm")
        asked = str(method_options.get("norm", default))
        if asked != job.config.norm:
            raise ConfigError(
                f"pretrain.norm={job.config.norm} and method.norm={asked}: the rows of Table V must all normalise "
                f"clouds alike; give both, such as pretrain.norm={asked} method.norm={asked}"
            )


def weights_of(variant: Variant, jobs: dict[Variant, PretrainJob], out: Path) -> str:
    """What `--weights` is for this variant."""
    return str(jobs[variant].weights(out)) if variant in jobs else "random"
