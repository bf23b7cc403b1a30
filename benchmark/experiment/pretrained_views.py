"""Whether a policy is shown virtual views that are drawn as those that its encoder was pre-trained on: the same layout,
and on the same simulator as full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.records.pretraining_card import card_inside, config_of, is_policys
from benchmark.system.errors import ConfigError

SAME = {"height": None, "width": None, "splat": 1}
"""What decides how full views are, and what a pre-training that does not say it had (None: nobody knows)."""


def check_views(cell: Cell) -> None:
    """Of weights that were pre-trained on views. Raises `ConfigError`, naming the settings."""
    for file in cell.weights.files:
        card = card_inside(file)
        if card is not None and not is_policys(card):
            refuse_other_views(cell, config_of(card).encoder_options(), card["identity"].get("data", ()), f"{file} was")


def refuse_other_views(cell: Cell, told: Mapping[str, str], sources: Iterable[Mapping[str, Any]], whose: str) -> None:
    """told: the pre-training's options of its encoder. sources: its data, as its identity has them. whose: "FILE was",
    the beginning of what is said. Raises `ConfigError`.
    """
    if "views" not in cell.request.fields:
        return
    for name in sorted({"layout", "views"} & {option.name for option in cell.card.options}):
        then, now = (said.get(name, "five") for said in (told, cell.options))
        if then != now:
            raise ConfigError(f"{whose} pre-trained with {name}={then}: give method.{name}={then}")
    for source in sources:
        if source.get("kind") != cell.settings.suite.env:
            continue
        drawn = {name: source.get(name, default) for name, default in SAME.items()}
        other = {n: v for n, v in drawn.items() if v is not None and v != getattr(cell.request, n)}
        if other:
            now = ", ".join(f"{name}={getattr(cell.request, name)}" for name in other)
            mend = " ".join(f"suite.observation.{name}={value}" for name, value in other.items())
            raise ConfigError(
                f"{whose} pre-trained on views that are drawn otherwise than this policy's ({now}): give {mend}"
            )
