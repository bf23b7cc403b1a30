"""A whole policy trained on all tasks of a suite, to be what training on other tasks begins with.

One policy for all tasks, trained as `bench run --no-rollouts` trains one and never played; weights and card are of the
kind that `bench pretrain` leaves of an encoder, so the same rules hold: a record says which pre-training its weights
come from, and a task that is among the pre-training's is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.existing_work import begin, check_begun
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.probe import probe
from benchmark.experiment.train_only import Fitted, fit_policy, open_training
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import POLICY, card_inside
from benchmark.records.pretraining_files import check_card, set_aside, write_card, write_weights
from benchmark.report.plots import plot_pretraining
from benchmark.settings.policy import PolicyConfig
from benchmark.settings.settings import Settings
from benchmark.system import provenance
from benchmark.system.difference import difference
from benchmark.system.digest import digest
from benchmark.system.errors import ConfigError, OtherSettings
from benchmark.system.files import discard, exclusive
from benchmark.system.heartbeat import Heartbeat, read_attempts, wait_until_heartbeat_stops
from benchmark.system.progress import say
from benchmark.training.checkpoint import load_checkpoint, played_weights
from envs.names import safe_name
from methods.policy_card import PolicyCard
from methods.registry import policy_class

FORMAT = 1
WORK = "work"


@dataclass(frozen=True)
class PolicyPretraining:
    """cell: its task is all tasks of the pre-training, `a+b+c`. name: of the checkpoint."""

    cell: Cell
    name: str

    @property
    def label(self) -> str:
        return f"pre-training {self.cell.card.name}/{self.name}"

    def folder(self, out: Path) -> Path:
        return out / "pretrain" / self.cell.card.name / self.name

    def weights(self, out: Path) -> Path:
        return self.folder(out) / f"{self.name}.pt"

    def identity(self) -> dict[str, Any]:
        """What the weights depend on, apart from the demonstrations' content."""
        return {"format": FORMAT, "kind": POLICY, "cell": self.cell.identity()}


def plan_policy_pretraining(
    settings: Settings,
    tasks: list[str] | None,
    policy: str,
    seed: int,
    weights: str | None = None,
    name: str | None = None,
) -> PolicyPretraining:
    """Checked as the cells of a run are. name: None for the suite's. Raises `ConfigError`, and what `make_cells` does.

    The tasks are not the cells': one policy learns them all, and is told which only where the suite has instructions.
    """
    if policy_class(policy).card.representation:
        raise ConfigError(f"{policy} stands over a representation; a policy that is pre-trained is whole by itself")
    cells = make_cells(settings, tasks, [policy], [seed], weights)
    cell = dataclasses.replace(cells[0], task="+".join(one.task for one in cells))
    chosen = name if name is not None else settings.suite.name
    return PolicyPretraining(cell, safe_name("--name", chosen, "+="))


def pretrain_policy(
    job: PolicyPretraining, paths: Paths, command: str, overwrite: bool = False
) -> tuple[dict[str, Any], bool]:
    """The checkpoint's card, and whether it was made now. The same call after a kill goes on where it stopped.

    Raises `Busy` if another process is at it, `OtherSettings` if the place holds something else, and what
    `benchmark.experiment.run_cell.run_cell` raises before any work.
    """
    folder, cell = job.folder(paths.out), job.cell
    with exclusive(folder / "lock", job.label, wait=False):
        card, damage = check_card(folder)
        if card is not None and not overwrite:
            if card["identity_hash"] != digest(job.identity()):
                said = difference(dict(card.get("identity", {})), job.identity())
                raise OtherSettings(
                    f"{folder} holds a pre-training of other settings ({said}). Give it another --name, or --overwrite"
                )
            if not damage:
                discard(folder / WORK)  # of a start that was killed at its very end
                return card, False
        wait_until_heartbeat_stops(folder / WORK, job.label, say)
        built = probe(cell)
        if overwrite:
            for file in folder.glob("*"):
                if not file.name.startswith("lock"):
                    discard(file)
        elif damage:
            say(f"{damage}: trained again")
            set_aside(folder, card)
        check_begun(cell, folder / WORK)
        run = CellRun(cell, paths, folder / WORK, command, built)
        begin(cell, folder / WORK)
        with Heartbeat(folder / WORK, run.facts()) as run.heartbeat, open_training(run) as task_data:
            fitted = fit_policy(run, task_data, job.label, last_alone=True)
        card = _write(job, run, fitted, paths)
        discard(folder / WORK)
        return card, True


