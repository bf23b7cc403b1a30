"""Whether a policy is shown virtual views that are drawn as those that its encoder was pre-trained on: the same layout,
and on the same simulator as full."""

from __future__ import annotations

from benchmark.experiment.cell import Cell
from benchmark.records.pretraining_card import card_inside, config_of, is_policys
from benchmark.system.errors import ConfigError

SAME = {"height": None, "width": None, "splat": 1}
"""What decides how full views are, and what a pre-training that does not say it had (None: nobody knows)."""


def check_views(cell: Cell) -> None:
    """Of weights that were pre-trained on views. Raises `ConfigError`, naming the settings."""
    if "views" not in cell.request.fields:
        return
    for file in cell.weights.files:
        card = card_inside(file)
        if card is None or is_policys(card):
            continue
        told = config_of(card).encoder_options()
        for name in sorted({"layout", "views"} & {option.name for option in cell.card.options}):
            then, now = (said.get(name, "five") for said in (told, cell.options))
            if then != now:
                raise ConfigError(f"{file} was pre-trained with {name}={then}: give method.{name}={then}")
        for source in card["identity"].get("data", ()):
            if source.get("kind") != cell.settings.suite.env:
                continue
            drawn = {name: source.get(name, default) for name, default in SAME.items()}
            other = {n: v for n, v in drawn.items() if v is not None and v != getattr(cell.request, n)}
            if other:
                now = ", ".join(f"{name}={getattr(cell.request, name)}" for name in other)
                mend = " ".join(f"suite.observation.{name}={value}" for name, value in other.items())
                raise ConfigError(
                    f"{file} was pre-trained on views that are drawn otherwise than this policy's ({now}): give {mend}"
                )
