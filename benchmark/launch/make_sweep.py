"""Making a sweep: its cells with their identities and settings, and the code it is made with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.launch.cell_spec import CellSpec
from benchmark.launch.sweep_file import FORMAT, NoSweep, Sweep, from_data, load
from benchmark.records.paths import Paths
from benchmark.system.errors import ConfigError
from benchmark.system.files import write_json
from benchmark.system.provenance import environment
from envs.errors import UserError
from envs.names import safe_name

CELLS = "benchmark.launch.cell_work"


class OtherCode(UserError, RuntimeError):
    """A sweep is continued under other code than it was made with."""


def make_sweep(
    cells: Sequence[tuple[CellSpec, Cell]],
    paths: Paths,
    command: str,
    code: dict[str, Any],
    profile: dict[str, Any],
    name: str | None = None,
    any_code: bool = False,
    write: bool = True,
) -> Sweep:
    """The sweep of these cells: a new folder, or the one that is there, with these cells added to it.

    Without a name it is named after the cells, so that the same command finds its sweep again. A cell keeps its number:
    jobs that wait in a queue know it by that.

    Raises `OtherCode` if it was made under other code, unless `any_code`, and `ConfigError` if a cell of the same
    label has other settings there; `UnsafeName` if the name is no name for a folder.
    """
    if name is not None:
        safe_name("--name", name, "+=")
    paths = Paths(paths.out.resolve(), paths.data.resolve())
    entries = {cell.label: _entry(spec, cell, paths) for spec, cell in cells}
    settings = {cell.method_name: cell.settings.identity() for _, cell in cells}
    return assemble(
        name or _name([cell for _, cell in cells]),
        CELLS,
        entries,
        settings,
        paths,
        command,
        code,
        profile,
        any_code,
        write,
    )


def assemble(
    name: str,
    work: str,
    entries: dict[str, dict[str, Any]],
    settings: dict[str, Any],
    paths: Paths,
    command: str,
    code: dict[str, Any],
    profile: dict[str, Any],
    any_code: bool,
    write: bool,
) -> Sweep:
    """A sweep from its entries by label, whatever `work` makes of them; see `make_sweep`.

    What is no part of a cell's identity (threads, the folder of its data) is as it was said last.
    """
    entries = dict(entries)
    folder = paths.out / "sweeps" / name
    old: Sweep | None
    try:
        old = load(folder)
    except NoSweep:
        old = None
    data: dict[str, Any] = {
        "format": FORMAT,
        "work": work,
        "command": command,
        "code": code,
        "any_code": any_code,
        "profile": profile,
        "out": str(paths.out),
        "data": str(paths.data),
        "made": time.time(),
        "environment": environment(),
        "cells": list(entries.values()),
        "settings": settings,
    }
    if old is not None:
        old = renew_code(old, code, any_code, write=False)
        for there in old.entries:
            new = entries.get(there.label)
            if new is not None and new["identity_hash"] != there.identity_hash:
                raise ConfigError(
                    f"{folder} has {there.label} under other settings or code; give another --name, and another --out "
                    "if the records of both are to stay"
                )
        kept = [entries.pop(there["label"], there) for there in old.raw["cells"]]
        data = old.raw | {
            "profile": profile,
            "cells": [*kept, *entries.values()],
            "settings": old.raw["settings"] | data["settings"],
        }
    if write:
        write_json(folder / "sweep.json", data)
    return from_data(folder, data)


def renew_code(sweep: Sweep, code: dict[str, Any], any_code: bool, write: bool = True) -> Sweep:
    """The sweep as it may go on under this code. Raises `OtherCode` if it is not the sweep's, unless `any_code`."""
    if same_code(sweep.code, code):
        return sweep
    if not any_code and not sweep.any_code:
        raise OtherCode(
            f"{sweep.folder} was made at {say_code(sweep.code)}; this is {say_code(code)}. Its cells would mix two "
            "versions of the code: give bench sweep or bench suite another --name, or --any-code if you know that "
            "nothing between them changes a number"
        )
    data = sweep.raw | {"any_code": True}
    if write:
        write_json(sweep.folder / "sweep.json", data)
    return from_data(sweep.folder, data)


def same_code(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the four packages are the same, committed or not."""
    return one.get("code") == other.get("code")


def say_code(code: dict[str, Any]) -> str:
    commit = (code.get("commit") or "no commit")[:12]
    return f"{commit}{' with local changes' if code.get('dirty') else ''} (code {code.get('code')})"


def _entry(spec: CellSpec, cell: Cell, paths: Paths) -> dict[str, Any]:
    """group: cells of one task under one protocol, who share its demonstrations."""
    return {
        "label": cell.label,
        "spec": spec.as_dict(),
        "record": str(cell.record(paths)),
        "work": str(cell.work(paths)),
        "identity_hash": cell.identity_hash(),
        "group": f"{cell.settings.suite.name}/{cell.task} under {cell.settings.protocol.name}",
        "device": cell.settings.runtime.device,
    }


def _name(cells: Sequence[Cell]) -> str:
    """Readable in `squeue`, and the same for the same cells."""
    methods = list(dict.fromkeys(cell.method_name for cell in cells))
    words = "+".join(methods) if len(methods) <= 3 else f"{len(methods)}-methods"
    facts = "\n".join(sorted(f"{cell.label} {cell.identity_hash()}" for cell in cells))
    settings = cells[0].settings
    tail = hashlib.sha256(facts.encode()).hexdigest()[:6]
    return f"{settings.suite.name}-{settings.protocol.name}-{words.replace('/', '_')}-{tail}"
