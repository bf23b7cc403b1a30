"""A record against itself and against the simulator: needs neither weights nor torch nor a GPU.

`benchmark.records.verdict` says what a number may rest on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmark.records.actions import BadActions, evaluations_actions, read_kept, retest_actions
from benchmark.records.copies import policy_of, unmoved
from benchmark.records.further_episodes import further_actions, read_further
from benchmark.records.hash_chain import episode_digest, sent_actions
from benchmark.records.joint_tasks import split
from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation, Record
from benchmark.records.replay_actions import Simulator
from benchmark.records.replay_actions import replay as play_again
from benchmark.records.shifted_retests import read_shifts, shift_actions
from benchmark.records.verdict import DECLARED, Again, Part, Verdict
from benchmark.settings.instructions import PREFIX
from benchmark.settings.seeds import TRAINED_ON, parts


def audit(
    record: Record,
    path: Path,
    simulator: Simulator,
    most: int | None = None,
    again: Callable[[Record, Path], Again] | None = None,
) -> Verdict:
    """Check a record that was read, and so agrees with itself. most: at most so many episodes of each are replayed.

    again: plays the checkpoints of best* and last, where they are there.
    """
    cell = f"{record.protocol}/{record.suite}/{record.task}/{record.method}/{record.head}-s{record.seed}"
    retest = _part(record, "retest", record.retest, retest_actions(path), "", simulator, most)
    parts_ = [replace(retest, camera="")]
    kept = evaluations_actions(path)
    chosen = {
        "best*": next(e for e in record.evaluations if e.epoch == record.selected_epoch),
        "last": record.evaluations[-1],
    }
    for name, evaluation in chosen.items():
        if kept.exists():
            parts_.append(_part(record, name, evaluation, kept, f"{evaluation.epoch}-", simulator, most))
        else:
            parts_.append(_unplayed(name, evaluation))
    if kept.exists():  # that none of them was better is why the selected epoch was retested
        others = [e for e in record.evaluations if e not in chosen.values()]
        parts_ += [_part(record, f"epoch {e.epoch}", e, kept, f"{e.epoch}-", simulator, most) for e in others]
    wrong: list[str] = []
    try:
        for shift, evaluation in read_shifts(path, record).items():
            part = _part(record, shift, evaluation, shift_actions(path, shift), "", simulator, most)
            through = not shift.startswith(PREFIX) and shift != TRAINED_ON
            parts_.append(replace(part, camera=shift) if through else part)
    except BadRecord as error:
        wrong.append(str(error))
    try:
        more = read_further(path, record)
        if more is not None:
            parts_.append(_part(record, "played on", more, further_actions(path), "", simulator, most))
    except BadRecord as error:
        wrong.append(str(error))
    found = again(record, path) if again is not None else Again()
    if found.settings == DECLARED:  # else a checkpoint has just been seen to send them
        parts_ = [replace(part, left=(*part.left, *unmoved(record, part, parts_))) for part in parts_]
    merged = tuple(_better(part, found.parts.get(part.name)) for part in parts_)
    return Verdict(cell, str(path), policy_of(record), merged, tuple(wrong), found.settings, found.notes)


def unread(path: Path, error: BadRecord) -> Verdict:
    """Of a file that is no record, or contradicts itself."""
    return Verdict(str(path), str(path), (), (), error.wrong or (error.reason,))


def _unplayed(name: str, evaluation: Evaluation) -> Part:
    return Part(name, len(evaluation.episodes), evaluation.tally.errors, chained=evaluation.link is not None)


def _part(
    record: Record, name: str, evaluation: Evaluation, file: Path, prefix: str, simulator: Simulator, most: int | None
) -> Part:
    part = _unplayed(name, evaluation)
    if not evaluation.tally.n and not any(row[2] for row in evaluation.episodes):
        hidden = ("no episode of it could be run by the record, which nothing here can tell",)
        return replace(part, nothing=True, left=hidden if name == "retest" else ())
    try:
        actions, hashes = read_kept(file, record.longest)
    except BadActions as error:
        return replace(part, left=(f"{file.name} cannot be replayed: {error}",))
    names = [str(row[0]) for row in evaluation.episodes]
    own = {name: actions[prefix + name] for name in names if prefix + name in actions}
    shrunk = {name: hashes[prefix + name] for name in names if prefix + name in hashes}
    if prefix and not own:  # runtime.keep_actions=all was said after this evaluation
        return part
    # one action over and over is what any policy sends that is stuck at a bound
    digests = frozenset(episode_digest(array) for array in own.values() if (array != array[:1]).any())
    if evaluation.actions is not None and not sent_actions(evaluation.actions, own, shrunk):
        return replace(part, wrong=(f"the actions in {file.name} are not those that were sent",))
    replayed, less, wrong, left = 0, 0, [], []
    several = len(parts(record.task)) > 1
    for task, rows in split(evaluation, record.task).items():
        asked = [row for row in rows[:most] if str(row[0]) not in shrunk]
        found = play_again(record, task, asked, actions, prefix, simulator, dict(evaluation.ended))
        where = f"{task}: " if several else ""
        replayed += found.played
        less += len(rows) - len(rows[:most])
        wrong += [where + text for text in found.wrong]
        left += [where + text for text in found.left]
    if shrunk:
        first = "the first" if list(own) == names[: len(own)] else "which are not the first, and may have been chosen"
        left.append(f"{len(own)} of {len(names)} episodes have their actions here, {first}; the others only a hash")
    if most == 0:
        left.append("no episode was to be replayed (--episodes 0)")
    return replace(part, replayed=replayed, asked_less=less, wrong=tuple(wrong), left=tuple(left), digests=digests)


def _better(part: Part, again: Part | None) -> Part:
    """A part with what its checkpoint showed."""
    if again is None:
        return part
    return replace(
        part,
        replayed=max(part.replayed, again.replayed),
        wrong=(*part.wrong, *again.wrong),
        left=(*part.left, *again.left),
    )
