"""`bench shrink`: records small enough for a repository of code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import app, echo
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def shrink(
    folder: Annotated[
        Path, typer.Argument(parser=kinds.folder, metavar="FOLDER", help="of records, such as runs/records, or OUT")
    ],
    to: Annotated[
        Path, typer.Option("--to", parser=kinds.place, metavar="FOLDER", help="where the copies go; nothing is removed")
    ],
    kilobytes: Annotated[
        int,
        typer.Option("--kilobytes", parser=kinds.whole(1, 10**6), metavar="N", help="at most, a file of actions"),
    ] = 1000,
) -> None:
    """Copy records with fewer recorded actions, for a repository.

    The actions of the first episodes stay as they are; of the others the hash stays, which still ties them to the
    record. An audit replays the first and says how many it could not.
    """
    from benchmark.records.shrink import shrink_records

    register_baselines()
    written = shrink_records(folder, to, kilobytes * 1000)
    for one in written:
        echo(f"{one.size:>12,}  {one.kept} of {one.of} episodes  {one.file}")
    echo(f"{sum(one.size for one in written):>12,}  bytes of actions in {len(written)} files")
