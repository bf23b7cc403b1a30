"""`bench audit`: re-verify records by replaying recorded actions."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import whole
from benchmark.cli.options import Data, Json, Out, Records, WithReference, app, echo, print_json, width
from benchmark.settings.catalog import register_baselines
from benchmark.system.progress import bar, say

if TYPE_CHECKING:
    from benchmark.records.verdict import Verdict

NOT_CHECKED = 4
"""Exit code where nothing contradicts a record, and not everything that should have been replayed was."""

MAKE = "; `bench run` makes them, --with-reference takes this project's own"


@app.command()
@explained
def audit(
    cells: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", help="parts of a record's path")] = None,
    records: Records = None,
    with_reference: WithReference = False,
    episodes: Annotated[
        int | None,
        typer.Option(
            "--episodes", parser=whole(0, 1_000_000), metavar="N", help="at most so many of each; default: all"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", parser=whole(1, 1_024), metavar="N", help="simulators at once")
    ] = os.cpu_count() or 1,
    any_version: Annotated[bool, typer.Option("--any-version", help="replay in another version of it")] = False,
    python: Annotated[str | None, typer.Option("--python", help="the simulator's interpreter, if another")] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints/--no-checkpoints", help="also play the checkpoints that are under OUT/work")
    ] = True,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="with checkpoints: path/to/file.py:Class that may be run")
    ] = None,
    simulator: Annotated[
        list[str] | None, typer.Option("--simulator", help="path/to/file.py:Class that may be run")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="with checkpoints: the file that the records were made with")
    ] = None,
    policy_weights: Annotated[
        str | None, typer.Option("--policy-weights", help="with checkpoints: what a policy over an encoder began with")
    ] = None,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check records by replaying their actions and checkpoints.

    Exit code 1 if a record does not hold, 4 if something could not be checked.
    """
    from benchmark.records.audit import audit as check
    from benchmark.records.audit import unread
    from benchmark.records.copies import copies, same_training
    from benchmark.records.gather import all_files
    from benchmark.records.read import BadRecord
    from benchmark.records.replay_actions import Simulator
    from benchmark.system.errors import ConfigError

    register_baselines()
    everything = all_files(records, out, with_reference)
    found = [(path, record) for path, record in everything if not cells or any(c in str(path) for c in cells)]
    for cell in cells or []:
        if not cell.strip() or not any(cell in str(path) for path, _ in everything):
            raise ConfigError(f"no record of {cell!r} under {', '.join(map(str, records or [out / 'records']))}")
    if not found:
        where = ", ".join(map(str, records or [out / "records"]))
        raise ConfigError(f"no record{' of ' + ', '.join(cells) if cells else ''} under {where}{MAKE}")
    played_in = Simulator(workers, python, any_version, tuple(simulator or ()))
    files = tuple(method or ()), tuple(simulator or ())
    begun = weights, policy_weights
    again = _checkpoints(data, python, files, begun, episodes, workers) if checkpoints else None
    verdicts: list[Verdict] = []
    if len(found) > 1:
        counts = [len(record.retest.episodes) for _, record in found if not isinstance(record, BadRecord)]
        asked = sum(counts if episodes is None else (min(count, episodes) for count in counts))
        say(f"{len(found)} records, {asked:,} episodes of their retests to replay (--episodes N: fewer of each)")
    with bar("audit", len(found)) as advance:
        for path, record in found:
            if isinstance(record, BadRecord):
                verdicts.append(unread(path, record))
            else:
                verdicts.append(check(record, path, played_in, episodes, again))
            advance()
    known = [(path, record) for path, record in everything if not isinstance(record, BadRecord)]
    copied = same_training(known) | copies(verdicts)
    verdicts = [
        dataclasses.replace(one, wrong=(*one.wrong, copied[one.file])) if one.file in copied else one
        for one in verdicts
    ]
    print_json({"records": [_row(one) for one in verdicts]}) if as_json else _show(verdicts)
    words = {one.word for one in verdicts}
    if words != {"holds"}:
        raise typer.Exit(1 if "DOES NOT HOLD" in words else NOT_CHECKED)


def _checkpoints(
    data: Path | None,
    python: str | None,
    files: tuple[tuple[str, ...], tuple[str, ...]],
    weights: tuple[str | None, str | None],
    most: int | None,
    workers: int,
) -> Any:
    """Plays a record's checkpoints; torch is imported only where there is one."""
    from benchmark.records.verdict import Again

    def again(record: Any, path: Path) -> Again:
        from benchmark.records.paths import work_of

        work = work_of(path)
        if work is None or not any(work.glob("epoch-*.pt")):
            return Again()
        from benchmark.experiment.cell_of_record import Where
        from benchmark.experiment.replay_checkpoints import play_checkpoints

        return play_checkpoints(record, path, work, Where(data, python, *files, weights[0], most, weights[1], workers))

    return again


def _row(verdict: Verdict) -> dict[str, Any]:
    parts = []
    for part in verdict.parts:
        facts = dataclasses.asdict(part) | {"rests_on": part.rests_on}
        del facts["digests"]
        parts.append(facts)
    return {
        **dataclasses.asdict(verdict),
        "parts": parts,
        "verdict": verdict.word,
        "holds": verdict.word == "holds",
        "contradictions": verdict.contradictions,
        "not_checked": verdict.not_checked,
    }


def _show(verdicts: list[Verdict]) -> None:
    from benchmark.report.tables.audit_table import audit_table
    from benchmark.report.tables.forms import render

    echo(render(audit_table(verdicts), "terminal", width()), nl=False)
    for verdict in verdicts:
        said = [f"  wrong: {text}" for text in verdict.contradictions]
        said += [f"  not checked: {text}" for text in _few(verdict.not_checked)]
        said += [f"  note: {text}" for text in verdict.notes]
        if said:
            echo("\n".join([verdict.cell, *said]))


def _few(texts: tuple[str, ...], most: int = 5) -> list[str]:
    more = [f"and {len(texts) - most} more"] if len(texts) > most + 1 else []
    return [*(texts[:most] if more else texts), *more]
