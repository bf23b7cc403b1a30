"""What an ablation's cells would be refused for after their pre-trainings is said before them, which take days.

The networks that will learn are not there yet, so the cells are those of random weights; the policy that they begin
with, their tasks, their observations and their actions are already the true ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import refuse_seen
from benchmark.experiment.pretrained_views import refuse_other_views
from benchmark.pretrain.data.sources import check_actions
from benchmark.pretrain.job import PretrainJob
from benchmark.records.pretraining_card import Source
from benchmark.records.pretraining_files import check_card
from benchmark.settings.policy import PolicyConfig
from benchmark.system.errors import OtherSettings
from methods.hashed_text import DIM


def check_before_pretraining(cells: Iterable[tuple[Cell, PretrainJob]]) -> None:
    """Each cell with the pre-training that its weights will come from. Raises what the cell would raise then."""
    networks = set()
    for cell, job in cells:
        whose = f"{job.method}'s {job.label} would be"
        seen: dict[str, list[Source]] = {}
        for source in job.data:
            for task in source.tasks:
                seen.setdefault(task, []).append(Source(source.name, source.kind))
        refuse_seen(cell, seen, whose)
        refuse_other_views(cell, job.config.encoder_options(), job.identity()["data"], whose)
        if cell.past_actions:
            check_actions(job.data, cell.settings.simulator().action_spec.size)
        network = repr((cell.settings.head, cell.options))
        if network not in networks and isinstance(cell.settings.head, PolicyConfig):
            networks.add(network)
            cell.build_policy(cell.build(cell.specs()), DIM if cell.settings.suite.language else 0)


def refuse_pretrainings_of_other_settings(jobs: Iterable[PretrainJob], out: Path) -> None:
    """Raises `OtherSettings` where a folder that one of these would train into holds finished weights of others."""
    for job in jobs:
        card, _ = check_card(job.folder(out))
        if card is not None and card["identity_hash"] != job.identity_hash():
            raise OtherSettings(
                f"{job.folder(out)} holds a pre-training of other settings, and a suite trains over none: move that "
                "folder away, or say another --out"
            )
