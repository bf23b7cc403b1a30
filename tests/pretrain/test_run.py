"""A pre-training from its job to its checkpoint: killed, refused, marked, loaded again."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch.distributed.elastic.multiprocessing.api import SignalException
from typer.testing import CliRunner

from benchmark.cli.errors import explained
from benchmark.cli.main import app
from benchmark.experiment.make_cells import _of_another_simulator, make_cells, preflight
from benchmark.launch import pretrain_work
from benchmark.launch.before_pretraining import refuse_pretrainings_of_other_settings
from benchmark.pretrain import run as runs
from benchmark.pretrain import several_processes
from benchmark.pretrain.ablation_jobs import ablation_jobs, check_norm, weights_of
from benchmark.pretrain.data.sources import load_data
from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.pretrain.loading import load_pretraining
from benchmark.pretrain.processes import torchrun
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import card_inside, facts_for_record
from benchmark.records.pretraining_files import read_card, withdraw
from benchmark.settings.ablation_variants import VARIANTS, choose
from benchmark.settings.load import choices, load_settings
from benchmark.settings.pretraining import load_pretrain
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError, OtherSettings
from benchmark.system.files import Busy, exclusive
from envs.errors import UserError
from envs.metaworld_tasks import INSTRUCTIONS
from envs.source import files
from methods.clamp import objective
from methods.clar.representation import NORMS
from methods.code import CODE_ROOMS
from methods.errors import BadWeights, WeightsMissing
from methods.registry import method_class
from methods.weights import sha256
from tests.pretrain import scenes
from tests.pretrain.stopping import stopped_before

RESULTS = Path(__file__).resolve().parents[2] / "results"
FEW = ["epochs=2", "warmup_epochs=1", "batch_size=8", "log_every=2"]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    shards = [scenes.shard(20, 10, held_out=2, task=task, seed=seed) for seed, task in enumerate(("door-open", "push"))]
    monkeypatch.setattr(runs, "open_frames", lambda *_: scenes.frames(*shards))
    return Paths(tmp_path / "runs", tmp_path / "data")


def job(
    *overrides: str, without: tuple[str, ...] = ("contrast", "local"), teacher: str = "random", name: str | None = None
) -> PretrainJob:
    return make_job("clar-small", ["metaworld-35"], without, teacher, [*FEW, *overrides], name)


def pretrain(a_job: PretrainJob, paths: Paths, tmp_path: Path, **kw: Any) -> tuple[dict[str, Any], bool]:
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(tmp_path / "weights"))
    return runs.pretrain(a_job, paths, runtime, "bench pretrain", **kw)


def weights(a_job: PretrainJob, paths: Paths) -> dict[str, torch.Tensor]:
    return load_pretraining(a_job.weights(paths.out))[0].state_dict()


@pytest.mark.slow
def test_what_it_leaves(paths: Paths, tmp_path: Path) -> None:
    card, new = pretrain(job(), paths, tmp_path)
    assert new and card["label"] == "metaworld-35-mae-only" and card["steps"] == 8 and card["epochs"] == 2
    folder = job().folder(paths.out)
    left = {path.name for path in folder.iterdir()}
    assert left >= {"metaworld-35-mae-only.pt", "card.json", "curves.png", "tensorboard", "attempts.json"}
    assert not left & {"resume.pt", "status.json"}
    assert [entry["epoch"] for entry in card["history"]] == [1, 2]
    assert set(card["history"][0]["train"]) == set(card["history"][0]["valid"]) == {"mae", "total"}
    assert card["data"]["scenes"]["tasks"] == ["door-open", "push"] and card["data"]["scenes"]["held_out"] == 8
    for fact in ("git", "versions", "machine", "command"):
        assert card["provenance"][fact]
    assert card["sha256"] and card["data_hash"] and card["teacher"] == "none"
    inside = card_inside(job().weights(paths.out))
    assert inside is not None and inside["identity_hash"] == card["identity_hash"]
    again, new = pretrain(job(), paths, tmp_path)
    assert again == card and not new


@pytest.mark.slow
def test_its_encoder_is_what_bench_run_loads(paths: Paths, tmp_path: Path) -> None:
    pretrain(job(), paths, tmp_path)
    path = job().weights(paths.out)
    kind = method_class("clar-small")
    from benchmark.encoders.specs import encoder_specs

    fresh = kind(encoder_specs(kind.card))
    fresh.load_weights([path])
    model, _ = load_pretraining(path)
    ours, theirs = fresh.state_dict(), model.representation.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(BadWeights, match="does not fit"):
        method_class("clar")(encoder_specs(kind.card)).load_weights([path])
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(BadWeights, match="carries no card"):
        load_pretraining(tmp_path / "other.pt")


@pytest.mark.slow
def test_killed_between_two_saves_it_ends_with_the_same_weights(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = job(name="whole")
    expected, _ = pretrain(whole, paths, tmp_path)
    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    broken = job(name="broken")
    with stopped_before(5):
        pretrain(broken, paths, tmp_path)
    assert (broken.folder(paths.out) / "resume.pt").exists()
    with pytest.raises(OtherSettings, match="other settings"):
        pretrain(job("learning_rate=1e-4", name="broken"), paths, tmp_path)
    card, new = pretrain(broken, paths, tmp_path)
    assert new and len(card["attempts"]) == 3
    assert card["history"] == expected["history"], "the epoch that was cut in two has its whole mean"
    ours, theirs = weights(broken, paths), weights(whole, paths)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_an_edited_objective_is_said_and_never_goes_on_with_anothers_half(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    with stopped_before(5):
        pretrain(job(), paths, tmp_path)
    with monkeypatch.context() as editing:
        editing.setattr(runs, "class_text_hash", lambda _: "edited")
        with pytest.raises(OtherSettings, match="another source of clar-small.*Undo the edit to go on"):
            pretrain(job(), paths, tmp_path)
    card, new = pretrain(job(), paths, tmp_path)
    assert new and card["steps"] > 5 and len(card["attempts"]) == 3, "with the edit undone it goes on"
    capsys.readouterr()
    assert not pretrain(job(), paths, tmp_path)[1] and not capsys.readouterr().err
    monkeypatch.setattr(runs, "class_text_hash", lambda _: "edited")
    assert not pretrain(job(), paths, tmp_path)[1], "weights of hours are not thrown away for an edit"
    assert "has changed since metaworld-35-mae" in capsys.readouterr().err
    assert pretrain(job(), paths, tmp_path, overwrite=True)[0]["provenance"]["objective_text"] == "edited"


@pytest.mark.slow
def test_another_version_of_the_simulator_is_said(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "simulators", lambda _: {"metaworld-35": "metaworld==3.0.0"})
    card, _ = pretrain(job(), paths, tmp_path)
    assert card["provenance"]["simulators"] == {"metaworld-35": "metaworld==3.0.0"}
    capsys.readouterr()
    assert not pretrain(job(), paths, tmp_path)[1] and not capsys.readouterr().err
    monkeypatch.setattr(runs, "simulators", lambda _: {"metaworld-35": "metaworld==3.1.0"})
    assert not pretrain(job(), paths, tmp_path)[1]
    assert "metaworld-35 was metaworld==3.0.0 when metaworld-35-mae" in capsys.readouterr().err


def test_processes_that_are_interrupted_end_without_torchruns_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        raise SignalException("Process 7 got signal: 2", signal.SIGINT)

    monkeypatch.setattr("torch.distributed.run.main", run)
    with pytest.raises(SystemExit) as ended:
        several_processes.main()
    assert ended.value.code == 130
    assert torchrun(2, "benchmark.cli", ["pretrain"])[1:3] == ["-m", several_processes.__name__]


@pytest.mark.parametrize(("rank", "said"), [("0", 1), ("1", 0)])
def test_of_several_processes_one_says_that_they_were_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, said: int
) -> None:
    @explained
    def command() -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == 130 and capsys.readouterr().err.count("interrupted") == said


@pytest.mark.parametrize("name", ["resume", "resume-before"])
def test_a_name_whose_weights_would_lie_where_half_finished_ones_do_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--name {name}: {name}.pt is where a half-finished"):
        job(name=name)


def test_the_text_of_an_objective_is_its_losses_and_its_encoders_too() -> None:
    found = files(Path(objective.__file__), objective.__name__, CODE_ROOMS)
    assert {"methods/clamp/loss.py", "methods/clamp/encoder.py", "methods/clamp/text.py"} <= set(found)


@pytest.mark.slow
def test_two_at_once_and_other_settings_are_refused(paths: Paths, tmp_path: Path) -> None:
    pretrain(job(), paths, tmp_path)
    with pytest.raises(OtherSettings, match="--name, or --overwrite"):
        pretrain(job("learning_rate=1e-3"), paths, tmp_path)
    card, new = pretrain(job("learning_rate=1e-3"), paths, tmp_path, overwrite=True)
    assert new and card["identity"]["config"]["learning_rate"] == 1e-3
    folder = job(name="other").folder(paths.out)
    with exclusive(folder / "lock", "it", wait=False), pytest.raises(Busy):
        pretrain(job(name="other"), paths, tmp_path)


@pytest.mark.slow
def test_a_random_teacher_marks_name_card_and_record(paths: Paths, tmp_path: Path) -> None:
    taught = job(without=())
    card, _ = pretrain(taught, paths, tmp_path)
    assert taught.label == "metaworld-35-full-random-teacher"
    assert card["untrained_teacher"] and card["teacher"].startswith("random")
    assert set(card["history"][-1]["train"]) == {"mae", "image", "text", "local", "seen", "total"}
    facts = facts_for_record(taught.weights(paths.out))
    assert facts is not None and facts["variant"] == "full" and facts["untrained_teacher"]
    model, _ = load_pretraining(taught.weights(paths.out))
    assert model.contrast is not None and model.local is not None and model.decoder is not None


def test_an_absent_teacher_stops_before_any_work(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("frames were prepared")

    monkeypatch.setattr(runs, "open_frames", never)
    with pytest.raises(WeightsMissing, match=r"bench weights clar-teacher --fetch(.|\n)*--teacher random"):
        pretrain(job(without=(), teacher="clip"), paths, tmp_path)


@pytest.mark.slow
def test_a_task_that_was_pretrained_on_is_not_scored(paths: Paths, tmp_path: Path) -> None:
    shards = [scenes.shard(20, 10, held_out=2, task="reach")]
    runs.open_frames = lambda *_: scenes.frames(*shards)  # type: ignore[assignment]
    pretrain(job(), paths, tmp_path)
    settings = load_settings("metaworld-15", "quick", "mlp")
    chosen = str(job().weights(paths.out))
    with pytest.raises(ConfigError, match="was pre-trained on demonstrations of reach"):
        make_cells(settings, ["reach"], ["clar-small"], [0], chosen)  # on a cluster's nodes as here
    preflight(make_cells(settings, ["hammer"], ["clar-small"], [0], chosen))


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_a_policy_sees_clouds_as_its_pretraining_did_or_is_refused(norm: str, paths: Paths, tmp_path: Path) -> None:
    from benchmark.encoders.specs import encoder_specs

    one = job(f"norm={norm}")
    pretrain(one, paths, tmp_path)
    path, kind = one.weights(paths.out), method_class("clar-small")
    clouds = {"points": torch.rand(4, 1024, 3), "points_valid": torch.ones(4, 1024, dtype=torch.bool)}
    for asked in NORMS:
        fresh = kind(encoder_specs(kind.card), norm=asked)
        if asked != norm:
            with pytest.raises(BadWeights, match=rf"norm={norm}.* this is norm={asked}.* Give method.norm={norm}"):
                fresh.load_weights([path])
            continue
        fresh.load_weights([path])
        stored = {name: value.clone() for name, value in fresh.preprocess.state_dict().items()}
        fresh.fit(clouds)
        refitted = any(not torch.equal(v, stored[name]) for name, v in fresh.preprocess.state_dict().items())
        assert refitted == (norm == "task"), "only `task` is fitted on the policy's clouds"
    model, _ = load_pretraining(path)
    assert all(torch.equal(v, stored[name]) for name, v in model.representation.preprocess.state_dict().items())


def test_an_older_checkpoint_keeps_its_range_by_its_old_name(tmp_path: Path) -> None:
    """The layout of the checkpoints from before `fixed`: `preprocess.low` and `high`, of the pre-training's clouds."""
    from benchmark.encoders.specs import encoder_specs

    kind = method_class("clar-small")
    parts = dict(kind(encoder_specs(kind.card), norm="unit_sphere").state_dict())
    parts |= {"preprocess.low": torch.tensor([-0.4, 0.3, 0.0]), "preprocess.high": torch.tensor([0.6, 0.9, 0.7])}
    torch.save({"representation": parts}, tmp_path / "old.pt")
    with pytest.raises(BadWeights, match="the range of its training clouds is in it.*method.norm=workspace"):
        kind(encoder_specs(kind.card)).load_weights([tmp_path / "old.pt"])
    old = kind(encoder_specs(kind.card), norm="workspace")
    old.load_weights([tmp_path / "old.pt"])
    point, valid = torch.tensor([[[0.6, 0.9, 0.35]]]), torch.ones(1, 1, dtype=torch.bool)
    old.fit({"points": point, "points_valid": valid})
    torch.testing.assert_close(old.preprocess(point, valid)[0, 0], torch.tensor([1.0, 0.6, 0.0]))


