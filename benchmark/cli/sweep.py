"""`bench sweep`: many cells, over this machine or a cluster."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.option_types import whole
from benchmark.cli.options import (
    Data,
    EncodersOnly,
    Head,
    Json,
    Observe,
    Out,
    Policy,
    Protocol,
    Suite,
    Tasks,
    Text,
    WeightsOption,
    app,
    echo,
    parse_seeds,
    print_json,
    say_encoders_only,
    say_observe,
    say_text,
    split,
)
from benchmark.experiment.place_policy import place_policy
from benchmark.settings.catalog import register_baselines
from benchmark.system.errors import ConfigError
from benchmark.system.progress import say

Launcher = Annotated[str, typer.Option("--launcher", help="local | slurm | debug | a profile of yours")]


@app.command()
@explained
def sweep(
    method: Annotated[str | None, typer.Option("--method", help="several by comma")] = None,
    suite: Suite = "metaworld-15",
    tasks: Tasks = None,
    head: Head = None,
    policy: Policy = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    protocol: Protocol = "clar",
    weights: WeightsOption = None,
    encoders_only: EncodersOnly = False,
    text: Text = None,
    observe: Observe = None,
    launcher: Launcher = "local",
    partition: Annotated[str | None, typer.Option("--partition", help="with slurm: one of its partitions")] = None,
    gpus: Annotated[str | None, typer.Option("--gpus", help="for each job, such as 1 or a100:1")] = None,
    cpus: Annotated[
        int | None, typer.Option("--cpus", parser=whole(1, 4_096), metavar="N", help="for each job")
    ] = None,
    mem: Annotated[str | None, typer.Option("--mem", help="for each job, such as 16GB")] = None,
    time_: Annotated[
        int | None,
        typer.Option(
            "--time", parser=whole(1, 1_000_000), metavar="N", help="minutes; a longer cell comes back and goes on"
        ),
    ] = None,
    array_parallelism: Annotated[
        int | None, typer.Option("--array-parallelism", parser=whole(1, 100_000), metavar="N", help="jobs at once")
    ] = None,
    qos: Annotated[str | None, typer.Option("--qos", help="with slurm, as sbatch takes it")] = None,
    account: Annotated[str | None, typer.Option("--account", help="with slurm, as sbatch takes it")] = None,
    constraint: Annotated[str | None, typer.Option("--constraint", help="with slurm, as sbatch takes it")] = None,
    name: Annotated[
        str | None, typer.Option("--name", parser=kinds.name, metavar="NAME", help="default: made from the cells")
    ] = None,
    any_code: Annotated[bool, typer.Option("--any-code", help="go on with a sweep that other code began")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print cells, jobs, order and hours; do nothing")] = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="settings, such as protocol.epochs=50, and launcher.FIELD=VALUE"),
    ] = None,
) -> None:
    """Run methods x tasks x seeds, here or on Slurm. Run again, it resumes."""
    flags = {
        "partition": partition,
        "gpus": gpus,
        "cpus": cpus,
        "mem": mem,
        "time": time_,
        "array_parallelism": array_parallelism,
        "qos": qos,
        "account": account,
        "constraint": constraint,
    }
    given = [f"launcher.{key}={value}" for key, value in flags.items() if value is not None]
    methods, head = place_policy(policy, split(method, "--method"), head)
    if methods is None:
        raise ConfigError("Missing option '--method' (or --policy, of a whole one); -h lists what there is")
    if suite == "clar-ablation" and method is not None and weights is None and has_pretraining(method):
        from benchmark.cli.ablation import run_ablation

        run_ablation(
            suite,
            method,
            None,
            ["metaworld-35"],
            "clip",
            split(tasks, "--tasks"),
            head,
            parse_seeds(seeds),
            protocol,
            launcher,
            None,
            dry_run,
            out,
            data,
            as_json,
            [*(overrides or []), *given],
            any_code,
            name,
        )
        return
    given += say_encoders_only(encoders_only, overrides or [])
    changes = [*(overrides or []), *say_text(suite, text), *say_observe(observe), *given]
    what = (suite, protocol, head, changes, split(tasks, "--tasks"), methods, parse_seeds(seeds))
    launch_cells(*what, weights, launcher, name, any_code, dry_run, out, data, as_json)


def has_pretraining(method: str) -> bool:
    """Whether `bench pretrain` makes this method's weights; any other is swept over the suite's tasks as it is."""
    from benchmark.settings.load import choices

    return method in choices("pretrain")


def launch_cells(
    suite: str,
    protocol: str,
    head: str | None,
    overrides: list[str],
    tasks: list[str] | None,
    methods: list[str],
    seeds: Sequence[int],
    weights: str | None,
    launcher: str,
    name: str | None,
    any_code: bool,
    dry_run: bool,
    out: Path,
    data: Path | None,
    as_json: bool,
) -> None:
    """What `bench sweep` and `bench run --launcher` do."""
    from benchmark.experiment.make_cells import preflight
    from benchmark.experiment.outline import outline
    from benchmark.launch.cell_spec import specs_of
    from benchmark.launch.forecast import forecast
    from benchmark.launch.make_sweep import make_sweep
    from benchmark.launch.profile import load_profile, take_launcher_options
    from benchmark.launch.start_sweep import launch
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings
    from benchmark.system.provenance import git_state

    register_baselines()
    changes, overrides = take_launcher_options(overrides)
    profile = load_profile(launcher, changes)
    paths = Paths(out, data or out / "data")
    settings = load_settings(suite, protocol, head, overrides)
    if dry_run and (outlined := outline(settings, tasks, methods, seeds, weights)):
        print_json(outlined) if as_json else echo(outlined["text"])
        return
    cells = specs_of(suite, protocol, head, overrides, tasks, methods, seeds, weights)
    if profile["kind"] != "slurm":
        preflight([cell for _, cell in cells])  # this machine runs them; a cluster's login node need not be able to
    code = git_state()
    if code["dirty"]:
        say("this checkout has local changes; the sweep and its records say so")
    command = shlex.join(["bench", *sys.argv[1:]])
    made = make_sweep(cells, paths, command, code, profile, name, any_code, write=not dry_run)
    outcome = forecast(made, profile) if dry_run else launch(made, profile)
    print_json(outcome) if as_json else echo(outcome["text"])
    exit_with(outcome)


def exit_with(outcome: dict[str, Any]) -> None:
    """End as the cells did: 1 if one failed, 3 if another process is at one."""
    if outcome.get("failed"):
        raise typer.Exit(1)
    if outcome.get("busy"):
        raise typer.Exit(3)