def _write(job: PolicyPretraining, run: CellRun, fitted: Fitted, paths: Paths) -> dict[str, Any]:
    path, card = job.weights(paths.out), _card(job, run, fitted)
    weights = {name: tensor.cpu() for name, tensor in played_weights(load_checkpoint(fitted.checkpoint)).items()}
    card = write_weights(path, {"policy": weights}, card)
    plot_pretraining(card, list(card["history"][0]["train"]), path.parent / "curves.png")
    write_card(path, card)
    return card


def _card(job: PolicyPretraining, run: CellRun, fitted: Fitted) -> dict[str, Any]:
    cell, trainer, suite = job.cell, fitted.trainer, job.cell.settings.suite
    own = {
        "frames": sum(one.train_rows for one in fitted.demos),
        "tasks": cell.tasks,
        "env": suite.env,
        "demonstrations": sum(one.train for one in fitted.demos),
    }
    identity = job.identity()
    return {
        "kind": POLICY,
        "method": cell.card.name,
        "label": job.name,
        "options": dict(cell.options),
        "window": _window(cell),
        "identity": identity,
        "identity_hash": digest(identity),
        "data": _merged({suite.name: own}, _before(cell)),
        "data_hash": fitted.demo_hash,
        "began_with": cell.weights.hashes(),
        "teacher": "none",
        "untrained_teacher": False,
        "steps": trainer.steps,
        "epochs": trainer.epoch,
        "frames_seen": trainer.steps * cell.batch_size,
        "history": _history(trainer.history, cell.settings.protocol.evaluation_epochs),
        "parameters": {"policy": sum(parameter.numel() for parameter in trainer.policy.parameters())},
        "provenance": provenance.collect(run.device, run.command),
        "attempts": read_attempts(run.work),
        "seconds": round(run.timings.get("training", 0.0), 1),
    }


def _window(cell: Cell) -> dict[str, int | float]:
    """How it looks and acts, where that is not what its card says."""
    head, written = cell.settings.head, cell.card
    assert isinstance(head, PolicyConfig) and isinstance(written, PolicyCard)
    return {name: now for name, value in written.window().items() if (now := getattr(head, name)) != value}


def _before(cell: Cell) -> dict[str, Any]:
    """What the weights it began with have seen already: that stays seen."""
    found: dict[str, Any] = {}
    for file in cell.weights.files:
        card = card_inside(file)
        found = _merged(found, card["data"] if card else {})
    return found


def _merged(data: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both; of a source that both name, all tasks."""
    found = dict(data)
    for name, facts in more.items():
        own = found.get(name)
        found[name] = facts if own is None else {**own, "tasks": sorted({*own["tasks"], *facts["tasks"]})}
    return found


def _history(history: Sequence[Mapping[str, Any]], evaluations: Sequence[int]) -> list[dict[str, Any]]:
    """Losses at every evaluation, as the cards of encoders have those of every epoch."""
    found = []
    for epoch in evaluations:
        one = history[epoch - 1]
        valid = one.get("valid_loss")
        found.append(
            {
                "epoch": epoch,
                **({"step": one["step"]} if "step" in one else {}),
                "train": {"loss": one["train_loss"], **one.get("terms", {})},
                "valid": {} if valid is None else {"loss": valid},
            }
        )
    return found
