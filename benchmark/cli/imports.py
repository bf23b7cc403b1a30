"""`bench import`: demonstrations that somebody else recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import Data, Json, Out, Overrides, Protocol, Suite, Tasks, app, echo, print_json, split


@app.command("import")
@explained
def import_(
    what: Annotated[str, typer.Argument(help="rlbench: folders of its dataset_generator, or in PerAct's layout")],
    root: Annotated[
        Path,
        typer.Option("--root", parser=kinds.folder, metavar="DIR", help="the folder that has TASK/variationN/episodes"),
    ],
    suite: Suite = "rlbench-4",
    tasks: Tasks = None,
    protocol: Protocol = "clar-rlbench",
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Turn stored demonstrations into ours. `bench run --no-rollouts` trains on them without a simulator."""
    from benchmark.data.rlbench_import import import_tasks
    from benchmark.settings.load import load_settings
    from envs.registry import UnknownName

    if what != "rlbench":
        raise UnknownName("kind of stored demonstrations", what, ["rlbench"])
    settings = load_settings(suite, protocol, None, overrides)
    found = import_tasks(root, data or out / "data", settings, settings.suite.select(split(tasks, "--tasks")))
    if as_json:
        rows = [
            {
                "task": one.task,
                "path": str(one.path),
                "demos": len(one.demos.seeds),
                "keyframes": one.demos.episodes.rows,
                "left_out": list(one.left),
                "sha256": one.demos.content_hash,
            }
            for one in found
        ]
        print_json(rows)
        return
    for one in found:
        demos, count = one.demos, len(one.demos.seeds)
        echo(
            f"{one.task:<20} {count} demonstrations, {demos.train} to train on and {count - demos.train} held out, "
            f"{demos.episodes.rows} keyframes, {one.path.stat().st_size / 1e6:.1f} MB, {one.path}"
        )
        for why in one.left:
            echo(f"  left out: {why}")
