"""`bench hub push` and `pull`: demonstrations and records to and from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import Bench, explained
from benchmark.cli.options import app, echo
from benchmark.system.progress import say

hub = typer.Typer(cls=Bench, help="Send demonstrations or records to the Hugging Face Hub, or get some.")
app.add_typer(hub, name="hub")

DryRun = Annotated[bool, typer.Option("--dry-run", help="print which files would go, and do nothing")]


@hub.command()
@explained
def push(
    folder: Annotated[
        Path, typer.Argument(parser=kinds.folder, metavar="FOLDER", help="a LeRobot data set, or a folder of records")
    ],
    repo: Annotated[
        str,
        typer.Argument(parser=kinds.repository, metavar="OWNER/NAME", help="a data set on the Hub, made if not there"),
    ],
    private: Annotated[bool, typer.Option("--private", help="if it is made now: for its owner alone")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="remove what the data set there has and the folder has not")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send a folder in one commit, after checking it. Needs a token."""
    from benchmark.records.hub.contents import contents, sizes
    from benchmark.records.hub.push import push as send

    if dry_run:
        found = contents(folder)
        files = [(name, file.stat().st_size) for name, file in found.files.items()]
        echo("\n".join([f"to {repo}: {found.said}", *sizes(files)]))
        return
    sent, address = send(folder, repo, private, replace)
    echo(f"{address}: {sent.said}, {sent.size / 1e6:.1f} MB")


@hub.command()
@explained
def pull(
    repo: Annotated[str, typer.Argument(parser=kinds.repository, metavar="OWNER/NAME", help="a data set on the Hub")],
    to: Annotated[
        Path, typer.Option("--to", parser=kinds.place, metavar="FOLDER", help="a new one: a data set, or records")
    ],
    revision: Annotated[str | None, typer.Option("--revision", help="a branch, tag or commit; default: main")] = None,
    dry_run: DryRun = False,
) -> None:
    """Get demonstrations or records and check them. Nothing of it is run.

    Records that do not hold are named and not kept, and the exit code is 1.
    """
    from benchmark.records.hub.contents import sizes
    from benchmark.records.hub.pull import check_place, offered
    from benchmark.records.hub.pull import pull as fetch

    if not dry_run:
        check_place(to)
    there = offered(repo, revision)
    for name in there.left_out:
        say(f"left out: {name}, which is no part of {'a data set' if there.kind == 'lerobot' else 'records'}")
    if dry_run:
        echo("\n".join([f"from {repo} at {there.commit}", *sizes(there.files)]))
        return
    done = fetch(there, to)
    echo(f"{done.folder}: {done.said}, from {repo} at {there.commit[:12]}")
    for name, why in done.bad:
        say(f"not kept: {name}: {why}")
    if done.bad:
        raise typer.Exit(1)
