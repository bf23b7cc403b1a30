"""`bench pretrain --policy`: a whole policy trained on a suite's tasks, as initial weights for others."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cli.options import echo, print_json
from benchmark.system.errors import ConfigError


@dataclass(frozen=True)
class Asked:
    """Options of the command line, as they were given."""

    suite: str
    tasks: list[str] | None
    protocol: str
    seed: int
    weights: str | None
    name: str | None
    overrides: list[str]
    out: Path
    cache: Path | None


def refuse_mixed(policy: str | None, encoders: dict[str, Any], policies: dict[str, Any]) -> None:
    """Raises `ConfigError` for an option of the other kind of pre-training; None and False are not given."""
    others = policies if policy is None else encoders
    given = next((name for name, value in others.items() if value not in (None, False)), None)
    if given is None:
        return
    if policy is None:
        raise ConfigError(f"{given} is of a policy's pre-training: name it with --policy")
    raise ConfigError(f"{given} is of an encoder's pre-training, and --policy {policy} trains on a suite: leave it out")


def pretrain_whole(policy: str, asked: Asked, dry_run: bool, overwrite: bool, as_json: bool) -> None:
    """Raises what `benchmark.experiment.pretrain_policy` does."""
    from benchmark.experiment.make_cells import preflight
    from benchmark.experiment.pretrain_policy import plan_policy_pretraining, pretrain_policy
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings

    settings = load_settings(asked.suite, asked.protocol, None, asked.overrides)
    job = plan_policy_pretraining(settings, asked.tasks, policy, asked.seed, asked.weights, asked.name)
    weights = job.weights(asked.out)
    if dry_run:
        print_json({"weights": str(weights), **job.identity()})
        return
    preflight([job.cell])
    paths = Paths(asked.out, asked.cache or asked.out / "data")
    card, computed = pretrain_policy(job, paths, shlex.join(["bench", *sys.argv[1:]]), overwrite)
    print_json(card) if as_json else echo(in_words(card, weights, computed))


def in_words(card: dict[str, Any], weights: Path, computed: bool) -> str:
    last = card["history"][-1]
    held = f", held-out {last['valid']['loss']:.4g}" if last["valid"] else ""
    changed = {**card["options"], **card["window"]}
    options = "".join(f" policy.{name}={value}" for name, value in changed.items())
    tasks = sum(len(source["tasks"]) for source in card["data"].values())
    return "\n".join(
        [
            f"{weights}: {'trained now' if computed else 'up to date, not re-run'}, {card['steps']:,} steps "
            f"on {tasks} tasks, {card['seconds'] / 60:.0f} min",
            f"training loss {last['train']['loss']:.4g}{held}",
            f"use it on other tasks: bench run --suite SUITE --policy {card['method']} --weights {weights}{options}",
        ]
    )
