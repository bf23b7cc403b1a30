"""`bench list` and `bench show`."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.options import (
    Json,
    app,
    echo,
    print_json,
)
from benchmark.settings.catalog import register_baselines


@app.command(name="list")
@explained
def list_(
    what: Annotated[
        str, typer.Argument(help="suites | methods | policies | tasks | heads | protocols | data | all")
    ] = "all",
    suite: Annotated[str | None, typer.Option("--suite", help="with tasks: of this suite only")] = None,
    python: Annotated[
        str | None, typer.Option("--python", help="with --suite: the interpreter of its simulator, if another")
    ] = None,
    as_json: Json = False,
) -> None:
    """List suites, methods, policies, tasks, heads and protocols. Imports neither torch nor a simulator."""
    from benchmark.settings.catalog import listing, render_listing

    register_baselines()
    found = listing(what, suite, python)
    print_json(found) if as_json else echo(render_listing(found))


@app.command()
@explained
def show(
    name: Annotated[
        str,
        typer.Argument(help="a method, suite, task, protocol, head, data, pretrain/METHOD, or path/to/file.py:Class"),
    ],
    as_json: Json = False,
) -> None:
    """Show one method, suite, head or protocol in full."""
    from benchmark.settings.catalog import describe, render_description

    register_baselines()
    found = describe(name)
    print_json(found) if as_json else echo(render_description(found))
