"""`bench doctor` and `bench perf`: this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import new_file, real, whole
from benchmark.cli.options import (
    Json,
    Out,
    app,
    echo,
    print_json,
    split,
)
from benchmark.settings.bounds import Range
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def doctor(
    what: Annotated[str | None, typer.Argument(metavar="[rlbench|aloha]", help="check that simulator, too")] = None,
    python: Annotated[
        str | None, typer.Option("--python", help="with rlbench: the interpreter that has it, if another")
    ] = None,
    write_env: Annotated[
        Path | None,
        typer.Option("--write-env", parser=new_file, metavar="FILE", help="with rlbench: a script that sets it up"),
    ] = None,
    timeout: Annotated[
        int, typer.Option("--timeout", parser=whole(10, 3_600), metavar="S", help="with rlbench: of each answer")
    ] = 120,
    as_json: Json = False,
    out: Out = Path("runs"),
) -> None:
    """Check this machine and its installation. Each failure prints the command that fixes it."""
    from benchmark.system.doctor import examine, render_findings
    from benchmark.system.doctor_aloha import examine_aloha
    from benchmark.system.errors import ConfigError
    from envs.registry import UnknownName

    if what not in (None, "rlbench", "aloha"):
        raise UnknownName("thing that can be examined", str(what), ["rlbench", "aloha"])
    if what != "rlbench" and (python is not None or write_env is not None):
        raise ConfigError("--python and --write-env belong to `bench doctor rlbench`")
    if what == "aloha":
        findings = examine_aloha()
    else:
        findings = examine_simulator(python, write_env, timeout) if what else examine(out)
    print_json([finding.as_dict() for finding in findings]) if as_json else echo(render_findings(findings))
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


def examine_simulator(python: str | None, write_env: Path | None, timeout: int) -> list[Any]:
    """The rows of `bench doctor rlbench`; what is written is said on standard error."""
    from benchmark.system.files import write_atomically
    from benchmark.system.progress import say
    from benchmark.system.rlbench_doctor import env_script, examine_rlbench
    from benchmark.system.rlbench_live import try_simulator

    if write_env is not None:
        write_atomically(write_env, lambda file: file.write(env_script(python).encode()))
        write_env.chmod(0o755)
        say(f"{write_env} starts {python or 'this Python'} for RLBench: env.rlbench.python={write_env.absolute()}")
        python = str(write_env.absolute())
    return examine_rlbench(python, lambda chosen: try_simulator(chosen, float(timeout)))


PERF_SUITES = {"metaworld-15": "metaworld", "rlbench4-port": "rlbench4-port"}
"""Suites whose rollouts are measured, and their simulators."""
PERF_PRETRAINED = ("clar", "clar-small")
"""CLAMP's frames are other fields, which `benchmark.perf.pretraining` does not write."""


@app.command()
@explained
def perf(
    what: Annotated[str, typer.Argument(help="rollouts | encoders | pretrain | views")] = "rollouts",
    method: Annotated[str, typer.Option("--method", help="with pretrain: clar | clar-small")] = "clar",
    batch: Annotated[
        int, typer.Option("--batch", parser=whole(2, 65_536), metavar="N", help="with pretrain: samples of a step")
    ] = 128,
    suite: Annotated[str, typer.Option("--suite", help="metaworld-15 | rlbench4-port")] = "metaworld-15",
    task: Annotated[
        str | None, typer.Option("--task", help="default: hammer; of the port all four; with views: middle-drawer-open")
    ] = None,
    compare: Annotated[str | None, typer.Option("--compare", help="naive: also the loop the field uses")] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="A,B", help="of metaworld-15's rollouts these parts: points, dp3, ..."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", parser=real(Range(0, 3_600, True)), metavar="S", help="of each measurement"),
    ] = 8.0,
    as_json: Json = False,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="with views: aloha-pretrain.KEY=VALUE, env.aloha.KEY=VALUE"),
    ] = None,
) -> None:
    """Measure speed as a ratio to floors of the same run."""
    from benchmark.perf.measure import (
        PARTS,
        measure,
        measure_encoders,
        measure_keyframes,
        measure_pretraining,
        measure_views,
        render_report,
    )
    from benchmark.pretrain.data.sources import check_sources, load_data
    from benchmark.system.errors import ConfigError
    from envs.description import describe
    from envs.registry import UnknownName

    if compare not in (None, "naive"):
        raise ConfigError(f"--compare {compare}: there is only naive")
    if what not in ("rollouts", "encoders", "pretrain", "views"):
        raise ConfigError(f"bench perf {what}: there are rollouts, encoders, pretrain and views")
    parts = split(only, "--only") or PARTS
    if only is not None and (what != "rollouts" or suite != "metaworld-15" or compare):
        raise ConfigError("--only chooses parts of bench perf rollouts --suite metaworld-15, without --compare")
    for part in parts:
        if part not in PARTS:
            raise UnknownName("part of bench perf", part, PARTS)
    if settings and what != "views":
        raise ConfigError(f"{settings[0]}: bench perf {what} takes no settings, only bench perf views does")
    if suite not in PERF_SUITES:
        raise UnknownName("suite of bench perf", suite, PERF_SUITES)
    simulator = "aloha" if what == "views" else PERF_SUITES[suite]
    if task is not None and task not in (tasks := describe(simulator).tasks):
        raise UnknownName(f"task of {simulator}", task, tasks)
    if method not in PERF_PRETRAINED:
        raise UnknownName("method whose pre-training is measured", method, PERF_PRETRAINED)
    register_baselines()
    if what == "pretrain":
        report = measure_pretraining(method, batch, seconds)
    elif what == "encoders":
        report = measure_encoders()
    elif what == "views":
        chosen = task or "middle-drawer-open"
        said = [*(settings or []), f"aloha-pretrain.tasks=[{chosen}]"]
        if other := [text for text in said if not text.startswith(("aloha-pretrain.", "env.aloha."))]:
            raise ConfigError(f"{other[0]}: it is aloha-pretrain.KEY=VALUE or env.aloha.KEY=VALUE")
        config = load_data("aloha-pretrain", said)
        check_sources([config])
        report = measure_views(config, chosen, seconds)
    elif suite == "rlbench4-port":
        report = measure_keyframes([task] if task else describe(simulator).tasks, seconds)
    else:
        report = measure(task or "hammer", seconds, compare == "naive", parts)
    print_json(report) if as_json else echo(render_report(report))
