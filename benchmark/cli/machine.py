"""`bench doctor` and `bench perf`: this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import real, whole
from benchmark.cli.options import (
    Json,
    Out,
    app,
    echo,
    print_json,
)
from benchmark.settings.bounds import Range
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def doctor(
    what: Annotated[str | None, typer.Argument(help="aloha: that simulator's files alone")] = None,
    as_json: Json = False,
    out: Out = Path("runs"),
) -> None:
    """Check this machine and its installation. Each failure prints the command that mends it."""
    from benchmark.system.doctor import examine, render_findings
    from benchmark.system.doctor_simulators import examine_simulator

    findings = examine(out) if what is None else examine_simulator(what)
    print_json([finding.as_dict() for finding in findings]) if as_json else echo(render_findings(findings))
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
@explained
def perf(
    what: Annotated[str, typer.Argument(help="rollouts | encoders | pretrain")] = "rollouts",
    method: Annotated[str, typer.Option("--method", help="with pretrain: clar | clar-small")] = "clar",
    batch: Annotated[
        int, typer.Option("--batch", parser=whole(2, 65_536), metavar="N", help="with pretrain: samples of a step")
    ] = 128,
    task: Annotated[str, typer.Option("--task", help="a MetaWorld task")] = "hammer",
    compare: Annotated[str | None, typer.Option("--compare", help="naive: also the loop the field uses")] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", parser=real(Range(0, 3_600, True)), metavar="S", help="of each measurement"),
    ] = 8.0,
    as_json: Json = False,
) -> None:
    """Measure speed as a ratio to floors of the same run."""
    from benchmark.perf.measure import measure, measure_encoders, measure_pretraining, render_report
    from benchmark.settings.load import choices
    from benchmark.system.errors import ConfigError
    from envs.description import describe
    from envs.registry import UnknownName

    if compare not in (None, "naive"):
        raise ConfigError(f"--compare {compare}: there is only naive")
    if what not in ("rollouts", "encoders", "pretrain"):
        raise ConfigError(f"bench perf {what}: there are rollouts, encoders and pretrain")
    if task not in (tasks := describe("metaworld").tasks):
        raise UnknownName("task of metaworld", task, tasks)
    if method not in choices("pretrain"):
        raise UnknownName("method with a pre-training", method, choices("pretrain"))
    register_baselines()
    if what == "pretrain":
        report = measure_pretraining(method, batch, seconds)
    elif what == "encoders":
        report = measure_encoders()
    else:
        report = measure(task, seconds, naive=compare == "naive")
    print_json(report) if as_json else echo(render_report(report))
