"""`bench new`: files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import Json, app, echo, print_json
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def new(
    what: Annotated[str, typer.Argument(parser=kinds.word("method"), metavar="method", help="what to begin")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="its name in tables")],
    rgb: Annotated[bool, typer.Option("--rgb", help="images, trained end to end")] = False,
    points: Annotated[bool, typer.Option("--points", help="point clouds, trained end to end")] = False,
    frozen: Annotated[bool, typer.Option("--frozen", help="images, pre-trained weights, never trained")] = False,
    to: Annotated[
        Path, typer.Option("--to", parser=kinds.folder, metavar="DIR", help="a folder that is there; default: here")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Write a method's file with comments and its contract test. `bench new method mine --points`."""
    from benchmark.encoders.new_method import new_method
    from benchmark.system.errors import ConfigError

    register_baselines()
    chosen = [kind for kind, wanted in (("rgb", rgb), ("points", points), ("frozen", frozen)) if wanted]
    if len(chosen) != 1:
        raise ConfigError("say what it sees with one of --rgb, --points and --frozen")
    made = new_method(name, chosen[0], to)
    weights = " --weights random" if frozen else ""
    run = (
        f"bench run --suite metaworld-15 --tasks reach --protocol quick --method {made.file}:{made.class_name}{weights}"
    )
    if as_json:
        print_json({"name": made.name, "file": str(made.file), "test": str(made.test), "class": made.class_name})
    else:
        echo(f"{made.file}\n{made.test}\nthen:\n  pytest {made.test}\n  {run}")
