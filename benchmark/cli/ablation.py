"""`bench suite clar-ablation | clamp-ablation`: pre-trainings and cells of CLAR's Table V, of CLAMP's III and IV."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import (
    Data,
    Head,
    Json,
    Out,
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

if TYPE_CHECKING:
    from benchmark.experiment.cell import Cell
    from benchmark.launch.cell_spec import CellSpec
    from benchmark.pretrain.ablation_jobs import AnyVariant


@app.command()
@explained
def suite(
    name: Annotated[str, typer.Argument(help="clar-ablation | clamp-ablation")],
    method: Annotated[
        str | None, typer.Option("--method", help="clar | clar-small; clamp | clamp-small; default: the first")
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option("--variants", help="full, without-mae, ...: docs/clar.md, docs/clamp.md; default: all together"),
    ] = None,
    pretrain_data: Annotated[
        str | None, typer.Option("--pretrain-data", help="`bench list data`; of CLAR metaworld-35 by default")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="of CLAR: clip, or random (marks what it teaches)")
    ] = None,
    policy_weights: Annotated[
        str | None, typer.Option("--policy-weights", help="of CLAMP: what pretrain --policy aloha-unleashed left")
    ] = None,
    act_weights: Annotated[
        str | None, typer.Option("--act-weights", help="of CLAMP: what `bench pretrain --policy act` left")
    ] = None,
    tasks: Tasks = None,
    head: Head = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    protocol: Annotated[str | None, typer.Option("--protocol", help="default: the paper's, clar or clamp")] = None,
    launcher: Annotated[str, typer.Option("--launcher", help="debug (here) | local | slurm | a profile")] = "debug",
    weights_dir: WeightsDir = None,
    sweep_name: Annotated[
        str | None,
        typer.Option("--name", parser=kinds.name, metavar="NAME", help="of its sweeps; default: made from the cells"),
    ] = None,
    any_code: Annotated[bool, typer.Option("--any-code", help="go on with a sweep that other code began")] = False,
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

    `bench table 5`, `bench table 3 --paper clamp` and `4` render it. Run again, it resumes.
    """
    from benchmark.settings.clamp_ablation import SUITE as CLAMP
    from benchmark.system.errors import ConfigError

    begins = {"aloha-unleashed": policy_weights, "act": act_weights}
    of_clamp = name == CLAMP
    if not of_clamp and (policy_weights or act_weights):
        raise ConfigError(f"--policy-weights and --act-weights are of {CLAMP}, not of {name}")
    if of_clamp and (teacher or head):
        raise ConfigError(
            f"--{'teacher' if teacher else 'head'} is not of {CLAMP}: its pre-training has no teacher, and "
            "its rows say their policies"
        )
    if of_clamp and pretrain_data is None:
        raise ConfigError(
            "--pretrain-data is missing: this suite's encoders read the actions of two arms (docs/clamp.md)"
        )
    protocol = protocol or ("clamp" if of_clamp else "clar")
    run_ablation(
        name,
        method or ("clamp" if of_clamp else "clar"),
        split(variants, "--variants"),
        split(pretrain_data, "--pretrain-data") or ["metaworld-35"],
        None if of_clamp else teacher or "clip",
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
        any_code,
        sweep_name,
        begins,
    )


