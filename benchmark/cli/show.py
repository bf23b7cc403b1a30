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
    text_width,
)
from benchmark.settings.catalog import register_baselines


@app.command(name="list")
@explained
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="suites | methods | policies | tasks | heads | protocols | data | all",
        ),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="with tasks: of this suite only")] = None,
    python: Annotated[
        str | None, typer.Option("--python", help="with --suite: the interpreter of its simulator, if another")
    ] = None,
    as_json: Json = False,
) -> None:
    """List suites, methods, policies, tasks, heads and protocols. Without a KIND an overview."""
    from benchmark.settings.catalog import listing
    from benchmark.settings.catalog_text.lists import in_full, overview

    register_baselines()
    found = listing(what or "all", suite, python)
    if as_json:
        print_json(found)
    else:
        echo(in_full(found, text_width()) if what else overview(found, text_width()))


@app.command()
@explained
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="a method, suite, task, protocol, head, data, pretrain/METHOD, or FILE.py:Class",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one method, suite, head or protocol in full."""
    from benchmark.settings.catalog import describe
    from benchmark.settings.catalog_text.shown import shown
    from benchmark.system.errors import ConfigError

    if name is None:
        raise ConfigError("NAME is missing: `bench list` names what there is")
    register_baselines()
    found = describe(name)
    print_json(found) if as_json else echo(shown(name, found, text_width()))
