"""`bench pretrain`: train an encoder, or a whole policy, on demonstrations."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.option_types import whole
from benchmark.cli.options import Device, Json, Out, WeightsDir, app, echo, print_json, split, width
from benchmark.settings.catalog import register_baselines
from benchmark.settings.seeds import LARGEST_SEED
from benchmark.system.streams import give_back

Method = Annotated[str | None, typer.Option("--method", help="clar | clar-small | clamp | clamp-small; default: clar")]
Source = Annotated[
    str | None, typer.Option("--data", help="`bench list data`; several by comma are mixed; default: metaworld-35")
]
OwnPolicy = Annotated[
    str | None, typer.Option("--policy", metavar="NAME", help="instead of an encoder: `bench list policies`, or a file")
]
OfSuite = Annotated[str | None, typer.Option("--suite", help="of a policy: whose tasks it learns together")]
OfTasks = Annotated[str | None, typer.Option("--tasks", help="of a policy: comma-separated; default: all of the suite")]
OfProtocol = Annotated[str | None, typer.Option("--protocol", help="of a policy: demonstrations, steps; default: clar")]
OfWeights = Annotated[str | None, typer.Option("--weights", help="of a policy: random, or a file it begins with")]
Without = Annotated[str | None, typer.Option("--without", help="mae, contrast, local: Table V's switches")]
TeacherOption = Annotated[
    str | None, typer.Option("--teacher", help="clip, or random (marks the checkpoint); default: the method's first")
]
Settings = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="`bench show pretrain/clar`")]


@app.command()
@explained
def pretrain(
    method: Method = None,
    data: Source = None,
    policy: OwnPolicy = None,
    suite: OfSuite = None,
    tasks: OfTasks = None,
    protocol: OfProtocol = None,
    weights: OfWeights = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", parser=whole(0, LARGEST_SEED), metavar="N", help="of a policy; default: 0"),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", parser=whole(1, 1_000_000), metavar="N", help="default: the method's"),
    ] = None,
    without: Without = None,
    teacher: TeacherOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", parser=kinds.name, metavar="NAME", help="of the checkpoint; default: data and switches"),
    ] = None,
    device: Device = "auto",
    weights_dir: WeightsDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="train again what is there")] = False,
    out: Out = Path("runs"),
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", parser=kinds.folder, metavar="DIR", help="demonstrations and caches; default: OUT/data"
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", parser=whole(1, 1_024), metavar="N", help="one a GPU; the batch is split among them"
        ),
    ] = 1,
    launcher: Annotated[
        str | None, typer.Option("--launcher", help="local | slurm | a profile, with launcher.FIELD=VALUE")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", parser=whole(1, 1_024), metavar="N", help="torch threads; default: the cores"),
    ] = None,
    as_json: Json = False,
    settings: Settings = None,
) -> None:
    """Pre-train an encoder, or a policy, for `bench run --weights`. Run again, it resumes where it stopped."""
    import os

    from benchmark.cli.pretrain_policy import Asked, pretrain_whole, refuse_mixed
    from benchmark.launch.profile import load_profile, take_launcher_options
    from benchmark.pretrain.job import make_job
    from benchmark.pretrain.processes import torchrun, under_torchrun
    from benchmark.records.paths import Paths
    from benchmark.settings.runtime import Runtime
    from benchmark.system.errors import ConfigError
    from methods.weight_places import weights_folder

    register_baselines()
    refuse_mixed(
        policy,
        {
            "--method": method,
            "--data": data,
            "--epochs": epochs,
            "--without": without,
            "--teacher": teacher,
            "--launcher": launcher,
            "--processes": processes > 1,
        },
        {"--suite": suite, "--tasks": tasks, "--protocol": protocol, "--weights": weights, "--seed": seed},
    )
    if policy is not None:
        if suite is None:
            raise ConfigError("--suite is missing: a policy learns a suite's tasks (`bench list suites`)")
        said = {"runtime.device": device, "runtime.threads": threads, "runtime.weights_dir": weights_dir}
        own = [f"{key}={value}" for key, value in said.items() if value not in (None, "auto")]
        asked = Asked(
            suite,
            split(tasks, "--tasks"),
            protocol or "clar",
            seed or 0,
            weights,
            name,
            [*(settings or []), *own],
            out,
            cache,
        )
        pretrain_whole(policy, asked, dry_run, overwrite, as_json)
        return
    method, data = "clar" if method is None else method, "metaworld-35" if data is None else data
    changes, settings = take_launcher_options(settings or [])
    if changes and launcher is None:
        raise ConfigError(f"launcher.{next(iter(changes))} says nothing without --launcher; give it, too")
    overrides = [*settings, *([f"epochs={epochs}"] if epochs is not None else [])]
    job = make_job(method, split(data, "--data") or [], split(without, "--without") or [], teacher, overrides, name)
    if job.config.batch_size % (processes * job.config.accumulate):
        raise ConfigError(
            f"--processes {processes} with accumulate={job.config.accumulate}: batch_size={job.config.batch_size} "
            "cannot be split so evenly"
        )
    from benchmark.pretrain.data.sources import check_sources
    from benchmark.pretrain.run import check_teacher

    check_sources(job.data)
    check_teacher(job, weights_folder(weights_dir))
    if dry_run:
        print_json({"weights": str(job.weights(out)), **job.identity()})
        return
    paths, command = Paths(out, cache or out / "data"), shlex.join(["bench", *sys.argv[1:]])
    runtime = Runtime(
        device, job.config.precision, "auto", threads or "auto", 180.0, str(weights_dir) if weights_dir else None
    )
    if launcher is not None:
        from benchmark.launch.pretrain_work import make_pretrain_sweep
        from benchmark.launch.start_sweep import launch
        from benchmark.system.provenance import git_state

        if overwrite:
            raise ConfigError("--overwrite does not go with --launcher; give another --name")
        profile = load_profile(launcher, changes)
        made = make_pretrain_sweep([job], paths, runtime, command, git_state(), profile, processes=processes)
        outcome = launch(made, profile)
        print_json(outcome) if as_json else echo(outcome["text"])
        if outcome.get("failed") or outcome.get("busy"):
            raise typer.Exit(1 if outcome.get("failed") else 3)
        return
    if processes > 1 and not under_torchrun():
        start = torchrun(processes, "benchmark.cli", sys.argv[1:])
        give_back()  # the processes' results are this one's
        os.execv(start[0], start)
    from benchmark.pretrain.run import pretrain as run

    card, computed = run(job, paths, runtime, command, overwrite)
    if not card:
        return  # one of torchrun's other processes
    if as_json:
        print_json(card)
    else:
        echo(_in_words(card, job.weights(out), computed))


@app.command()
@explained
def retrieval(
    weights: Annotated[
        Path,
        typer.Option("--weights", parser=kinds.old_file, metavar="FILE", help="what `bench pretrain` left"),
    ],
    data: Annotated[str | None, typer.Option("--data", help="default: what it was trained on")] = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="clip | random; default: its own")] = None,
    galleries: Annotated[
        int,
        typer.Option(
            "--galleries", parser=whole(1, 10_000), metavar="N", help="draws of one frame a held-out trajectory"
        ),
    ] = 20,
    select: Annotated[
        str | None,
        typer.Option("--select", help="of CLAMP's examples: task-step | trajectory | all; docs/clamp.md"),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option("--matrix", parser=kinds.new_file, metavar="PNG", help="CLAMP's Fig. 8 of one trajectory"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", parser=whole(0, LARGEST_SEED), metavar="N")] = 0,
    device: Device = "auto",
    weights_dir: WeightsDir = None,
    cache: Annotated[
        Path, typer.Option("--cache", parser=kinds.folder, metavar="DIR", help="demonstrations and caches")
    ] = Path("runs/data"),
    as_json: Json = False,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[DATA.FIELD=VALUE]...")] = None,
) -> None:
    """Score retrieval on held-out frames, beside chance.

    Of CLAR: clouds by image and by instruction. Of CLAMP: image, action and text in all six directions (Fig. 7).
    """
    from benchmark.pretrain.judge_retrieval import judge, retrieval_table
    from benchmark.report.tables.forms import render
    from benchmark.settings.runtime import Runtime

    register_baselines()
    runtime = Runtime(device, "fp32", "auto", "auto", 180.0, str(weights_dir) if weights_dir else None)
    chosen = split(data, "--data")
    found = judge(weights, chosen, settings or [], teacher, galleries, seed, runtime, cache, select, matrix)
    print_json(found) if as_json else echo(render(retrieval_table(found), "terminal", width()), nl=False)


@app.command()
@explained
def attention(
    weights: Annotated[
        Path,
        typer.Option("--weights", parser=kinds.old_file, metavar="FILE", help="what `bench pretrain` left"),
    ],
    task: Annotated[str, typer.Option("--task", help="a MetaWorld task")] = "hammer",
    method: Annotated[str | None, typer.Option("--method", help="checked against the checkpoint's card")] = None,
    camera: Annotated[str, typer.Option("--camera")] = "corner",
    steps: Annotated[str, typer.Option("--steps", help="of the expert's episode")] = "0,25,50,75",
    to: Annotated[
        Path, typer.Option("--to", parser=kinds.folder, metavar="DIR", help="for the images and the page")
    ] = Path("attention"),
    as_json: Json = False,
) -> None:
    """Draw an encoder's attention over cloud and image.

    CLAR's figure 6, as PNGs and as a page whose clouds turn.
    """
    from benchmark.cli.options import parse_seeds
    from benchmark.pretrain.attention_maps import look, watch, write_looks
    from benchmark.pretrain.loading import load_pretraining
    from benchmark.system.errors import ConfigError

    register_baselines()
    model, card = load_pretraining(weights)
    if method is not None and method != card["method"]:
        raise ConfigError(f"{weights} is an encoder of {card['method']}, not of {method}")
    moments = watch("metaworld", task, camera, parse_seeds(steps, "--steps"))
    looks = [look(model, step, observation) for step, observation in moments]
    written = write_looks(looks, to, f"{card['method']}, {card['label']}: {task}")
    print_json([str(path) for path in written]) if as_json else echo("\n".join(map(str, written)))


def _in_words(card: dict[str, Any], weights: Path, computed: bool) -> str:
    last = card["history"][-1]
    lines = [
        f"{weights}: {'trained now' if computed else 'up to date, not re-run'}, {card['epochs']} epochs, "
        f"{card['steps']:,} steps, {card['seconds'] / 60:.0f} min",
        "last epoch: " + ", ".join(f"{name} {value:.4g}" for name, value in sorted(last["train"].items())),
    ]
    if last["valid"]:
        lines.append("held out:   " + ", ".join(f"{name} {value:.4g}" for name, value in sorted(last["valid"].items())))
    kinds = {source["kind"] for source in card["identity"]["data"]}
    suite = "aloha-6" if kinds == {"aloha"} else "SUITE" if any(".py:" in kind for kind in kinds) else "metaworld-15"
    lines.append(f"use it: bench run --suite {suite} --method {card['method']} --weights {weights}")
    return "\n".join(lines)