def test_what_was_pretrained_before_is_named_as_it_was() -> None:
    """The committed pre-training, by its old settings; and `dcl_as_printed`, which was another formula then."""
    card = json.loads((RESULTS / "pretrained" / "clar-small" / "metaworld-35-mae-only" / "card.json").read_text())
    before = ["norm=workspace", "cd_scale=1"]
    same = make_job("clar-small", ["metaworld-35"], ["contrast", "local"], "clip", before)
    assert same.identity_hash() == card["identity_hash"]
    formats = {form: job(f"form={form}").identity()["format"] for form in ("infonce", "dcl", "dcl_as_printed")}
    assert formats == {"infonce": 1, "dcl": 1, "dcl_as_printed": 2}


def test_another_constant_is_not_the_same_norm(tmp_path: Path) -> None:
    from benchmark.encoders.specs import encoder_specs

    kind = method_class("clar-small")
    parts = dict(kind(encoder_specs(kind.card)).state_dict())
    parts["preprocess.half_width"] = torch.tensor(0.7)
    torch.save({"representation": parts}, tmp_path / "other.pt")
    with pytest.raises(BadWeights, match="norm=fixed and another half_width"):
        kind(encoder_specs(kind.card)).load_weights([tmp_path / "other.pt"])


# -- names


@pytest.mark.slow
def test_what_is_pretrained_on_is_not_evaluated() -> None:
    trained = set(load_data("metaworld-35").tasks)
    assert len(trained) == 35 and trained <= set(INSTRUCTIONS)
    every = [load_settings(name, "clar", "mlp").suite for name in choices("suite")]
    suites = {one.name: set(one.task_names) for one in every if one.env == "metaworld"}  # aloha has a drawer-open, too
    assert {"metaworld-15", "clar-ablation", "metaworld-perspective"} <= set(suites)
    assert not trained & (suites["metaworld-15"] | suites["clar-ablation"])
    assert trained | suites["metaworld-15"] == set(INSTRUCTIONS)
    small = load_data("metaworld-34")
    assert trained - set(small.tasks) == {"button-press"}, "Tables III and IV evaluate it"
    assert all(not set(small.tasks) & tasks for tasks in suites.values()), "it is for every suite"
    rest = {f.name for f in dataclasses.fields(small)} - {"name", "title", "tasks"}
    assert all(getattr(small, name) == getattr(load_data("metaworld-35"), name) for name in rest)
    assert "corner2" not in small.cameras, "Table IV's camera stays unseen"


