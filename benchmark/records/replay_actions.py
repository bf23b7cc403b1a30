"""Kept actions, played again in the simulator: what contradicts a record, and what could not be played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.records.record import Record, Row
from benchmark.records.simulator_options import use_options
from benchmark.settings.task_rules import rule_of
from envs.class_facts import NoSimulator
from envs.description import describe
from envs.options import BadOption
from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.registry import BrokenFile, UnknownName
from envs.spec import ObservationRequest
from envs.versions import simulator_facts

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Simulator:
    """How episodes are played again. python: the simulator's interpreter. any_version: also in another version.

    files: simulators that may be run, `path/to/file.py:Class`. A record may name any file of this machine.
    """

    workers: int
    python: str | None = None
    any_version: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replay:
    """played: how many episodes. wrong: what contradicts them. left: those that could not be played, and why."""

    played: int
    wrong: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class _Rules:
    """What decides an episode's outcome. ended: seed -> why, by the record, the simulator ended it."""

    success: str
    horizon: int
    ended: Mapping[int, str]


@dataclass(frozen=True)
class _Seen:
    """What the simulator said when the actions were played: flags, why it ended the episode, what it raised."""

    flags: Sequence[bool]
    ended: str | None
    error: str | None


def replay(
    record: Record,
    task: str,
    rows: Sequence[Row],
    actions: Mapping[str, np.ndarray],
    prefix: str,
    with_: Simulator,
    ended: Mapping[int, str],
) -> Replay:
    """Episodes of one task. actions: by prefix and seed. ended: which of them the simulator ended, and why.

    Of a simulator that restores no state, an episode that goes otherwise is not checked: nobody knows that it would go
    the same again.
    """
    missing = without_simulator(record, with_)
    if missing:
        return Replay(0, (), (missing,))
    if why := describe(record.env, with_.python).not_replayable:
        return Replay(0, (), (f"no episode of {record.env} can be played again: {why}",))
    wrong, left, jobs = [], [], []
    widths = {array.shape[1] for array in actions.values() if len(array)}
    if len(widths) > 1:  # an action of another size would make the simulator raise, and a failure an error
        return Replay(0, (f"its actions have {' and '.join(map(str, sorted(widths)))} numbers",), ())
    for row in rows:
        seed, _, steps, error = row
        kept = actions.get(f"{prefix}{seed}")
        if kept is None or (error is not None and not len(kept)):
            why = "its actions were not kept" if error is None else f"it could not be run then ({error})"
            left.append(f"episode {seed}: {why}")
        elif len(kept) != steps:
            wrong.append(f"episode {seed} has {steps} steps in the record and {len(kept)} kept actions")
        else:
            jobs.append((row, kept))
    if not jobs:
        return Replay(0, tuple(wrong), tuple(left))
    try:
        config = EnvConfig(record.env, task, ObservationRequest(("proprio",)), with_.python)
        with Pool(config, min(with_.workers, len(jobs))) as pool:
            replies = dict(pool.map("replay_to_error", [(row[0], kept) for row, kept in jobs]))
    except (WorkerError, WorkerDied) as refusal:
        return Replay(0, tuple(wrong), (*left, str(refusal)))
    played, exact = 0, describe(record.env, with_.python).restorable
    rules = _Rules(rule_of(record.identity, task, "success"), rule_of(record.identity, task, "horizon"), ended)
    for number, (row, _) in enumerate(jobs):
        judge = _judge if row[3] is None else _judge_error
        verdict, checked = judge(rules, row, _Seen(*replies[number]))
        if verdict and checked and not exact:
            verdict, checked = f"{verdict}; this simulator restores no state, and may play otherwise", False
        played += checked
        if verdict:
            (wrong if checked else left).append(verdict)
    return Replay(played, tuple(wrong), tuple(left))


def _judge(rules: _Rules, row: Row, seen: _Seen) -> tuple[str, bool]:
    """Of an episode that was run: what is wrong with it, and whether it was checked."""
    (seed, success, steps, _), flags = row, seen.flags
    if seen.error is not None:
        return f"episode {seed} is a {_word(success)} in the record, and its actions raise {seen.error}", True
    then = rules.ended.get(seed)
    stopped = success and rules.success == "any-step"  # nobody asked then whether the simulator would go on
    if len(flags) < steps or (seen.ended != then and not stopped):
        said, here = (f"ended by '{why}'" if why else "not ended by the simulator" for why in (then, seen.ended))
        return f"episode {seed} is {said} in the record, and {here} after {len(flags)} of its {steps} actions", True
    now = bool(flags[-1]) if rules.success == "last-step" else any(flags)
    if now != bool(success):
        said, here = _word(success), _word(now)
        return f"episode {seed} is a {said} in the record and a {here} when its actions are played", True
    if rules.success == "any-step" and any(flags[:-1]):
        return f"episode {seed} succeeds at step {flags.index(True) + 1}, before the last of its kept actions", True
    return "", True


def _judge_error(rules: _Rules, row: Row, seen: _Seen) -> tuple[str, bool]:
    """Of an episode that could not be run then. A failure that is called an error would leave the average."""
    (seed, _, steps, said), flags, error = row, seen.flags, seen.error
    if error is not None:
        if len(flags) + 1 == steps and str(said).startswith(error[:40]):
            return "", True
        if len(flags) + 1 == steps:
            return f"episode {seed} could not be run then ({said}), and now for another reason ({error})", False
        return f"episode {seed} could not be run then after {steps} actions, and now fails at {len(flags) + 1}", True
    if any(flags) and rules.success == "any-step":
        return f"episode {seed} could not be run by the record ({said}), and succeeds when its actions are played", True
    if seen.ended is not None:
        return f"episode {seed} could not be run by the record ({said}), and ends by '{seen.ended}' when played", True
    if steps == rules.horizon:
        return f"episode {seed} could not be run by the record ({said}), and its actions play to the end", True
    return f"episode {seed}: it could not be run then ({said}), and its {steps} actions play without an error", False


def without_simulator(record: Record, with_: Simulator) -> str:
    """Why the record's episodes cannot be played here; empty if they can."""
    if ".py:" in record.env and record.env not in with_.files:
        return f"its simulator is a file, which is run only where you name it: --simulator {record.env}"
    try:
        use_options(record)
        other = other_simulator(record, with_.python)
    except BadOption as error:
        return f"its simulator_options are not {record.env}'s: {error}"
    except (UnknownName, BrokenFile, OSError, ImportError, NoSimulator) as missing:
        return f"the simulator {record.env} is not here ({missing})"
    return f"{other} (--any-version replays all the same)" if other and not with_.any_version else ""


def other_simulator(record: Record, python: str | None = None) -> str:
    """What of the simulator here is not as it was recorded, in words; empty if all is. What only draws or samples
    points is no part of a replay. Raises what looking the simulator up raises.
    """
    here, there = simulator_facts(record.env, python), record.identity["env"]
    pairs = [
        ("the simulator", there["version"], here["version"]),
        ("its source", there.get("source"), here.get("source")),
    ]
    versions = here["packages"].items()
    pairs += [(name, there["packages"].get(name), version) for name, version in versions]
    odd = [(name, then, now) for name, then, now in pairs if then != now]
    return "; ".join(f"recorded with {name} {then or 'unknown'}, and {now} is here" for name, then, now in odd[:2])


def _word(success: object) -> str:
    return "success" if success else "failure"
