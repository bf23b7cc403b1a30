"""The verbs about encoders: `bench weights` and `bench verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import Format, Json, Out, Overrides, WeightsDir, WeightsOption, app, echo, print_json, width
from benchmark.settings.catalog import register_baselines
from benchmark.system.progress import say


@app.command()
@explained
def weights(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="methods; default: all")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="download what is missing, resume what was stopped")] = False,
    folder: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Show the weights of methods, their licences, and which are here."""
    from benchmark.encoders.weights import weights_report, weights_table
    from benchmark.report.tables.forms import render
    from benchmark.system.errors import ConfigError
    from methods.weight_places import weights_folder

    register_baselines()
    if fetch and not names:
        raise ConfigError("--fetch needs names (all together are 15 GB): bench weights clip r3m --fetch")
    place = weights_folder(folder)
    rows = weights_report(names or [], place, fetch)
    if as_json:
        print_json(rows)
    elif rows:
        echo(render(weights_table(rows, place), "terminal", width()), nl=False)
    if any(row["status"].startswith("bad") for row in rows):
        raise typer.Exit(1)


@app.command()
@explained
def verify(
    name: Annotated[str | None, typer.Argument(help="a method")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every method, as a table")] = False,
    against: Annotated[
        Path | None,
        typer.Option("--against", parser=kinds.old_file, metavar="FILE", help="another machine's check, of one method"),
    ] = None,
    weights: WeightsOption = None,
    folder: WeightsDir = None,
    form: Format = "terminal",
    out: Out = Path("runs"),
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Check an encoder's implementation. Parameter count, fixed features, frozen or not, determinism, pixel range."""
    from benchmark.encoders import certificates
    from benchmark.report.tables.forms import render
    from benchmark.settings.overrides import key_value
    from benchmark.system.errors import ConfigError
    from benchmark.system.files import write_json
    from methods.verify import compare
    from methods.weight_places import weights_folder

    register_baselines()
    if everything == (name is not None):
        raise ConfigError("give one method, or --all")
    if against is not None and name is None:
        raise ConfigError("--against compares one method's check; name the method")
    place = weights_folder(folder)
    theirs = certificates.read_certificate(against) if against else None
    if name is None:
        found = certificates.verify_all(place)
        table_ = certificates.certificates_table(found)
        print_json(found) if as_json else echo(render(table_, form, width()), nl=False)
    else:
        options = dict(key_value(text, "compat=lift3d") for text in overrides or [])
        options = {key.removeprefix("method."): value for key, value in options.items()}
        found = [certificates.verify(name, weights, place, options)]
        print_json(found[0]) if as_json else echo(certificates.render_certificate(found[0]))
        path = out / "certificates" / f"{found[0]['method']}-{found[0]['weights']}.json"
        write_json(path, found[0])
        say(f"implementation check: {path}")
    differences = compare(found[0], theirs) if theirs is not None else []
    for difference in differences:
        say(f"differs from {against}: {difference}")
    if differences or not all(c.get("passed", True) for c in found):
        raise typer.Exit(1)
