"""The work of a sweep's cells: what `bench run` does, one cell at a time, in whatever process a launcher gives."""

from __future__ import annotations

import json

from benchmark.experiment.cell import Cell
from benchmark.experiment.run_cell import prepare_cell
from benchmark.experiment.run_cells import run_cells
from benchmark.launch.cell_spec import CellSpec
from benchmark.launch.make_sweep import same_code, say_code
from benchmark.launch.sweep_file import Sweep, from_data
from benchmark.records.paths import Paths
from benchmark.system.files import write_json
from benchmark.system.progress import say
from benchmark.system.provenance import git_state


def prepare(sweep: Sweep, number: int) -> int:
    """Demonstrations, observations and features for all missing cells of this cell's group, so that they find them.

    A cell that cannot be prepared is left to fail by itself, where its traceback is kept.
    """
    check_code(sweep)
    paths, group = Paths(sweep.out, sweep.data), sweep.entries[number].group
    failed, seen = 0, set[tuple[str, str]]()
    for other, entry in enumerate(sweep.entries):
        if entry.group != group or entry.done:
            continue
        try:
            cell = _cell(sweep, other)
            encodes = cell.method_name if cell.card.weights else ""
            need = (json.dumps(cell.request.canonical(), sort_keys=True), encodes)
            if need in seen:
                continue
            seen.add(need)
            prepare_cell(cell, paths)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a method that calls sys.exit, too
            say(f"{entry.label} could not be prepared: {type(error).__name__}: {error}")
            failed += 1
    return int(failed > 0)


def run(sweep: Sweep, number: int) -> int:
    """The cell's record. 0 done, 1 failed (its traceback is in its work folder), 3 another process has the cell."""
    check_code(sweep)
    outcome = run_cells([_cell(sweep, number)], Paths(sweep.out, sweep.data), sweep.command, overwrite=False)
    say(outcome.as_text())
    return outcome.exit_code


def renew(sweep: Sweep, numbers: list[int]) -> Sweep:
    """The sweep with these cells, which have no record, as their methods' files and packages are now.

    A method that was mended after it failed has another identity; records of other cells keep theirs, and tables keep
    the two apart. What cannot be loaded is left to fail by itself, where its traceback is kept.
    """
    now = {}
    for number in numbers:
        try:
            now[number] = _as_it_is(sweep, number).identity_hash()
        except Exception as error:
            say(f"{sweep.entries[number].label} cannot be loaded: {type(error).__name__}: {error}")
    changed = [number for number, found in now.items() if found != sweep.entries[number].identity_hash]
    if not changed:
        return sweep
    names = ", ".join(sweep.entries[number].label for number in changed)
    say(f"made anew with the code of their methods as it is now: {names}; records of the code before stay as they are")
    cells = [dict(entry) for entry in sweep.raw["cells"]]
    for number in changed:
        cells[number]["identity_hash"] = now[number]
    data = sweep.raw | {"cells": cells}
    write_json(sweep.folder / "sweep.json", data)
    return from_data(sweep.folder, data)


def _cell(sweep: Sweep, number: int) -> Cell:
    entry, cell = sweep.entries[number], _as_it_is(sweep, number)
    if cell.identity_hash() != entry.identity_hash:
        raise RuntimeError(
            f"{entry.label}: its method's file or a package has changed since the sweep was made: go back to what it "
            "was, or `bench retry` takes the cell as it is now"
        )
    return cell


def _as_it_is(sweep: Sweep, number: int) -> Cell:
    from benchmark.settings.catalog import register_baselines

    register_baselines()
    return CellSpec.from_dict(sweep.entries[number].spec).cell()


def check_code(sweep: Sweep) -> None:
    """The checkout may have moved while the job waited in a queue."""
    code = git_state()
    if not sweep.any_code and not same_code(code, sweep.code):
        raise RuntimeError(
            f"the sweep was made at {say_code(sweep.code)} and the code is now at {say_code(code)}: go back to it, or "
            "issue it again as bench sweep or bench suite with another --name or --any-code"
        )
