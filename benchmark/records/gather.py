"""Which records an output is made from: the user's own, each experiment once, and this project's only if asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.records.joint_tasks import by_task
from benchmark.records.read import BadRecord, each_once, read_all
from benchmark.records.record import Record
from benchmark.system.errors import ConfigError
from benchmark.system.printable import one_line

DEFAULT_OUT = Path("runs")


def measured() -> Path:
    """This project's own records: `results/measured` of the checkout, or the copy inside an installed wheel."""
    here = Path(__file__).resolve().parents[1]
    inside = here / "measured"
    return inside if inside.is_dir() else here.parent / "results" / "measured"


MEASURED = measured()


def gather(
    roots: list[Path] | None, out: Path, with_reference: bool = False
) -> tuple[list[tuple[Path, Record]], list[str]]:
    """Every experiment's record and where it is, joint ones task by task, and what was left out and why.

    roots: what `--records` named; None for OUT/records. with_reference: this project's own records as well, marked.
    Raises `ConfigError` for a folder that is not there; the default one may be empty still.
    """
    found, notes = [], []
    for path, record in all_files(roots, out, with_reference):
        if isinstance(record, BadRecord):
            notes.append(f"{one_line(str(path))}, because {record.reason}")
        else:
            found.append((path, record))
    kept, more = each_once(found)
    return [(path, one) for path, record in kept for one in by_task(record)], notes + more


def all_files(
    roots: list[Path] | None, out: Path, with_reference: bool = False
) -> list[tuple[Path, Record | BadRecord]]:
    """Every record file or what is wrong with it, copies included; see `gather`."""
    missing = [root for root in roots or [] if not root.is_dir()]
    if missing:
        raise ConfigError(f"--records {missing[0]}: no such folder")
    if roots is None and out != DEFAULT_OUT and not (out / "records").is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out / 'records'}")  # misspelt is not the same as empty
    own = [root for root in roots or [out / "records"] if root.is_dir()]
    found = list(read_all(own))
    if with_reference:
        there = {path.resolve() for path, _ in found}
        for path, record in read_all([MEASURED]):
            if path.resolve() not in there:
                marked = dataclasses.replace(record, reference=True) if isinstance(record, Record) else record
                found.append((path, marked))
    return found
