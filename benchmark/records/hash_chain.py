"""A record's evaluations as a chain of hashes, written while the cell runs.

Each link names the one before it, the outcomes of an evaluation, the weights that were played and the actions that
were sent. The first names the settings and the demonstrations; that of the
retest also the renderer and the commit. So no outcome can be changed, left out or
put elsewhere without every later link; and where a checkpoint or the actions are kept, they have to be those that the
link names. Hashes are no signature: who computes the whole chain anew makes another one, and only a replay tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.system.digest import digest

if TYPE_CHECKING:
    import numpy as np

    from benchmark.records.record import Evaluation, Record


def first_link(identity_hash: str, demo_hash: str) -> str:
    return digest(["chain", 1, identity_hash, demo_hash])


def before_retest(last: str, fingerprint: str, commit: str | None) -> str:
    """What the retest's link begins with. last: the link of the last evaluation."""
    return digest([last, fingerprint, commit])


def next_link(before: str, evaluation: Evaluation, what: str = "evaluation") -> str:
    """what: which set of episodes it is: `evaluation`, `retest`, `further`, or the shift."""
    facts: list[Any] = [
        before,
        what,
        evaluation.epoch,
        evaluation.episodes,
        evaluation.train_loss,
        evaluation.valid_loss,
        evaluation.checkpoint,
        evaluation.actions,
    ]
    if evaluation.ended:
        facts.append(evaluation.ended)
    return digest(facts)


def linked(before: str, evaluation: Evaluation, what: str = "evaluation") -> Evaluation:
    """The evaluation with its link."""
    return replace(evaluation, link=next_link(before, evaluation, what))


def break_in(record: Record) -> str | None:
    """What in the chain does not fit, or None. A record that was made before there were chains has none."""
    parts = [(f"the evaluation of epoch {e.epoch}", e, "evaluation") for e in record.evaluations]
    parts.append(("the retest", record.retest, "retest"))
    if not has_chain(record):
        return "only some of its evaluations are chained" if any(part.link for _, part, _ in parts) else None
    before = first_link(record.made_as, record.demo_hash)
    for said, evaluation, what in parts:
        if what == "retest":
            before = before_retest(before, record.fingerprint, (record.provenance.get("git") or {}).get("commit"))
        if evaluation.link != next_link(before, evaluation, what):
            return f"{said} is not what its chained hash says: it, or something before it, was changed afterwards"
        before = evaluation.link
    chosen = next((e for e in record.evaluations if e.epoch == record.selected_epoch), None)
    if chosen is not None and chosen.checkpoint != record.retest.checkpoint:
        return "the retest was not played by the weights that were selected"
    return None


def has_chain(record: Record) -> bool:
    return all(e.link is not None for e in (*record.evaluations, record.retest))


def episode_digest(actions: np.ndarray) -> str:
    """Of the actions (steps, A) float32 of one episode."""
    return hashlib.sha256(_described("", actions) + actions.tobytes()).hexdigest()


def actions_digest(episodes: Mapping[str, str]) -> str:
    """Of the actions of several episodes: name in the file of actions -> `episode_digest`."""
    return digest(["actions", 2, sorted(episodes.items())])


def sent_actions(record_digest: str, actions: Mapping[str, np.ndarray], hashes: Mapping[str, str]) -> bool:
    """Whether these are the actions of a record's evaluation, which has `record_digest` of them.

    hashes: of episodes of which no more is left (`benchmark.records.shrink`). A record that was made before episodes
    were hashed one by one has a hash of all their actions together.
    """
    if record_digest == actions_digest({**hashes, **{key: episode_digest(array) for key, array in actions.items()}}):
        return True
    if hashes.keys() - actions.keys():
        return False
    total = hashlib.sha256()
    for key in sorted(actions):
        total.update(_described(key, actions[key]) + actions[key].tobytes())
    return record_digest == total.hexdigest()


def _described(key: str, array: np.ndarray) -> bytes:
    return f"{key}|{array.dtype.str}|{array.shape}|".encode()