def test_a_name_that_two_simulators_share_is_two_tasks() -> None:
    assert _of_another_simulator("metaworld-34", "aloha"), "each has a drawer-open"
    assert not _of_another_simulator("metaworld-34", "metaworld")
    assert not _of_another_simulator("rlbench-9", "rlbench4-port")
    assert not _of_another_simulator("metaworld-34", "mine.py:Sim") and not _of_another_simulator("my-data", "aloha")


def test_rlbench_9_is_the_papers() -> None:
    found = load_data("rlbench-9")
    assert len(found.tasks) == 9
    evaluated = {"close-box", "close-laptop-lid", "water-plants", "toilet-seat-down"}
    assert not evaluated & set(found.tasks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clar", []), "--data is missing"),
        (("clar", ["metaworld-36"]), "Did you mean 'metaworld-3"),
        (("clip", ["metaworld-35"]), "'clip' with a pre-training"),
        (("clar", ["metaworld-35"] * 2), "twice"),
        (("clar", ["metaworld-35"], ["mea"]), "none of mae, contrast, local"),
        (("clar", ["metaworld-35"], [], "dino"), "none of clip, random"),
        (("clar", ["metaworld-35"], [], "clip", ["metaworld-35.demos=0"]), "at least 1"),
        (("clar", ["metaworld-35"], [], "clip", ["metaworld-35.demo=3"]), "no setting"),
        (("clar", ["metaworld-35"], [], "clip", ["metaworld-35.weight=0"]), "must be a finite number, more than 0"),
        (("clar", ["metaworld-35"], [], "clip", [], "../x"), "names files and folders"),
    ],
)
def test_bad_names_are_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((UserError, KeyError), match=message):
        make_job(*arguments)


