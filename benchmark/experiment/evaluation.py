"""Rollouts to what a record keeps of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmark.experiment.rollout import Episode
from benchmark.records.hash_chain import actions_digest, episode_digest
from benchmark.records.joint_tasks import of_rows
from benchmark.records.record import Evaluation


def evaluation_of(
    epoch: int,
    episodes: Sequence[Episode],
    checkpoint: str | None,
    train: float | None = None,
    valid: float | None = None,
) -> Evaluation:
    """checkpoint: hash of the weights that were played."""
    rows = [(e.seed, int(e.success), e.steps, e.error) for e in episodes]
    ended = {e.seed: e.ended for e in episodes if e.ended is not None}
    return dataclasses.replace(
        of_rows(epoch, rows, ended),
        train_loss=train,
        valid_loss=valid,
        checkpoint=checkpoint,
        actions=actions_digest({seed: episode_digest(sent) for seed, sent in actions_of(episodes).items()}),
    )


def curves_of(evaluation: Evaluation) -> dict[str, float]:
    """What an evaluation adds to the curves of a log (`benchmark.experiment.live_log`)."""
    found = {"evaluation/success": evaluation.tally.rate} if evaluation.tally.n else {}
    return found | ({} if evaluation.valid_loss is None else {"loss/validation": evaluation.valid_loss})


def actions_of(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """By the episodes' seeds, as they are kept beside a record."""
    return {str(episode.seed): episode.actions.astype(np.float32, copy=False) for episode in episodes}


def began_of(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """How episodes really began, by their seeds; {} where seeds say it."""
    return {str(episode.seed): episode.began for episode in episodes if episode.began is not None}


def failed_actions(episodes: Sequence[Episode]) -> str:
    """How many episodes ended by an action that failed, and why; empty where none did."""
    why = Counter(e.ended for e in episodes if e.ended is not None and not e.success)
    said = ", ".join(f"{reason} ({count})" for reason, count in why.most_common())
    return f"{why.total()} of {len(episodes)} ended by a failed action: {said}" if why else ""
