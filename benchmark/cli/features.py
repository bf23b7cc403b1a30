"""The verbs of `bench features`: export a method's features, and train on them where its weights are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import Bench, explained
from benchmark.cli.options import (
    Data,
    Head,
    Json,
    Out,
    Overrides,
    Protocol,
    Suite,
    Tasks,
    WeightsOption,
    app,
    echo,
    parse_seeds,
    print_json,
    split,
)
from benchmark.settings.catalog import register_baselines

features = typer.Typer(
    cls=Bench, help="Write a frozen method's features as files, and train on them.", no_args_is_help=True
)
app.add_typer(features, name="features")


@features.command()
@explained
def export(
    method: Annotated[str, typer.Option("--method", help="a frozen method")],
    suite: Suite = "metaworld-15",
    tasks: Tasks = None,
    protocol: Protocol = "clar",
    weights: WeightsOption = None,
    to: Annotated[
        Path, typer.Option("--to", parser=kinds.folder, metavar="DIR", help="for one safetensors file a task")
    ] = Path("features"),
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Write the features of the demonstrations, task by task. With proprioception and actions."""
    from benchmark.experiment.exported_features import export as write
    from benchmark.experiment.make_cells import make_cells, preflight
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings

    register_baselines()
    settings = load_settings(suite, protocol, "mlp", overrides)
    cells = make_cells(settings, split(tasks, "--tasks"), [method], [0], weights)
    preflight(cells)
    written = [str(write(cell, Paths(out, data or out / "data"), to)) for cell in cells]
    print_json(written) if as_json else echo("\n".join(written))


@features.command()
@explained
def train(
    files: Annotated[
        list[Path],
        typer.Argument(parser=kinds.old_file, metavar="FILE...", help="what `bench features export` wrote"),
    ],
    suite: Suite = "metaworld-15",
    head: Head = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    protocol: Protocol = "clar",
    out: Out = Path("runs"),
    as_json: Json = False,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, a Hydra override")] = None,
) -> None:
    """Train heads on exported features. `bench run` with the weights then does the rollouts alone."""
    from benchmark.experiment.exported_features import known_weights, read_export, train_from
    from benchmark.experiment.make_cells import make_cells
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings

    register_baselines()
    written = []
    for file in files:
        facts, arrays = read_export(file)
        name, *options = [part for part in facts["method"].split("+") if not part.startswith("weights=")]
        settings = load_settings(suite, protocol, head, [*(overrides or []), *(f"method.{o}" for o in options)])
        for cell in make_cells(settings, [facts["task"]], [name], parse_seeds(seeds), known_weights(facts)):
            written += [str(path) for path in train_from(cell, facts, arrays, Paths(out, out / "data"))]
    print_json(written) if as_json else echo("\n".join(written))
