"""The verbs about encoders: `bench weights` and `bench verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import (
    Json,
    Out,
    Overrides,
    WeightsDir,
    WeightsOption,
    app,
    print_json,
    register_baselines,
    width,
)
from benchmark.progress import say


@app.command()
@explained
def weights(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="methods; default: all")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="download what is missing, resume what was stopped")] = False,
    folder: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Which weights a method needs, where they come from, their licence, and whether they are here."""
    from benchmark.encoders import weights_report, weights_table
    from benchmark.protocol import ConfigError
    from benchmark.report.table import render
    from methods.weights import weights_folder

    register_baselines()
    if fetch and not names:
        raise ConfigError("--fetch needs names (all together are 15 GB): bench weights clip r3m --fetch")
    place = weights_folder(folder)
    rows = weights_report(names or [], place, fetch)
    if as_json:
        print_json(rows)
    elif rows:
        typer.echo(render(weights_table(rows, place), "terminal", width()), nl=False)
    if any(row["status"].startswith("bad") for row in rows):
        raise typer.Exit(1)


@app.command()
@explained
def verify(
    name: Annotated[str | None, typer.Argument(help="a method")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every method, as a table")] = False,
    against: Annotated[Path | None, typer.Option("--against", help="another machine's certificate")] = None,
    weights: WeightsOption = None,
    folder: WeightsDir = None,
    form: Annotated[str, typer.Option("--format", help="with --all: terminal | markdown | latex | csv")] = "terminal",
    out: Out = Path("runs"),
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """An encoder's certificate: parameter count, fixed features, frozen proof, determinism, pixel range."""
    from benchmark import encoders
    from benchmark.protocol import ConfigError
    from benchmark.report.table import render
    from benchmark.storage import write_json
    from methods.verify import compare
    from methods.weights import weights_folder

    register_baselines()
    if everything == (name is not None):
        raise ConfigError("give one method, or --all")
    place = weights_folder(folder)
    if name is None:
        found = encoders.verify_all(place)
        table_ = encoders.certificates_table(found)
        print_json(found) if as_json else typer.echo(render(table_, form, width()), nl=False)
    else:
        options = dict(text.removeprefix("method.").split("=", 1) for text in overrides or [])
        found = [encoders.verify(name, weights, place, options)]
        print_json(found[0]) if as_json else typer.echo(encoders.render_certificate(found[0]))
        path = out / "certificates" / f"{found[0]['method']}-{found[0]['weights']}.json"
        write_json(path, found[0])
        say(f"certificate: {path}")
    differences = compare(found[0], json.loads(against.read_text())) if against else []
    for difference in differences:
        say(f"differs from {against}: {difference}")
    if differences or not all(c.get("passed", True) for c in found):
        raise typer.Exit(1)
