"""The pre-trainings of an ablation's rows, and what its cells are told: CLAR's Table V, CLAMP's III and IV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.pretrain.data.sources import load_data, options_for
from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.records.pretraining_card import card_inside, control_of
from benchmark.settings.ablation_variants import Variant
from benchmark.settings.clamp_ablation import ACT, ClampVariant
from benchmark.settings.pretraining import config_class
from benchmark.system.errors import ConfigError
from envs.aloha.options import BY_JOINTS
from envs.description import interpreter_setting
from methods.registry import policy_class

AnyVariant = Variant | ClampVariant


def ablation_jobs(
    variants: Sequence[AnyVariant],
    method: str,
    data: Sequence[str],
    teacher: str | None,
    overrides: Sequence[str] = (),
) -> dict[AnyVariant, PretrainJob]:
    """The pre-training of each variant that has one."""
    return {
        variant: make_job(
            method, data, variant.without, teacher, [*overrides, *settings_of(variant)], _name(variant, data)
        )
        for variant in variants
        if variant.without is not None
    }


def simulators_options(data: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Of the cells' overrides what they say of the data's simulators: `env.aloha.stand_ins=true` is of the encoders'
    demonstrations, too. Another interpreter is the cells' alone; pre-trainings have their simulator in this one.
    """
    kinds = {load_data(name).kind for name in data}
    return [
        text
        for text in overrides
        for kind in kinds
        if options_for(kind, [text]) and not text.startswith(f"{interpreter_setting(kind)}=")
    ]


def _name(variant: AnyVariant, data: Sequence[str]) -> str | None:
    """Of a pre-training on other actions, which the variant of its settings does not tell from one on joint targets."""
    if not isinstance(variant, ClampVariant) or variant.control == BY_JOINTS:
        return None
    return "-".join(["+".join(data), variant.trained, variant.control])


def settings_of(variant: AnyVariant) -> list[str]:
    """Its settings of the pre-training, as overrides."""
    if not isinstance(variant, ClampVariant):
        return []
    return [f"{key}={value}" for key, value in variant.pretraining.items()] + _control_of(variant)


def _control_of(variant: ClampVariant) -> list[str]:
    """What its actions say, as the simulator's option."""
    return [f"env.aloha.control={variant.control}"] if variant.control != BY_JOINTS else []


def check_clamp(variants: Sequence[AnyVariant], method: str, begins: Mapping[str, str | None]) -> None:
    """Raises `ConfigError` for encoders that are none of CLAMP's, and for a policy that nothing is said to begin."""
    from benchmark.settings.clamp_pretraining import ClampPretrainConfig

    if not issubclass(config_class(method), ClampPretrainConfig):
        raise ConfigError(f"Tables III and IV are of CLAMP's encoders; {method} is none")
    for variant in variants:
        assert isinstance(variant, ClampVariant)
        option, file = "--act-weights" if variant.beside == ACT else "--policy-weights", begins.get(variant.beside)
        if file and not Path(file).is_file():  # now, not after the pre-trainings
            raise ConfigError(f"{option} {file}: there is no such file")
        if not file:
            raise ConfigError(
                f"{variant.name} ({variant.row}) begins with a pre-trained policy: give {option} FILE, which `bench "
                f"pretrain --policy {variant.beside}` leaves, or choose others with --variants"
            )
        card = card_inside(Path(file))
        learnt = control_of(card) if card is not None else None
        if learnt is not None and learnt != variant.control:
            raise ConfigError(
                f"{variant.name} ({variant.row}) has actions of control={variant.control}, and {file} learnt those of "
                f"control={learnt}: give {option} what `bench pretrain --policy {variant.beside} "
                f"env.aloha.control={variant.control}` leaves"
            )


def cells_of(variant: AnyVariant, head: str | None, begins: Mapping[str, str | None]) -> tuple[str | None, list[str]]:
    """Head and overrides of a variant's cells, beside what is said of all."""
    if not isinstance(variant, ClampVariant):
        return head, []
    card = policy_class(variant.beside).card
    own = [f"method.{name}={value}" for name, value in variant.method.items()]
    own += [f"policy.{name}={value}" for name, value in variant.policy.items()]
    return card.beside, [*own, *_control_of(variant), f"policy.weights={begins[variant.beside]}"]


def check_norm(jobs: Mapping[AnyVariant, PretrainJob], method_options: Mapping[str, Any]) -> None:
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


def weights_of(variant: AnyVariant, jobs: Mapping[AnyVariant, PretrainJob], out: Path) -> str:
    """What `--weights` is for this variant."""
    return str(jobs[variant].weights(out)) if variant in jobs else "random"