def run_ablation(
    name: str,
    method: str,
    variants: list[str] | None,
    pretrain_data: list[str],
    teacher: str | None,
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
    begins: Mapping[str, str | None] | None = None,
) -> None:
    """What `bench suite` and `bench sweep --suite clar-ablation` do: two sweeps, pre-trainings and then cells.

    begins: of CLAMP's, the file that each policy begins with. On Slurm the second is submitted by a job that waits for
    the first.
    """
    from benchmark.experiment.count_cells import MOST_CELLS, count_cells, too_many
    from benchmark.experiment.make_cells import preflight
    from benchmark.launch.before_pretraining import check_before_pretraining, refuse_pretrainings_of_other_settings
    from benchmark.launch.cell_spec import specs_of
    from benchmark.launch.follow_up import follow, is_follow_up
    from benchmark.launch.forecast import forecast
    from benchmark.launch.make_sweep import make_sweep
    from benchmark.launch.pretrain_work import label, make_pretrain_sweep, missing
    from benchmark.launch.profile import load_profile, resources, take_launcher_options
    from benchmark.launch.start_sweep import launch
    from benchmark.pretrain.ablation_jobs import (
        ablation_jobs,
        cells_of,
        check_clamp,
        check_norm,
        simulators_options,
        weights_of,
    )
    from benchmark.pretrain.run import check_teacher
    from benchmark.records.paths import Paths
    from benchmark.records.pretraining_files import withdraw
    from benchmark.settings.ablation_variants import SUITE, choose
    from benchmark.settings.clamp_ablation import SUITE as CLAMP
    from benchmark.settings.clamp_ablation import choose_clamp
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError
    from benchmark.system.provenance import git_state
    from methods.weight_places import weights_folder

    if name not in (SUITE, CLAMP):
        raise ConfigError(f"{name} has no pre-trainings of its own; `bench run --suite {name}` runs it")
    register_baselines()
    changes, overrides = take_launcher_options(overrides)
    profile = load_profile(launcher, changes)
    pretraining = [text.removeprefix("pretrain.") for text in overrides if text.startswith("pretrain.")]
    overrides = [text for text in overrides if not text.startswith("pretrain.")]
    pretraining = [*simulators_options(pretrain_data, overrides), *pretraining]
    chosen = choose_clamp(variants) if name == CLAMP else choose(variants)
    settings = load_settings(name, protocol, head, overrides)
    count = len(chosen) * count_cells(settings, tasks, [method], seeds)
    if count > MOST_CELLS:
        if not dry_run:
            raise ConfigError(too_many(count))
        echo(f"{len(chosen)} variants x tasks x seeds {seeds[0]} to {seeds[-1]}: {too_many(count)}")
        return
    if name == CLAMP:
        check_clamp(chosen, method, begins or {})
    jobs = ablation_jobs(chosen, method, pretrain_data, teacher, pretraining)
    if name != CLAMP:
        check_norm(jobs, settings.method_options)
    runtime = settings.runtime
    if weights_dir is not None:
        import dataclasses

        runtime = dataclasses.replace(runtime, weights_dir=str(weights_dir))
    paths, code, command = Paths(out, data or out / "data"), git_state(), shlex.join(["bench", *sys.argv[1:]])
    todo = missing(list({job.label: job for job in jobs.values()}.values()), out)
    refuse_pretrainings_of_other_settings(todo, out)
    for job in todo:
        check_teacher(job, weights_folder(runtime.weights_dir))

    def cells(variant: AnyVariant, weights: str) -> list[tuple[CellSpec, Cell]]:
        own_head, said = cells_of(variant, head, begins or {})
        return specs_of(name, protocol, own_head, [*overrides, *said], tasks, [method], seeds, weights)

    if todo:
        trained = [variant for variant in chosen if jobs.get(variant) in todo]
        check_before_pretraining((cell, jobs[v]) for v in trained for _, cell in cells(v, "random"))
        if is_follow_up():
            raise ConfigError(
                f"{', '.join(label(job) for job in todo)} should be there by now; `bench status` says why"
            )
        own_name = f"{sweep_name}-pretraining" if sweep_name else None
        first = make_pretrain_sweep(todo, paths, runtime, command, code, profile, any_code, not dry_run, name=own_name)
        if dry_run:
            echo(forecast(first, profile)["text"])
            echo(f"then: {len(chosen)} variants x tasks x seeds of {name}, once these are there")
            return
        for job in todo:
            withdraw(job.folder(out), job.identity_hash())
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
    pairs = [pair for variant in chosen for pair in cells(variant, weights_of(variant, jobs, out))]
    if profile["kind"] != "slurm":
        preflight([cell for _, cell in pairs])
    made = make_sweep(pairs, paths, command, code, profile, sweep_name, any_code, write=not dry_run)
    outcome = forecast(made, profile) if dry_run else launch(made, profile)
    print_json(outcome) if as_json else echo(outcome["text"])
    if outcome.get("failed") or outcome.get("busy"):
        raise typer.Exit(1 if outcome.get("failed") else 3)
