"""A policy trained on stored demonstrations and never played: its losses, and no success rate.

What is left is no record, lies in a folder of its own (OUT/losses) and says `rollouts: false`; whoever reads records
refuses it by that. A held-out loss says how well actions of demonstrations are predicted. How often a robot succeeds
does not follow from it.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.demos import Demos
from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.existing_work import begin, check_begun, check_demos
from benchmark.experiment.probe import probe
from benchmark.experiment.task_data import TaskData, join_hashes, load_demos, open_without_rollouts, stored_demos
from benchmark.records.hash_chain import first_link
from benchmark.records.paths import Paths, record_path
from benchmark.records.simulator_options import options_now
from benchmark.records.write import seal_of
from benchmark.system import provenance
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.difference import difference
from benchmark.system.errors import OtherSettings
from benchmark.system.files import StorageError, discard, exclusive, write_atomically, write_json
from benchmark.system.progress import bar, say
from benchmark.training.trainer import Trainer
from envs.errors import UserError
from methods.errors import no_exit

WHAT = "losses on demonstrations; no episode was played, so there is no success rate"


@dataclass
class Trained:
    """done: the file of each cell and what it holds. failed: `cell` and `error` of the others."""

    done: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)


def train_cells(cells: list[Cell], paths: Paths, command: str, overwrite: bool) -> Trained:
    """Every cell's losses, found or computed. A cell that fails leaves its traceback, and the others go on."""
    found = Trained()
    for cell in cells:
        try:
            with no_exit():
                found.done.append((losses_file(cell, paths), train_cell(cell, paths, command, overwrite)))
        except (StorageError, KeyboardInterrupt):
            raise
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            file = _work(cell, paths) / "error.txt"
            write_atomically(file, lambda handle, trace=trace: handle.write(trace.encode()))  # type: ignore[misc]
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error} (see {file})"
            say(f"{cell.label} failed: {said}")
            found.failed.append({"cell": cell.label, "error": said})
    return found


def losses_file(cell: Cell, paths: Paths) -> Path:
    s = cell.settings
    named = (s.protocol.name, s.suite.name, cell.task, cell.method_name, s.head.name, cell.seed)
    return record_path(paths.losses, *named)


def _work(cell: Cell, paths: Paths) -> Path:
    """Its checkpoints; they stay, the last is the trained policy."""
    return losses_file(cell, paths).with_suffix("")


def train_cell(cell: Cell, paths: Paths, command: str, overwrite: bool) -> dict[str, Any]:
    """The content of the cell's file of losses. Raises `OtherSettings` where that is of other settings, `Busy` if
    another process is computing it, and what `benchmark.experiment.run_cell.run_cell` raises before any work."""
    target, work = losses_file(cell, paths), _work(cell, paths)
    with exclusive(work / "lock", cell.label, wait=False):
        if target.exists() and not overwrite:
            return _its_own(cell, target)
        built = probe(cell)
        if overwrite:
            for file in work.glob("*"):
                if not file.name.startswith("lock"):
                    discard(file)
        check_begun(cell, work)
        run = CellRun(cell, paths, work, command, built)
        begin(cell, work)
        with open_training(run) as task_data:
            data = _train(run, task_data)
        write_json(target, data)
        discard(work / "error.txt")
        return data


@contextmanager
def open_training(run: CellRun) -> Iterator[list[TaskData]]:
    """The demonstrations of the cell's tasks, collected where they are not there and can be. Raises `ConfigError`."""
    cell, paths = run.cell, run.paths
    restorable = cell.settings.simulator().restorable
    demos = load_demos(cell, paths, run.workers) if restorable else stored_demos(cell, paths)
    with open_without_rollouts(cell, demos, run.workers) as task_data:
        yield task_data


@dataclass(frozen=True)
class Fitted:
    """A policy after its last step, and what it has learned from. checkpoint: of that step."""

    trainer: Trainer
    demos: list[Demos]
    demo_hash: str
    checkpoint: Path


