"""`bench run` as a function."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.experiment.make_cells import make_cells, preflight
from benchmark.experiment.place_policy import place_policy
from benchmark.experiment.run_cells import Outcome, run_cells
from benchmark.records.frame import frame_of
from benchmark.records.joint_tasks import by_task
from benchmark.records.paths import Paths
from benchmark.settings.catalog import register_baselines
from benchmark.settings.load import load_settings
from benchmark.settings.seeds import LARGEST_SEED
from benchmark.system.errors import ConfigError
from envs.errors import UserError
from methods.errors import no_exit
from methods.policy import Policy
from repbench.method_names import Method, method_names, policy_name

_busy = threading.Lock()


class CellsFailed(UserError, RuntimeError):
    """Cells that have no record, after all others were finished.

    failed: (cell, what was raised and where its traceback is). busy: (cell, which process is at it). finished: the
    frame of the others.
    """

    def __init__(self, outcome: Outcome, finished: pd.DataFrame) -> None:
        self.failed, self.busy, self.finished = tuple(outcome.failed), tuple(outcome.busy), finished
        self.exit_code = outcome.exit_code
        there = len(outcome.done)
        said = [f"{cell} failed: {error}" for cell, error in self.failed]
        said += [f"{cell} was not done: {error}" for cell, error in self.busy]
        of = there + len(said)
        super().__init__(f"{len(said)} of {of} {'cell' if of == 1 else 'cells'} without a record: {'; '.join(said)}")


def run(
    suite: str = "metaworld-15",
    method: Method | Sequence[Method] = (),
    tasks: str | Sequence[str] | None = None,
    protocol: str = "clar",
    head: str | None = None,
    seeds: int | Sequence[int] = (0,),
    weights: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = "runs",
    data: str | os.PathLike[str] | None = None,
    overrides: str | Sequence[str] = (),
    device: str = "auto",
    overwrite: bool = False,
    policy: str | type[Policy] | None = None,
) -> pd.DataFrame:
    """Train and score methods on a suite; issued again, it does only what is missing.

    method: a registered name, `file.py:Class`, a subclass of `Representation` that stands in a file, or several. It is
        the class as the file says it now that is run, since that is what a record names.
    policy: `file.py:Class`, or a subclass of `methods.policy.Policy` that stands in a file, in the place of a head; one
        that is whole by itself in the place of a method.
    tasks: names; None for all of the suite. head: None for the default, or the method's own.
    weights: `random` or a file; None for the published ones. data: demonstrations and caches; None for `out`/data.
    overrides: `key=value` of `benchmark/conf`, such as `protocol.epochs=2`.

    Returns the rows of these cells alone, with the columns of `benchmark.records.frame`. Raises `CellsFailed` after all
    other cells are done; `ConfigError`, `UnknownName` and other `UserError`s before any work.
    """
    if not _busy.acquire(blocking=False):
        raise ConfigError(
            "repbench.run was called while another one is at work: one process runs one at a time, and what a script "
            "with a method in it does belongs under `if __name__ == '__main__':`"
        )
    try:
        register_baselines()
        names, head = _placed(method, policy, head)
        chosen = [tasks] if isinstance(tasks, str) else None if tasks is None else list(tasks)
        if chosen is not None and not chosen:
            raise ConfigError("tasks=[] names no task; leave it out for all of the suite")
        numbers, changed = _seeds(seeds), [overrides] if isinstance(overrides, str) else list(overrides)
        file = None if weights is None else os.fspath(weights)
        command = _command(
            suite=suite,
            method=names,
            tasks=chosen,
            protocol=protocol,
            head=head,
            seeds=numbers,
            weights=file,
            overrides=changed,
            device=device,
            overwrite=overwrite,
        )
        asked = [f"runtime.device={device}"] if device != "auto" else []  # the default takes no override back
        settings = load_settings(suite, protocol, head, [*changed, *asked])
        paths = Paths(Path(out), Path(data) if data is not None else Path(out) / "data")
        with no_exit():
            cells = make_cells(settings, chosen, names, numbers, file)
            preflight(cells)
            outcome = run_cells(cells, paths, command, overwrite)
    finally:
        _busy.release()
    if outcome.edited:
        warnings.warn(outcome.edited_note(), stacklevel=2)
    found = frame_of((path, one) for path, record, _ in outcome.done for one in by_task(record))
    if outcome.exit_code:
        raise CellsFailed(outcome, found)
    return found


def _placed(
    method: Method | Sequence[Method], policy: str | type[Policy] | None, head: str | None
) -> tuple[list[str], str | None]:
    """Names of the methods, and the head. Raises `ConfigError` for what does not go together."""
    named = policy_name(policy) if isinstance(policy, type) else policy
    given = None if named is not None and not isinstance(method, str | type) and not list(method) else method
    names = None if given is None else method_names(given)
    placed, head = place_policy(named, names, head)
    assert placed is not None, "a policy was given, or method_names has refused"
    return placed, head


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    given: list[Any] = [seeds] if isinstance(seeds, int) else list(seeds)
    for seed in given:
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            raise ConfigError(f"seeds: {seed!r} is no whole number from 0 to {LARGEST_SEED}")
    if not given:
        raise ConfigError("seeds=() names no training seed; give one or several, such as 0 or range(3)")
    return list(dict.fromkeys(given))


def _command(**said: Any) -> str:
    """What a record says of how it was made."""
    return f"repbench.run({', '.join(f'{key}={value!r}' for key, value in said.items())})"