# -- Table V


def test_the_five_variants_are_table_vs_rows() -> None:
    from benchmark.report.tables.printed_numbers import reported

    assert [variant.row for variant in VARIANTS] == [number.method for number in reported("clar", "Table V")]
    jobs = ablation_jobs(choose(None), "clar", ["metaworld-35"], "clip")
    names = {variant.name: jobs[variant].config.variant for variant in jobs}
    assert names == {name: name for name in ("full", "without-mae", "without-local", "mae-only")}
    last = VARIANTS[-1]
    assert weights_of(last, jobs, Path("runs")) == "random"
    assert weights_of(VARIANTS[0], jobs, Path("r")) == "r/pretrain/clar/metaworld-35-full/metaworld-35-full.pt"
    assert jobs[VARIANTS[3]].teacher == "none", "MAE alone needs no teacher"
    with pytest.raises(ConfigError, match="none of full"):
        choose(["w/o MAE"])


@pytest.mark.slow
def test_table_vs_rows_are_normalised_alike_by_default_and_never_otherwise() -> None:
    for method in ("clar", "clar-small"):
        card = method_class(method).card
        (option,) = [option for option in card.options if option.name == "norm"]
        assert card.input.normalization == option.default == load_pretrain(method).norm == "fixed"  # type: ignore[union-attr]
        jobs = ablation_jobs(choose(None), method, ["metaworld-35"], "clip")
        check_norm(jobs, {})
        unequal = (([], {"norm": "task"}), (["norm=unit_sphere"], {}), (["norm=task"], {"norm": "workspace"}))
        for own, options in unequal:
            jobs = ablation_jobs(choose(None), method, ["metaworld-35"], "clip", own)
            with pytest.raises(ConfigError, match="normalise clouds alike"):
                check_norm(jobs, options)
        check_norm(ablation_jobs(choose(None), method, ["metaworld-35"], "clip", ["norm=task"]), {"norm": "task"})


