"""Bad input, example by example: numbers, overrides, names and sizes. Each works as meant, or is one line."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmark.cli.errors import explained
from benchmark.cli.main import app
from benchmark.cli.options import parse_seeds, split
from benchmark.experiment.count_cells import MOST_CELLS
from benchmark.launch.profile import load_profile
from benchmark.launch.sweep_file import find
from benchmark.pretrain.data.sources import load_data
from benchmark.pretrain.job import make_job
from benchmark.records.shifted_retests import shifted_cameras
from benchmark.settings.bounds import Range, check_bounds
from benchmark.settings.load import load_settings
from benchmark.settings.pretraining import load_pretrain
from benchmark.settings.seeds import LARGEST_SEED
from benchmark.system.errors import ConfigError
from benchmark.system.files import Busy
from envs.camera import parse_camera
from envs.errors import SpecMismatch, UserError
from envs.names import UnsafeName, safe_name
from envs.spec import ObservationRequest
from methods.controls import ProprioOnly
from tests.test_cli import here

RUN = ("run", "--method", "state", "--tasks", "reach", "--dry-run")


def one_line(*words: str, code: int = 2) -> str:
    """What a command says that ends so: a single line."""
    got, out, err = here(*words)
    assert (got, out) == (code, ""), (out, err)
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    return err


# -- numbers ----------------------------------------------------------------------------------------------------------

PROTOCOL = [
    "protocol.train_demos=0",
    "protocol.train_demos=1.5",
    "protocol.valid_demos=-1",
    "protocol.horizon=0",
    "protocol.min_success_steps=1000",
    "protocol.min_success_steps=-1",
    "protocol.max_expert_failures=-1",
    "protocol.epochs=1000000000000",
    "protocol.epochs=nan",
    "protocol.epochs=true",
    "protocol.epochs=null",
    "protocol.epochs=",
    "protocol.epochs=[1]",
    "protocol.evaluate_every=0",
    "protocol.rollouts=0",
    "protocol.rollouts=10001",
    "protocol.retest_rollouts=-3",
    "protocol.learning_rate=0",
    "protocol.learning_rate=nan",
    "protocol.learning_rate=inf",
    "protocol.learning_rate=1e30",
    "protocol.encoder_lr_multiplier=-1",
    "protocol.encoder_lr_multiplier=nan",
    "protocol.weight_decay=-1",
    "protocol.weight_decay=inf",
    "protocol.batch_size.3d=1",
    "protocol.batch_size.3d=a",
    "protocol.batch_size.2d=1000000000",
    "protocol.batch_size=8",
    "protocol.batch_size={3d:nan}",
    "protocol.clip_actions=2",
    "protocol.success=3",
    "runtime.workers=0",
    "runtime.workers=many",
    "runtime.threads=-1",
    "runtime.threads=1.5",
    "runtime.threads=true",
    "runtime.worker_timeout=0",
    "runtime.worker_timeout=nan",
    "runtime.worker_timeout=inf",
    "runtime.device=gpu",
    "suite.observation.height=0",
    "suite.observation.width=1000000",
    "suite.observation.height=abc",
    "suite.observation.height=1.5",
    "suite.observation.cameras=3",
    "suite.observation.cameras=[1]",
    "suite.observation.sizes=3",
    "suite.observation.sizes={corner: [0, 3]}",
    "suite.observation.sizes={corner: nan}",
    "suite.observation.goal_marker=3",
    "suite.observation=3",
    "suite.tasks=3",
    "suite.tasks.easy=3",
    "suite.tasks.easy=[../../x]",
    "suite.tasks.easy=[3]",
    "suite.title=3",
    "runtime=3",
    "env=3",
    "env.metaworld=3",
    "env.metaworld.python=3",
    "method=3",
]
MLP = [
    "head.width=0",
    "head.width=-1",
    "head.width=abc",
    "head.hidden=[a]",
    "head.hidden=[0]",
    "head.hidden=3",
    "head.hidden=[1000000000]",
    "head.input_scale=nan",
    "head.input_scale=0",
    "head.compat=clip",
]
DIFFUSION = [
    "head.heads=0",
    "head.heads=-8",
    "head.heads=7",
    "head.width=0",
    "head.obs_steps=0",
    "head.chunk=0",
    "head.chunk=100000000",
    "head.lead=-1",
    "head.lead=16",
    "head.execute=0",
    "head.execute=17",
    "head.train_steps=0",
    "head.sample_steps=0",
    "head.sample_steps=51",
    "head.encoder_layers=0",
    "head.decoder_layers=1000",
    "head.dropout=1",
    "head.dropout=nan",
    "head.dropout=-0.1",
    "head.betas=[0.9,1]",
    "head.betas=[0.9]",
    "head.betas=[a,b]",
    "head.betas=0.9",
    "head.betas=[nan,0.9]",
    "head.weight_decay=-1",
    "head.warmup_steps=-1",
    "head.learning_rate=0",
    "head.ema_power=nan",
    "head.ema_power=-1",
    "head.ema_after=-1",
    "head.pad_after=-2",
    "head.pad_after=nan",
]
UNET = [
    "head.kernel=4",
    "head.kernel=0",
    "head.groups=0",
    "head.groups=7",
    "head.channels=[]",
    "head.channels=[0]",
    "head.channels=[a]",
    "head.step_embedding=1",
    "head.step_embedding=5",
]


@pytest.mark.parametrize(
    ("head", "override"),
    [("mlp", text) for text in PROTOCOL + MLP]
    + [("diffusion", text) for text in DIFFUSION]
    + [("dp3", text) for text in UNET],
)
def test_a_senseless_setting_is_named_before_any_work(head: str, override: str) -> None:
    with pytest.raises(UserError) as found:
        load_settings("metaworld-15", "clar", head, [override])
    group = override.partition("=")[0].split(".")[0]
    said = str(found.value)
    assert len(said.splitlines()) == 1
    assert group in said or "--device" in said


def test_code_that_makes_settings_by_hand_is_checked_too() -> None:
    protocol = load_settings("metaworld-15", "clar", "mlp").protocol
    with pytest.raises(ConfigError, match=r"protocol.epochs=1000000000000 is not allowed: it must be a whole number"):
        dataclasses.replace(protocol, epochs=10**12)
    with pytest.raises(UnsafeName, match="protocol.name"):
        dataclasses.replace(protocol, name="../../x")
    with pytest.raises(SpecMismatch, match="height"):
        ObservationRequest(fields=("rgb",), height="abc")  # type: ignore[arg-type]
    with pytest.raises(SpecMismatch, match="num_points"):
        ObservationRequest(fields=("rgb",), num_points=True)


def test_a_bool_is_no_number_and_a_whole_number_is_a_float() -> None:
    @dataclasses.dataclass
    class Some:
        rate: float

    check_bounds(Some(1), "some")
    for value in (True, "1", None, float("nan"), float("inf"), 10**400):
        with pytest.raises(ConfigError, match="some.rate=.* must be a finite number"):
            check_bounds(Some(value), "some")  # type: ignore[arg-type]
    assert 1 not in Range(0, 1, below_high=True) and float("nan") not in Range(0, 1) and 1 in Range(0, 1)


@pytest.mark.parametrize(
    "override",
    [
        "epochs=0",
        "epochs=1000000000000",
        "epochs=nan",
        "batch_size=a",
        "batch_size=-2",
        "accumulate=0",
        "weight_mae=-1",
        "weight_mae=nan",
        "weight_local=inf",
        "mask_low=nan",
        "cd_scale=0",
        "local_heads=0",
        "local_points=0",
        "seed=-1",
        "seed=99999999999999999999",
        "learning_rate=inf",
        "weight_decay=-1",
        "log_every=0",
        "decoder_depth=10000",
        "mae=3",
        "source=${",
        "epochs=[",
        "epochs=${oc.env:NOT_THERE}",
        "epochs=" + "[" * 2000,
        "epochs=&a [*a]",
    ],
)
def test_a_senseless_pretraining_is_named(override: str) -> None:
    with pytest.raises(ConfigError) as found:
        load_pretrain("clar", [override])
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    "override",
    [
        "demos=0",
        "stride=0",
        "stride=nan",
        "held_out=-1",
        "held_out=1000",
        "num_points=0",
        "height=0",
        "weight=inf",
        "weight=nan",
        "weight=-1",
        "yaw=nan",
        "min_success_steps=1000",
        "tasks=3",
        "tasks=[1]",
        "cameras=3",
        "crop=[nan,0,0,1,1,1]",
        "crop=[a]",
        "base=[a,b,c]",
        "horizon=[",
        "tasks=[../x]",
    ],
)
def test_a_senseless_source_is_named(override: str) -> None:
    with pytest.raises(UserError) as found:
        load_data("metaworld-35", [f"metaworld-35.{override}"])
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("launcher", "changes"),
    [
        ("slurm", {"cpus": 0}),
        ("slurm", {"cpus": True}),
        ("slurm", {"time": -5}),
        ("slurm", {"time": 10**12}),
        ("slurm", {"array_parallelism": 0}),
        ("slurm", {"mem": "lots"}),
        ("slurm", {"mem": -1}),
        ("slurm", {"gpus": "-1"}),
        ("slurm", {"requeues": -1}),
        ("slurm", {"signal_delay": 1e9}),
        ("slurm", {"partition": "a\nb"}),
        ("slurm", {"setup": "x"}),
        ("slurm", {"extra": 3}),
        ("local", {"jobs": 0}),
        ("local", {"jobs": -1}),
        ("local", {"jobs": "a"}),
        ("local", {"memory_gb": 0}),
        ("local", {"memory_gb": float("nan")}),
    ],
)
def test_a_senseless_launcher_is_named(launcher: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"launcher.{next(iter(changes))}"):
        load_profile(launcher, changes)


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "--workers", "0"),
        ("audit", "--workers", "-1"),
        ("audit", "--episodes", "-1"),
        ("plan", "--spread", "inf"),
        ("plan", "--spread", "nan"),
        ("plan", "--detect", "nan"),
        ("plan", "--power", "1"),
        ("plan", "--alpha", "0"),
        ("plan", "--discordant", "inf"),
        ("plan", "--interaction", "nan"),
        ("plan", "--interaction", "1e400"),
        ("compare", "a", "b", "--alpha", "nan"),
        ("compare", "a", "b", "--batch", "0"),
        ("compare", "a", "b", "--most", "0"),
        ("compare", "a", "b", "--most", "1000000000000"),
        ("retrieval", "--weights", __file__, "--galleries", "0"),
        ("retrieval", "--weights", __file__, "--seed", "-1"),
        ("perf", "--seconds", "nan"),
        ("perf", "--seconds", "0"),
        ("perf", "--batch", "0"),
        ("perf", "--task", "hammr"),
        ("perf", "pretrain", "--method", "clr"),
        ("sweep", "--method", "state", "--cpus", "0"),
        ("sweep", "--method", "state", "--time", "0"),
        ("sweep", "--method", "state", "--array-parallelism", "0"),
        ("pretrain", "--processes", "0"),
        ("pretrain", "--threads", "0"),
        ("pretrain", "--epochs", "0"),
        ("pretrain", "--device", "gpu"),
        ("retrieval", "--weights", __file__, "--device", "gpu"),
        ("table", "0"),
        ("table", "nan"),
        ("table", "1", "--paper", "clamb"),
        ("table", "1", "--format", "word"),
        ("ledger", "--format", "word"),
        ("spread", "--format", "word"),
        ("export", "--format", "word"),
        ("verify", "--all", "--format", "word"),
        ("compare", "a", "b", "--format", "word"),
        (*RUN, "--device", "gpu"),
        (*RUN, "--text", "bert"),
    ],
    ids=" ".join,
)
def test_a_senseless_option_is_one_line(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # without any record
    said = one_line(*words)
    assert words[-1] in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "azimuth=nan:nan:nan",
        "azimuth=inf",
        "azimuth=0:inf:1",
        "azimuth=nan",
        "azimuth=0:1:1e-300",
        "azimuth=-1e308:1e308:1",
    ],
)
def test_a_camera_is_moved_by_finite_numbers(text: str) -> None:
    with pytest.raises(ConfigError, match="--shift"):
        shifted_cameras(text, "corner")


@pytest.mark.parametrize("name", ["corner@azimuth=1e9", "corner@distance=1e9"])
def test_a_camera_is_not_moved_out_of_the_world(name: str) -> None:
    with pytest.raises(ValueError, match="at most"):
        parse_camera(name)


# -- overrides --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("key", ["protocol.batch_size.3d", "++protocol.batch_size.3d", "protocol.batch_size.2d"])
def test_a_batch_size_is_set_as_it_is_suggested(key: str) -> None:
    settings = load_settings("metaworld-15", "clar", "mlp", [f"{key}=8"])
    was = dict(load_settings("metaworld-15", "clar", "mlp").protocol.batch_size)
    assert settings.protocol.batch_size == {**was, key[-2:]: 8}
    assert settings.protocol.name == f"clar+batch_size.{key[-2:]}=8"
    assert (
        settings.identity()
        == load_settings("metaworld-15", "clar", "mlp", [f"protocol.batch_size={{{key[-2:]}:8}}"]).identity()
    )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("protocol.epochs=10,20", "one value each"),
        ("protocol.epochs=range(1,3)", "one value each"),
        ("~protocol.epochs", "cannot be left out"),
        ("~protocol.epochs=150", "cannot be left out"),
        ("protocol.epochs=${nothing}", "cannot apply"),
        ("suite.title=${oc.env:NOT_THERE_AT_ALL}", "cannot apply"),
        ("protocol.epochs=???", "cannot apply"),
        ("protocol.epochs=[", "cannot apply"),
        ("suite.title=a=b", "quote"),
        ("protocol.name=../../x", "chosen with --protocol"),
        ("+protocol.name=x", "chosen with --protocol"),
        ("suite.name=../../x", "chosen with --suite"),
        ("head.name=..", "chosen with --head"),
        ("protocol.epochs=" + "9" * 5000, "cannot apply"),
        ("protocol.epochs=" + "[" * 2000 + "]" * 2000, "cannot apply"),
        ("suite.tasks.easy=[reach,reach]", "names reach twice"),
        ("suite.tasks.easy=[hammer]", "names hammer twice"),
        ("launcher.jobs=2", "go with --launcher"),
        ("protocol={name:../../x}", "chosen with --protocol"),
        ("=", "no setting"),
        ("a=b", "no setting"),
    ],
)
def test_an_override_that_cannot_be_meant_is_one_line(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as found:
        load_settings("metaworld-15", "clar", "mlp", [override])
    assert len(str(found.value).splitlines()) == 1


def test_overrides_that_can_be_meant_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def epochs(*overrides: str) -> int:
        return load_settings("metaworld-15", "clar", "mlp", list(overrides)).protocol.epochs

    monkeypatch.setenv("TITLE", "mine")
    assert load_settings("metaworld-15", "clar", "mlp", ["suite.title=${oc.env:TITLE}"]).suite.title == "mine"
    assert epochs("+protocol.epochs=40") == epochs("++protocol.epochs=40") == epochs("protocol.epochs=40") == 40
    assert epochs("protocol.epochs=${protocol.rollouts}") == 25
    assert epochs("protocol.epochs=30", "protocol.epochs=40") == 40, "of two the last"


def test_a_device_that_is_an_override_is_not_taken_back_by_the_default_of_an_option() -> None:
    assert "--device gpu" in one_line(*RUN, "runtime.device=gpu")
    said = one_line(*RUN, "protocol.epochs=[")
    assert "runtime.device" not in said, "nobody gave it"


def test_an_option_of_a_certificate_without_a_value_is_one_line() -> None:
    assert "'compat' is not of the form key=value" in one_line("verify", "state", "compat")


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", ",", " , ,"])
def test_a_list_of_nothing_is_not_everything(text: str) -> None:
    assert f"--tasks '{text}' names nothing" in one_line("run", "--method", "state", "--dry-run", "--tasks", text)
    assert "--method" in one_line("run", "--dry-run", "--method", text)
    assert "--method" in one_line("sweep", "--dry-run", "--method", text)
    assert "--tasks" in one_line("collect", "--tasks", text)
    assert "--without" in one_line("pretrain", "--without", text, "--dry-run")
    assert "--seeds" in one_line("run", "--method", "state", "--dry-run", "--seeds", text)


def test_what_is_named_twice_is_planned_once() -> None:
    assert split("reach,hammer,reach", "--tasks") == ["reach", "hammer"]
    assert parse_seeds("0,2,0") == [0, 2]
    code, out, err = here("sweep", "--method", "state,state", "--tasks", "reach,reach", "--seeds", "1,1", "--dry-run")
    assert code == 0, err
    assert out.startswith("1 cells, 1 to do")


BAD_NAMES = ["a/b", "..", "../x", "a+b", "a\\b", ".hidden", "a\nb", "a\x1b", "", "x" * 101, "é", "-x", "a b", None, 3]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_leave_its_folder_is_refused_wherever_it_is_read(name: Any) -> None:
    with pytest.raises(UnsafeName):
        safe_name("it", name)
    with pytest.raises(ValueError, match="name"):
        dataclasses.replace(ProprioOnly.card, name=name)
    settings = load_settings("metaworld-15", "clar", "mlp")
    with pytest.raises(UserError, match=r"suite\.name"):
        dataclasses.replace(settings.suite, name=name)
    with pytest.raises(UserError, match=r"suite\.tasks"):
        dataclasses.replace(settings.suite, tasks={"all": (name,)})
    if name not in ("a+b", "x" * 101):
        with pytest.raises(UserError, match=r"protocol\.name"):
            dataclasses.replace(settings.protocol, name=name)
        with pytest.raises(UserError, match=r"head\.name"):
            dataclasses.replace(settings.head, name=name)


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".x", "a\\b", "x" * 101, "é"])
def test_a_sweep_and_a_checkpoint_have_names_that_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    assert "names files and folders" in one_line("sweep", "--method", "state", "--name", name, "--dry-run")
    assert "names files and folders" in one_line("pretrain", "--name", name, "--teacher", "random", "--dry-run")
    with pytest.raises(UnsafeName):
        make_job("clar", ["metaworld-35"], name=name)
    with pytest.raises(UserError):
        find(tmp_path, name)


VERBS_THAT_WRITE = [
    ("run", "--method", "state"),
    ("sweep", "--method", "state"),
    ("collect",),
    ("pretrain",),
    ("report",),
    ("verify", "proprio-only"),
    ("status",),
    ("doctor",),
]


@pytest.mark.parametrize("words", VERBS_THAT_WRITE, ids=lambda words: words[0])
@pytest.mark.parametrize("place", ["file", "file/below", "", "/dev/full"])
def test_a_folder_is_no_file(
    words: tuple[str, ...], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert "--out" in one_line(*words, "--out", place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("flag", ["--data"])
def test_data_is_a_folder(flag: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert flag in one_line(*RUN, flag, str(tmp_path / "file"))


@pytest.mark.slow
def test_an_export_goes_into_a_file_whose_folder_is_made(tmp_path: Path) -> None:
    assert "is a folder" in one_line("export", "--with-reference", "--to", ".")
    assert "is a device" in one_line("export", "--with-reference", "--to", "/dev/full")
    code, _, err = here("export", "--with-reference", "--to", str(tmp_path / "not" / "there" / "all.csv"))
    assert code == 0, err
    assert (tmp_path / "not" / "there" / "all.csv").stat().st_size > 1000
    (tmp_path / "file").write_text("")
    assert "--to" in one_line("report", "--to", str(tmp_path / "file"))
    assert "--to" in one_line("features", "export", "--method", "r3m", "--to", str(tmp_path / "file"))


# -- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "sweep"])
@pytest.mark.parametrize("end", [100_000_000, LARGEST_SEED])
def test_a_dry_run_of_very_many_cells_counts(verb: str, end: int) -> None:
    start = time.monotonic()
    words = (verb, "--method", "state", "--tasks", "reach,hammer", "--seeds", f"0:{end}", "--dry-run")
    code, out, err = here(*words)
    assert code == 0, err
    assert time.monotonic() - start < 10, "at once: seconds on a busy machine, most of them imports"
    assert f"{end:,} seeds" in out and f"{2 * end:,} cells are too many" in out
    assert "first metaworld-15/reach/state/mlp-s0\n" in out
    assert f"last  metaworld-15/hammer/state/mlp-s{end - 1}\n" in out


@pytest.mark.slow
def test_very_many_cells_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("run", "--method", "state"), ("sweep", "--method", "state"), ("suite", "clar-ablation")):
        assert f"which takes {MOST_CELLS:,}" in one_line(*words, "--seeds", "0:100000000")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "0:100000000000000000000",
        str(2**63),
        "-1",
        "٣",
        "1e3",
        "1_0",
        "0x1",
        "0:0",
        "3:1",
        "0:1:2",
        "a",
        "9" * 5000,
        ":",
        "1.5",
    ],
)
def test_seeds_are_numbers_that_a_record_can_hold(text: str) -> None:
    with pytest.raises(ConfigError, match="--seeds"):
        parse_seeds(text)


def test_seeds_stay_a_range() -> None:
    assert parse_seeds("0:3") == range(3) and list(parse_seeds(":2")) == [0, 1] and parse_seeds("5") == [5]
    assert len(parse_seeds(f"0:{LARGEST_SEED}")) == LARGEST_SEED


# -- the way out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--seed", "3"), "--seeds"),
        (("rnu",), "Did you mean 'run'?"),
        (("features", "exprot"), "'export'"),
        (("run", "--method"), "requires an argument"),
        (("sweep",), "Missing option '--method'"),
        (("compare",), "Missing argument"),
        (("list", "suites", "more"), "unexpected extra argument"),
    ],
)
def test_a_wrong_command_is_one_line_with_a_hint(words: tuple[str, ...], said: str) -> None:
    found = one_line(*words)
    assert said in found and "-h lists what there is" in found


@pytest.mark.slow
def test_help_is_where_it_was() -> None:
    for words in ((), ("features",)):
        code, _, err = here(*words)
        assert code == 2 and "Usage:" in err and "error:" not in err
    for words in (("-h",), ("run", "-h"), ("features", "--help"), ("features", "export", "-h")):
        code, out, err = here(*words)
        assert (code, err) == (0, "") and "Usage:" in out


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (Busy("it is being worked on"), 3, "error: it is being worked on\n"),
        (ConfigError("one\n  two \x1b[31m"), 2, "error: one two \\x1b[31m\n"),
        (OSError(errno.EACCES, "Permission denied", "x"), 2, "error: x: Permission denied\n"),
        (FileNotFoundError("no file x"), 2, "error: no file x\n"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "y"), 2, "error: y: Is a directory\n"),
        (ConfigError("x" * 10_000), 2, None),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_what_is_expected_is_one_line_and_an_exit_code(raised: BaseException, code: int, said: str | None) -> None:
    own = typer.Typer()

    @own.command()
    @explained
    def verb() -> None:
        raise raised

    done = CliRunner().invoke(own, [])
    assert done.exit_code == code
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 2_500
    assert said is None or done.stderr == said


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("benchmark.settings.catalog.listing", broken)
    done = CliRunner().invoke(app, ["list"])
    assert isinstance(done.exception, RuntimeError)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["benchmark", "benchmark.cli"])
def test_as_a_module_it_ends_in_the_same_way(module: str, tmp_path: Path) -> None:
    def end(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", module, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stderr

    code, err = end("run", "--seed", "3")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert end("list", "heads") == (0, "")