def fit_policy(run: CellRun, task_data: list[TaskData], title: str, last_alone: bool = False) -> Fitted:
    """Train to the last step, from where an earlier start stopped, with a loss on held-out demonstrations at every
    evaluation of the protocol. Raises as `CellRun.prepare`, `Trainer` and `WorkFolder` do.

    last_alone: whether the checkpoint of an evaluation goes when the next is there.
    """
    cell, protocol = run.cell, run.protocol
    demos = [of_task.demos for of_task in task_data]
    demo_hash = join_hashes(demos)
    check_demos(run.work, demo_hash)
    run.kept.mend(first_link(run.identity, demo_hash), lambda _: [])
    prepared = run.prepare(task_data)
    trainer = Trainer(prepared.policy, protocol, cell.seed, cell.batch_size, run.device, run.bf16)
    if (newest := run.kept.newest(played=False)) is not None:
        trainer.restore(newest, run.identity)
    for epoch in protocol.evaluation_epochs:
        if trainer.epoch >= epoch:
            continue
        done = trainer.steps if protocol.steps else trainer.epoch
        with run.clock("training"), bar(title, protocol.length, done) as advance:
            while trainer.epoch < epoch:
                before, done = done, trainer.advance(prepared.train)
                advance(done - before, note=f"loss {trainer.loss:.4f}")
                run.kept.save_now_and_then(trainer)
        trainer.validate(prepared.valid)
        run.kept.save(trainer)
        if last_alone:
            run.kept.keep_alone(trainer.epoch)
    return Fitted(trainer, demos, demo_hash, run.kept.checkpoint(trainer.epoch))


def _train(run: CellRun, task_data: list[TaskData]) -> dict[str, Any]:
    cell, protocol = run.cell, run.protocol
    fitted = fit_policy(run, task_data, f"train {cell.label}")
    trainer, demos, demo_hash = fitted.trainer, fitted.demos, fitted.demo_hash
    train = sum(one.train for one in demos)
    losses = [{"epoch": epoch, **trainer.history[epoch - 1]} for epoch in protocol.evaluation_epochs]
    data = {
        "what": WHAT,
        "rollouts": False,
        "suite": cell.settings.suite.name,
        "task": cell.task,
        "method": cell.method_name,
        "head": cell.settings.head.name,
        "seed": cell.seed,
        "protocol": protocol.name,
        "identity": run.names,
        "identity_hash": run.identity,
        "demo_hash": demo_hash,
        "demos": {
            "train": train,
            "valid": sum(len(one.seeds) for one in demos) - train,
            "rows": sum(one.episodes.rows for one in demos),
            "drawn_by": sorted({one.sensors.fingerprint for one in demos if one.sensors is not None}),
        },
        "losses": losses,
        "optimizer_steps": trainer.steps,
        "weights": {
            "files": cell.weights.hashes(),
            "untrained": cell.weights.untrained,
            **cell.policy_weights_facts(),
        },
        "timings": {name: round(seconds, 2) for name, seconds in run.kept.timings.items()},
        "provenance": provenance.collect(run.device, run.command) | options_now(run.cell.settings.suite.env),
    }
    plain = json.loads(json.dumps(data))
    return {**plain, "seal": seal_of(plain)}


def _its_own(cell: Cell, target: Path) -> dict[str, Any]:
    try:
        data = read_json(target)
        if not isinstance(data, dict) or data.get("rollouts") is not False or data.get("seal") != seal_of(data):
            raise NotPlain("its content is not what its seal says")
    except NotPlain as error:
        raise OtherSettings(f"{target} is damaged ({error}); --overwrite computes it again") from error
    if data["identity"] != (now := cell.identity()):
        raise OtherSettings(
            f"{target} has losses under other settings ({difference(data['identity'], now)}). Use --overwrite to "
            "replace it or --out DIR to keep both"
        )
    return data


def as_text(trained: Trained) -> str:
    """One line a cell; nothing in it can be taken for a success rate."""
    lines = []
    for path, data in trained.done:
        last = data["losses"][-1]
        held = [one for one in data["losses"] if one.get("valid_loss") is not None]
        text = f"{data['task']:<18} {data['method']:<18} {data['head']} s{data['seed']}: "
        text += f"training loss {last['train_loss']:.4f}"
        if held:
            least = min(held, key=lambda one: one["valid_loss"])
            text += f", held-out loss {held[-1]['valid_loss']:.4f} after epoch {last['epoch']}"
            text += f" (least {least['valid_loss']:.4f} after {least['epoch']})"
        lines += [text, f"  {path}"]
    lines += [f"FAILED {one['cell']}: {one['error']}" for one in trained.failed]
    return "\n".join([*lines, "no episode was played: these are losses, and there is no success rate"])