def test_an_ablation_of_two_norms_stops_before_any_work(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        [
            "suite",
            "clar-ablation",
            "--method",
            "clar-small",
            "--variants",
            "mae-only,none",
            "--out",
            str(tmp_path),
            "pretrain.norm=unit_sphere",
        ],
    )
    assert done.exit_code == 2 and not list(tmp_path.iterdir())
    assert "pretrain.norm=unit_sphere and method.norm=fixed" in done.output + done.stderr


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_suite_trains_over_no_pretraining_of_other_settings(dry: list[str], tmp_path: Path) -> None:
    """And says so before it promises to."""
    folder = tmp_path / "pretrain" / "clar-small" / "metaworld-35-mae-only"
    folder.mkdir(parents=True)
    (folder / "theirs.pt").write_bytes(b"weights")
    facts = {"file": "theirs.pt", "bytes": 7, "sha256": sha256(folder / "theirs.pt"), "identity_hash": "another"}
    (folder / "card.json").write_text(json.dumps(facts))
    words = ["suite", "clar-ablation", "--method", "clar-small", "--variants", "mae-only,none", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--tasks", "hammer", "--protocol", "quick", *dry])
    said = " ".join(done.output.split())
    assert done.exit_code == OtherSettings("").exit_code and "another --out" in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["pretrain"] and (folder / "theirs.pt").exists()


def test_a_sweep_of_pretrainings_carries_its_jobs_whole(paths: Paths) -> None:
    jobs = list(ablation_jobs(choose(["mae-only", "full"]), "clar-small", ["metaworld-35"], "random", FEW).values())
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0)
    sweep = pretrain_work.make_pretrain_sweep(jobs, paths, runtime, "bench suite", {"code": "x"}, {"kind": "local"})
    written = json.loads((sweep.folder / "sweep.json").read_text())
    assert written["work"] == "benchmark.launch.pretrain_work"
    assert [pretrain_work._job(sweep, number) for number in range(2)] == [(job, runtime) for job in jobs]
    assert sweep.missing() == [0, 1] and len({entry.group for entry in sweep.entries}) == 1, "they share their frames"
    assert pretrain_work.missing(jobs, paths.out) == jobs


