"""One cell's record: found, finished, or made from nothing."""

from __future__ import annotations

from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.existing_work import begin, check_begun, its_record
from benchmark.experiment.live_log import check_log
from benchmark.experiment.probe import probe
from benchmark.experiment.replace_record import begin_again, is_being_replaced
from benchmark.records.label_check import misnamed
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.report.plots import plot_shifts
from benchmark.system.errors import ConfigError
from benchmark.system.files import discard, exclusive
from benchmark.system.heartbeat import Heartbeat, wait_until_heartbeat_stops
from benchmark.system.progress import say


def run_cell(
    cell: Cell, paths: Paths, command: str, overwrite: bool = False, shifts: tuple[str, ...] = ()
) -> tuple[Record, bool]:
    """The cell's record, and whether anything was computed now. Raises `Busy` if another process is computing it.

    Raises `BadMethod` before any work, and before `overwrite` discards anything, if the method breaks its contract.
    overwrite: begin again from nothing. The old record stays until the new one is whole, and the same call without
    `overwrite` goes on with what was begun.

    shifts: what else the selected checkpoint is retested under (`Suite.shift`), beside the suite's own.
    """
    target, work = cell.record(paths), cell.work(paths)
    shifts = tuple(dict.fromkeys((*cell.settings.suite.shift, *shifts)))
    with exclusive(work / "lock", cell.label, wait=False):
        again = overwrite or is_being_replaced(work, target, cell.identity())
        if target.exists() and not again:
            record = its_record(cell, target)
            missing = tuple(camera for camera in shifts if camera not in read_shifts(target, record))
            if missing:
                from benchmark.experiment.finished_cell import retest_under

                retest_under(CellRun(cell, paths, work, command, finished=record), record, missing)
                plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
            return record, bool(missing)
        for sentence in misnamed(cell.settings.protocol.name, cell.settings.head.name, cell.identity()):
            raise ConfigError(f"{sentence}: give what was changed by hand another name")
        check_log(cell.settings.runtime.log)
        wait_until_heartbeat_stops(work, cell.label, say)
        built = probe(cell)
        if overwrite:
            begin_again(work, target)
        check_begun(cell, work)
        run = CellRun(cell, paths, work, command, built)
        begin(cell, work)
        discard(work / "error.txt")  # of an earlier start
        with Heartbeat(work, run.facts()) as run.heartbeat:
            record = run.record(shifts)
        plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
        return record, True


def prepare_cell(cell: Cell, paths: Paths) -> None:
    """Demonstrations, observations and features of a cell, so that others who share them find them there.

    Raises `BadMethod` before any work if the method breaks its contract.
    """
    run = CellRun(cell, paths, cell.work(paths), "prepare", probe(cell))
    with run.task_data() as task_data:
        run.prepare(task_data)
