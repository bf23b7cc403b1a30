"""What each shipped method is and needs, and how much of CLAR's Table I was measured for it: the README's matrix."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.record import Record
from benchmark.report.tables.table import Table
from benchmark.settings.suite import Suite
from methods.card import MethodCard

KINDS = {"2d": "images", "3d": "points", "control": "control"}


def method_status(records: Sequence[Record], cards: Sequence[MethodCard], suite: Suite, protocol: str) -> Table:
    """A row a card. Records of random weights where a method has pre-trained ones count as not measured."""
    own = [r for r in records if r.suite == suite.name and r.protocol == protocol and not r.weights.get("untrained")]
    rows = []
    for card in cards:
        found = [r for r in own if r.method == card.name and not r.identity.get("options")]
        tasks, seeds = {r.task for r in found}, {r.seed for r in found}
        rows.append(
            (
                card.name,
                KINDS[card.kind],
                "–" if not card.parameters else f"{card.parameters / 1e6:.1f} M",
                card.training,
                card.licence.partition(" (")[0],
                _weights(card),
                f"{len(tasks)}/{len(suite.task_names)}" if tasks else "–",
                str(len(seeds)) if tasks else "–",
            )
        )
    columns = ("method", "sees", "encoder", "training", "licence", "weights", "measured", "seeds")
    return Table(
        f"Methods, and the tasks of {suite.name} measured under {protocol}", columns, tuple(rows), (), text_columns=6
    )


def _weights(card: MethodCard) -> str:
    if not card.weights:
        return "none needed"
    return "published" if all(file.url for file in card.weights) else "your own"
