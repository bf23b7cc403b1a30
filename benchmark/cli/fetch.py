"""`bench fetch`: a simulator's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.options import app, echo


@app.command()
@explained
def fetch(
    what: Annotated[str, typer.Argument(help="aloha")],
    to: Annotated[Path | None, typer.Option("--to", help="another folder than the one where it is looked for")] = None,
) -> None:
    """Get a simulator's files: clone them at the pinned commit. aloha: google-deepmind/aloha_sim, 100 MB."""
    from benchmark.system.errors import ConfigError
    from benchmark.system.fetch_simulator import fetch_aloha

    if what != "aloha":
        raise ConfigError(f"bench fetch {what}: there is aloha")
    echo(f"{fetch_aloha(to)}")
