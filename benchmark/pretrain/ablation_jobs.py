"""Table V: one encoder pre-trained in four ways, and not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.settings.ablation_variants import Variant
from benchmark.system.errors import ConfigError


def ablation_jobs(
    variants: Sequence[Variant], method: str, data: Sequence[str], teacher: str, overrides: Sequence[str] = ()
) -> dict[Variant, PretrainJob]:
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
    from benchmark.settings.clar_pretraining import ClarPretrainConfig
    from methods.registry import method_class

    for job in jobs.values():
        if not isinstance(job.config, ClarPretrainConfig):
            raise ConfigError(f"Table V is of CLAR's encoders; {job.method} is none")
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
