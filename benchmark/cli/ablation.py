"""`bench suite clar-ablation`: Table V, pre-trainings and cells."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.options import (
    Data,
    Head,
    Json,
    Out,
    Protocol,
    Tasks,
    WeightsDir,
    app,
    echo,
    parse_seeds,
    print_json,
    split,
)
from benchmark.settings.catalog import register_baselines
from benchmark.system.progress import say


@app.command()
@explained
def suite(
    name: Annotated[str, typer.Argument(help="clar-ablation")],
    method: Annotated[str, typer.Option("--method", help="clar | clar-small")] = "clar",
    variants: Annotated[
        str | None, typer.Option("--variants", help="full, without-mae, without-local, mae-only, none; default: all")
    ] = None,
    pretrain_data: Annotated[str, typer.Option("--pretrain-data", help="`bench list data`")] = "metaworld-35",
    teacher: Annotated[str, typer.Option("--teacher", help="clip, or random (marks what it teaches)")] = "clip",
    tasks: Tasks = None,
    head: Head = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    protocol: Protocol = "clar",
    launcher: Annotated[str, typer.Option("--launcher", help="debug (here) | local | slurm | a profile")] = "debug",
    weights_dir: WeightsDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides; pretrain.KEY=VALUE; launcher.FIELD=VALUE"),
    ] = None,
) -> None:
    """Run an ablation: its pre-trainings, then every cell with them.

    `bench table 5` renders it. Run again, it resumes.
    """
    run_ablation(
        name,
        method,
        split(variants, "--variants"),
        split(pretrain_data, "--pretrain-data") or [],
        teacher,
        split(tasks, "--tasks"),
        head,
        parse_seeds(seeds),
        protocol,
        launcher,
        weights_dir,
        dry_run,
        out,
        data,
        as_json,
        overrides or [],
    )


def run_ablation(
    name: str,
    method: str,
    variants: list[str] | None,
    pretrain_data: list[str],
    teacher: str,
    tasks: list[str] | None,
    head: str | None,
    seeds: Sequence[int],
    protocol: str,
    launcher: str,
    weights_dir: Path | None,
    dry_run: bool,
    out: Path,
    data: Path | None,
    as_json: bool,
    overrides: list[str],
    any_code: bool = False,
    sweep_name: str | None = None,
) -> None:
    """What `bench suite` and `bench sweep --suite clar-ablation` do: two sweeps, pre-trainings and then cells.

    On Slurm the second is submitted by a job that waits for the first.
    """
    from benchmark.experiment.count_cells import MOST_CELLS, count_cells, too_many
    from benchmark.experiment.make_cells import preflight
    from benchmark.launch.cell_spec import specs_of
    from benchmark.launch.follow_up import follow, is_follow_up
    from benchmark.launch.forecast import forecast
    from benchmark.launch.make_sweep import make_sweep
    from benchmark.launch.pretrain_work import label, make_pretrain_sweep, missing
    from benchmark.launch.profile import load_profile, resources, take_launcher_options
    from benchmark.launch.start_sweep import launch
    from benchmark.pretrain.ablation_jobs import ablation_jobs, check_norm, weights_of
    from benchmark.pretrain.run import check_teacher
    from benchmark.records.paths import Paths
    from benchmark.settings.ablation_variants import SUITE, choose
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError
    from benchmark.system.provenance import git_state
    from methods.weights import weights_folder

    if name != SUITE:
        raise ConfigError(f"{name} has no pre-trainings of its own; `bench run --suite {name}` runs it")
    register_baselines()
    changes, overrides = take_launcher_options(overrides)
    profile = load_profile(launcher, changes)
    pretraining = [text.removeprefix("pretrain.") for text in overrides if text.startswith("pretrain.")]
    overrides = [text for text in overrides if not text.startswith("pretrain.")]
    chosen = choose(variants)
    settings = load_settings(name, protocol, head, overrides)
    count = len(chosen) * count_cells(settings, tasks, [method], seeds)
    if count > MOST_CELLS:
        if not dry_run:
            raise ConfigError(too_many(count))
        echo(f"{len(chosen)} variants x tasks x seeds {seeds[0]} to {seeds[-1]}: {too_many(count)}")
        return
    jobs = ablation_jobs(chosen, method, pretrain_data, teacher, pretraining)
    check_norm(jobs, settings.method_options)
    runtime = settings.runtime
    if weights_dir is not None:
        import dataclasses

        runtime = dataclasses.replace(runtime, weights_dir=str(weights_dir))
    paths, code, command = Paths(out, data or out / "data"), git_state(), shlex.join(["bench", *sys.argv[1:]])
    todo = missing(list(jobs.values()), out)
    for job in todo:
        check_teacher(job, weights_folder(runtime.weights_dir))
    if todo:
        if is_follow_up():
            raise ConfigError(
                f"{', '.join(label(job) for job in todo)} should be there by now; `bench status` says why"
            )
        first = make_pretrain_sweep(todo, paths, runtime, command, code, profile, any_code, write=not dry_run)
        if dry_run:
            echo(forecast(first, profile)["text"])
            echo(f"then: {len(chosen)} variants x tasks x seeds of {name}, once these are there")
            return
        outcome = launch(first, profile)
        echo(outcome["text"], err=as_json)
        if profile["kind"] == "slurm":
            number, new = follow(first, sys.argv[1:], resources(profile))
            say(
                f"job {number} {'submits' if new else 'waits already to submit'} the cells once all have succeeded; if "
                "one fails, fix it and run the same command again"
            )
            return
        if outcome["failed"] or outcome["busy"]:
            raise typer.Exit(1 if outcome["failed"] else 3)
    cells = [
        pair
        for variant in chosen
        for pair in specs_of(name, protocol, head, overrides, tasks, [method], seeds, weights_of(variant, jobs, out))
    ]
    if profile["kind"] != "slurm":
        preflight([cell for _, cell in cells])
    made = make_sweep(cells, paths, command, code, profile, sweep_name, any_code, write=not dry_run)
    outcome = forecast(made, profile) if dry_run else launch(made, profile)
    print_json(outcome) if as_json else echo(outcome["text"])
    if outcome.get("failed") or outcome.get("busy"):
        raise typer.Exit(1 if outcome.get("failed") else 3)