@pytest.mark.slow
def test_a_finished_pretraining_is_done_in_its_sweep(paths: Paths, tmp_path: Path) -> None:
    from benchmark.launch.forecast import forecast
    from benchmark.launch.status import states

    one = job()
    sweep = pretrain_work.make_pretrain_sweep(
        [one], paths, Runtime("cpu", "fp32", 1, 1, 60.0), "c", {"code": "x"}, {"kind": "local"}
    )
    assert "run pretrain/clar-small/metaworld-35-mae-only" in forecast(sweep, {"kind": "local"})["text"]
    pretrain(one, paths, tmp_path)
    assert [state.state for state in states(sweep)] == ["done"]
    assert pretrain_work.missing([one], paths.out) == []
    folder, weights = one.folder(paths.out), one.weights(paths.out)
    refuse_pretrainings_of_other_settings([one], paths.out)
    longer = dataclasses.replace(one, config=dataclasses.replace(one.config, epochs=one.config.epochs + 1))
    with pytest.raises(OtherSettings, match=rf"{folder} holds a pre-training of other settings.* another --out"):
        refuse_pretrainings_of_other_settings([longer], paths.out)
    withdraw(folder, one.identity_hash())
    assert [state.state for state in states(sweep)] == ["done"], "what is whole stays"
    weights.write_bytes(weights.read_bytes()[:5_000])
    withdraw(folder, "another")
    assert [state.state for state in states(sweep)] == ["done"], "and so does what is of other settings"
    withdraw(folder, one.identity_hash())
    assert [state.state for state in states(sweep)] != ["done"], "it is trained again"
    assert {"card.json.damaged", f"{weights.name}.damaged"} <= {path.name for path in folder.iterdir()}
    pretrain(one, paths, tmp_path)
    weights.unlink()
    assert read_card(folder) is None, "a card without its weights is no pre-training"
    withdraw(folder, one.identity_hash())
    assert [state.state for state in states(sweep)] != ["done"]
