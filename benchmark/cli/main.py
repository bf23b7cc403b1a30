"""`bench`: every verb parses, calls one function and prints. What takes long to import is imported inside."""

from __future__ import annotations

import faulthandler
import importlib
import signal
import sys
import traceback
from importlib import metadata
from types import FrameType
from typing import Annotated

import typer

from benchmark.cli.options import app, echo
from benchmark.system import streams
from benchmark.system.process_exit import leave

VERBS = (
    "run",
    "imports",
    "show",
    "machine",
    "fetch",
    "sweep",
    "sweep_jobs",
    "encoders",
    "new",
    "features",
    "pretrain",
    "ablation",
    "tables",
    "compare",
    "plan",
    "audit",
    "export",
    "hub",
    "shrink",
    "report",
    "migrate",
)
"""Files of this folder, in the order in which `bench --help` lists what they add."""
for _verbs in VERBS:
    importlib.import_module(f"benchmark.cli.{_verbs}")  # each adds its own


def _version(asked: bool) -> None:
    if asked:
        echo(f"repbench {metadata.version('repbench')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
) -> None:
    """Options of `bench` itself; its help is the application's."""


def _interrupt(number: int, _: FrameType | None) -> None:
    """A stop signal ends a command as Ctrl-C does: simulators are closed, what is finished is on the disk."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> None:
    streams.prepare()
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is signal.SIG_DFL:  # `nohup` has them ignored
            signal.signal(name, _interrupt)
    faulthandler.enable()  # a crash in a method's or a simulator's machine code says in which line of theirs it was
    code = 0
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:  # before a verb has begun
        code = 130
    except streams.OutputGone as error:  # under --help: what verbs print is explained
        code = streams.end(error)
    except Exception:
        traceback.print_exc()
        code = 70
    leave(code)
    sys.exit(code)
