"""Many cells, one after the other: a cell that fails leaves its traceback and the others go on."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.probe_rules import file_of
from benchmark.experiment.run_cell import run_cell
from benchmark.records.joint_tasks import all_by_task
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.report.tables.clar_1 import cells_table
from benchmark.report.tables.forms import render
from benchmark.system.errors import OtherSettings
from benchmark.system.files import Busy, StorageError, stopped_by_disk, write_atomically
from benchmark.system.progress import say
from methods.errors import BadFeature, BadMethod, no_exit, raised


@dataclass
class Outcome:
    """What became of each cell.

    `exit_code`: 0 all there; 1 a cell failed; 2 cells failed, and all of them because their method breaks its contract,
    before any work; 3 another process has one. The cells of other methods go on.
    """

    done: list[tuple[Path, Record, bool]] = field(default_factory=list)
    edited: set[Path] = field(default_factory=set)
    """Records that were there, of shipped methods whose text is another now."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    busy: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0
    """Of those that failed, how many did before any work."""

    @property
    def exit_code(self) -> int:
        if self.failed:
            return 2 if self.refused == len(self.failed) else 1
        return 3 if self.busy else 0

    def as_dict(self) -> dict[str, Any]:
        def row(path: Path, record: Record, new: bool) -> dict[str, Any]:
            test = record.retest.tally
            return {
                "record": str(path),
                "task": record.task,
                "method": record.method,
                "head": record.head,
                "seed": record.seed,
                "protocol": record.protocol,
                "computed_now": new,
                "edited_since": path in self.edited,
                "best": [record.best.k, record.best.n],
                "retest": [test.k, test.n],
                "last": [record.last.k, record.last.n],
                "errors": record.errors,
                "failed_actions": record.failed_actions,
                "timings": record.timings,
            }

        return {
            "cells": [row(*entry) for entry in self.done],
            "failed": [{"cell": cell, "error": error} for cell, error in self.failed],
            "busy": [{"cell": cell, "error": error} for cell, error in self.busy],
        }

    def as_text(self, width: int | None = None) -> str:
        """`width`: of the table, in columns; None for the usual."""
        parts = []
        if self.done:
            table = cells_table(all_by_task(record for _, record, _ in self.done), "Results")
            parts.append(render(table, "terminal", width))
            parts.append("records (a .png curve and the retest's .actions.npz lie beside each):")
            parts += [f"  {path}{'' if new else '  (up to date, not re-run)'}" for path, _, new in self.done]
            if self.edited:
                parts.append(self.edited_note())
        parts += [f"FAILED {cell}: {error}" for cell, error in self.failed]
        parts += [f"not done: {error}; run the same command again later" for _, error in self.busy]
        return "\n".join(parts)

    def edited_note(self) -> str:
        names = ", ".join(sorted({record.method for path, record, _ in self.done if path in self.edited}))
        return (
            f"the source of {names} has changed since these records were made, and its card's version has not: if what "
            "it computes has changed, raise the version; --overwrite computes them again"
        )


def run_cells(cells: list[Cell], paths: Paths, command: str, overwrite: bool, shifts: tuple[str, ...] = ()) -> Outcome:
    outcome = Outcome()
    for number, cell in enumerate(cells, start=1):
        if len(cells) > 1:
            say(f"cell {number}/{len(cells)}: {cell.label}")
        try:
            with no_exit():
                record, new = run_cell(cell, paths, command, overwrite, shifts)
            outcome.done.append((cell.record(paths), record, new))
            text = record.provenance.get("method_text")
            if not new and text is not None and text != cell.text_hash():
                outcome.edited.add(cell.record(paths))
        except Busy as error:
            outcome.busy.append((cell.label, str(error)))
        except (StorageError, KeyboardInterrupt):
            raise  # the next cell would meet the same disk
        except BaseException as error:  # a method that calls sys.exit has no record: its cell has failed
            if stopped := stopped_by_disk(error):
                raise stopped from error
            outcome.refused += isinstance(error, BadMethod)
            outcome.failed.append((cell.label, _keep_traceback(cell, paths, error)))
    return outcome


def _keep_traceback(cell: Cell, paths: Paths, error: BaseException) -> str:
    detail = getattr(error, "detail", "")
    trace = f"{detail}\n" + "".join(traceback.format_exception(error))
    trace += getattr(error, "trace", "")
    file = cell.work(paths) / "error.txt"
    write_atomically(file, lambda handle: handle.write(trace.encode()))
    said = str(error) if isinstance(error, (BadMethod, OtherSettings, BadFeature)) else _in_words(cell, error)
    say(f"{cell.label} failed: {said}" + (f"\n{detail}" if detail else ""))
    return f"{said} (traceback: {file})"


def _in_words(cell: Cell, error: BaseException) -> str:
    """One line, with the line of the method's file where it came from there."""
    try:
        return raised(error, file_of(cell.kind))
    except Exception:  # the method itself cannot be loaded any more
        return raised(error, "")
