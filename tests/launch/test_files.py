"""What a sweep's files say, without any launcher: states, signs of life, profiles, logs, numbers that stay."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark.launch import squeue, start_sweep
from benchmark.launch.cell_spec import specs_of
from benchmark.launch.forecast import forecast
from benchmark.launch.local import Result, slots
from benchmark.launch.logs import find_cell, follow_logs
from benchmark.launch.make_sweep import OtherCode, make_sweep
from benchmark.launch.profile import load_profile, resources, take_launcher_options
from benchmark.launch.start_sweep import launch
from benchmark.launch.status import Jobs, State, cell_state, done_state, status_table
from benchmark.launch.sweep_file import MOVED, Entry, NoSweep, Sweep, find, load
from benchmark.records.paths import Paths
from benchmark.system import heartbeat as heartbeat_module
from benchmark.system.errors import ConfigError
from benchmark.system.files import Busy
from benchmark.system.heartbeat import ATTEMPTS, FILE, Heartbeat, this_start, wait_until_heartbeat_stops
from benchmark.system.provenance import git_state
from envs.names import UnsafeName
from envs.registry import UnknownName
from tests.conftest import TOY
from tests.test_cli import here

ROOT = Path(__file__).resolve().parents[2]
CODE = {"commit": "a" * 40, "dirty": False, "code": "0123"}
START = this_start("cpu", "2.13.0", 2, "abc")
TOYS = [f"suite.env={TOY}", "suite.observation.cameras=[front]", "suite.tasks.easy=[near,far,cursed]"]


def entry(folder: Path) -> Entry:
    one = Entry("s/t/m/mlp-s0", {}, folder / "r.json", folder / "work", "abc", "g")
    one.work.mkdir(exist_ok=True)
    return one


def test_the_state_of_a_cell_is_in_its_files(tmp_path: Path) -> None:
    one, none = entry(tmp_path), Jobs()
    assert cell_state(one, none).state == "waiting"
    (one.work / "progress.json").write_text(
        json.dumps({"evaluations": [{"epoch": 20, "tally": {"k": 3, "n": 25, "errors": 0}}]})
    )
    assert cell_state(one, none).state == "stopped"
    with Heartbeat(one.work, START) as heartbeat:
        heartbeat.say(phase="training", epoch=30, epochs=150, epoch_at_start=20, training_since=time.time() - 600)
        alive = cell_state(one, none)
        assert (alive.state, alive.epoch, alive.last, alive.restarts) == ("running", "30/150", "3/25", 0)
        assert alive.left == "2.0 h", "ten epochs took ten minutes, 120 are left"
        silent = cell_state(one, none, now=time.time() + 500)
        assert silent.state == "stopped"
        assert "no sign of life for 8 min, was training" in silent.detail
    assert not (one.work / FILE).exists()
    with Heartbeat(one.work, START):
        assert cell_state(one, none).restarts == 1
    (one.work / "error.txt").write_text("Traceback\nValueError: why\n")
    assert cell_state(one, none).detail == "ValueError: why"
    one.record.write_text(json.dumps({"identity_hash": "other"}))
    assert done_state(one) is None, "a record of other settings is not this cell's"
    record = {"identity_hash": "abc", "retest": {"tally": {"k": 80, "n": 100}}, "provenance": {"attempts": [1, 2, 3]}}
    one.record.write_text(json.dumps(record))
    done = done_state(one)
    assert done is not None
    assert (done.state, done.last, done.restarts) == ("done", "retest 80/100", 2)


def test_slurm_and_the_files_correct_each_other(tmp_path: Path) -> None:
    one = entry(tmp_path)
    assert cell_state(one, Jobs("7_3", ("PENDING", "Priority"), True)).detail == "job 7_3 in the queue: Priority"
    assert cell_state(one, Jobs("7_3", ("RUNNING", "None"), True)).state == "running"
    gone = cell_state(one, Jobs("7_3", None, True, "OUT_OF_MEMORY"))
    assert (gone.state, gone.detail) == ("failed", "job 7_3 ended as OUT_OF_MEMORY; its log says more")
    assert cell_state(one, Jobs("7_3", None, True, "CANCELLED")).state == "stopped"
    assert cell_state(one, Jobs("7_3", None, True)).detail == "job 7_3 gone from the queue"
    down = cell_state(one, Jobs("7_3", None, False))
    assert (down.state, down.detail) == ("waiting", "job 7_3 and Slurm does not answer")
    with Heartbeat(one.work, {**START, "job": "7_3"}):
        assert cell_state(one, Jobs("7_3", None, True)).state == "stopped", "its file is fresh, but Slurm knows better"
        assert cell_state(one, Jobs("7_3", None, False)).state == "running", "Slurm is down: the files are believed"
        assert cell_state(one, Jobs("8_3", None, True)).state == "running", "another job, perhaps of another sweep"


def test_a_sign_of_life_from_another_machine_keeps_others_away(tmp_path: Path) -> None:
    """For filesystems whose locks do not reach other machines."""
    said: list[str] = []
    wait_until_heartbeat_stops(tmp_path, "cell", said.append, beat=0.1)
    with Heartbeat(tmp_path, START):
        wait_until_heartbeat_stops(tmp_path, "cell", said.append, beat=0.1)
        assert not said, "on this machine the lock has settled it"
    with Heartbeat(tmp_path, {**START, "host": "elsewhere"}) as other:
        start = time.monotonic()
        wait_until_heartbeat_stops(tmp_path, "cell", said.append, beat=0.1)
        assert time.monotonic() - start >= 0.3, "gone is who has not renewed his sign for three beats"
        assert "elsewhere" in said[0]
        other._stop.set()
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"""
import json, os, time
for k in range(20):
    time.sleep(0.1); data = json.load(open({str(other.path)!r})); data["updated"] += 1
    open({str(other.path)!r} + "~", "w").write(json.dumps(data))
    os.replace({str(other.path)!r} + "~", {str(other.path)!r})
""",
            ]
        )
        with pytest.raises(Busy, match="on elsewhere"):
            wait_until_heartbeat_stops(tmp_path, "cell", said.append, beat=0.6)


def test_every_start_is_listed_with_its_machine(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, START):
        pass
    with Heartbeat(tmp_path, {**START, "device": "NVIDIA H200", "torch": "2.14.0"}) as second:
        assert [a["torch"] for a in second.attempts] == ["2.13.0", "2.14.0"]
    assert [a["device"] for a in json.loads((tmp_path / ATTEMPTS).read_text())] == ["cpu", "NVIDIA H200"]


def test_a_damaged_file_of_signs_is_no_sign(tmp_path: Path) -> None:
    one = entry(tmp_path)
    (one.work / FILE).write_text('{"updated": 1')
    (one.work / ATTEMPTS).write_text("[")
    assert cell_state(one, Jobs()).state == "waiting"


@pytest.mark.slow
def test_status_needs_no_torch() -> None:
    code = "import sys, benchmark.launch.status; sys.exit(not {'torch', 'numpy', 'mujoco'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_slurm_that_does_not_answer_is_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "squeue"
    fake.write_text("#!/bin/sh\necho '12_3|RUNNING|None'; echo '12_4|PENDING|Priority'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(squeue, "PATIENCE", 0.5)
    assert squeue.waiting_and_running() == {"12_3": ("RUNNING", "None"), "12_4": ("PENDING", "Priority")}
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert squeue.waiting_and_running() is None
    fake.write_text("#!/bin/sh\nsleep 9\n")
    assert squeue.waiting_and_running() is None


def test_profiles_are_the_projects_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "lab.yaml").write_text("kind: slurm\npartition: gpu\nsetup: ['module load cuda']\n")
    changes, rest = take_launcher_options(["launcher.gpus=1", "launcher.mail_type=END", "protocol.epochs=3"])
    assert rest == ["protocol.epochs=3"]
    asked = resources(load_profile("lab", changes))
    assert (asked.partition, asked.gpus, asked.setup, asked.extra) == (
        "gpu",
        1,
        ("module load cuda",),
        (("mail-type", "END"),),
    )
    with pytest.raises(UnknownName, match="Did you mean 'lab'"):
        load_profile("labb", {})
    with pytest.raises(ConfigError, match="a local launcher has no option gpus; it has cells_per_gpu, jobs, memory_gb"):
        load_profile("local", {"gpus": 1})
    with pytest.raises(ConfigError, match="launcher.time='1-00:00' is not allowed: it must be a whole number"):
        load_profile("slurm", {"time": "1-00:00"})
    with pytest.raises(ConfigError, match="give launcher.KEY=VALUE"):
        take_launcher_options(["launcher.qos"])
    (tmp_path / "launcher" / "bad.yaml").write_text("kind: cloud\n")
    with pytest.raises(ConfigError, match="kind must be one of"):
        load_profile("bad", {})


def test_cells_share_the_machine_without_sharing_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert len(slots(4, 1e6, [])) == 4, "who asks for a number gets it"
    assert len(slots(None, 1e6, [])) == 1, "too little memory for two is still one"
    each = [core for slot in slots(cores, 0.1, []) for core in slot.cores]
    assert sorted(each) == sorted(os.sched_getaffinity(0))


def made(folder: Path, seeds: list[int], name: str | None = None, extra: tuple[str, ...] = (), **how: Any) -> Sweep:
    cells = specs_of("metaworld-15", "quick", "mlp", [*TOYS, *extra], ["near"], ["state"], seeds, None)
    return make_sweep(
        cells, Paths(folder, folder / "data"), "bench sweep", how.pop("code", CODE), {"kind": "debug"}, name, **how
    )


def test_a_sweep_grows_and_its_cells_keep_their_numbers(tmp_path: Path) -> None:
    first = made(tmp_path, [1, 2], "mine")
    assert [e.label[-2:] for e in made(tmp_path, [0, 1, 2], "mine").entries] == ["s1", "s2", "s0"]
    assert load(first.folder).entries[0] == first.entries[0]
    assert made(tmp_path, [1, 2]).name == made(tmp_path, [1, 2]).name != made(tmp_path, [1]).name
    assert made(tmp_path, [1]).name.startswith("metaworld-15-quick+env=toy_env.py_T"), "and what was changed in it"
    assert load(first.folder).raw["settings"]["state"]["protocol"]["epochs"] == 10, "the settings are kept with it"
    with pytest.raises(ConfigError, match="state/mlp-s1 under other settings or code; give another --name"):
        made(tmp_path, [1], "mine", ("protocol.epochs=3", "protocol.evaluate_every=1"))


def test_a_sweep_of_an_earlier_version_finds_its_work_where_it_is_now(tmp_path: Path) -> None:
    first = made(tmp_path, [0], "mine")
    file = first.folder / "sweep.json"
    file.write_text(file.read_text().replace(first.work, "benchmark.launch.cells"))
    assert load(first.folder).work == first.work == "benchmark.launch.cell_work"
    for now in MOVED.values():
        assert {"prepare", "run"} <= set(vars(importlib.import_module(now)))


def test_what_is_no_part_of_an_identity_is_as_it_was_said_last(tmp_path: Path) -> None:
    """A pre-training whose data lay elsewhere failed for ever: the sweep kept the first command's folder."""
    first = made(tmp_path, [1, 2], "mine", ("runtime.threads=1",))
    again = made(tmp_path, [2], "mine", ("runtime.threads=2",))
    assert [entry.identity_hash for entry in again.entries] == [entry.identity_hash for entry in first.entries]
    assert [entry.spec["overrides"][-1] for entry in again.entries] == ["runtime.threads=1", "runtime.threads=2"]


@pytest.mark.parametrize("name", ["../other", "a/b", "", ".hidden", "two words"])
def test_a_name_names_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeName, match="names files and folders"):
        made(tmp_path, [0], name)


def test_other_code_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    made(tmp_path, [0], "mine")
    other = {**CODE, "dirty": True, "code": "4567"}
    with pytest.raises(OtherCode, match=r"made at aaaaaaaaaaaa \(code 0123\); this is .* local changes .*--any-code"):
        made(tmp_path, [0], "mine", code=other)
    assert not made(tmp_path, [0], "mine", code={**CODE, "commit": "b" * 40}).any_code, "only documents have changed"
    assert made(tmp_path, [0], "mine", code=other, any_code=True).any_code
    assert load(tmp_path / "sweeps" / "mine").code == CODE


def test_the_code_is_named_by_its_packages(tmp_path: Path) -> None:
    (tmp_path / "repo" / "envs").mkdir(parents=True)
    repo, code = tmp_path / "repo", tmp_path / "repo" / "envs" / "a.py"
    assert git_state(tmp_path) == {"commit": None, "dirty": None, "code": None}
    code.write_text("a = 1\n")
    (repo / "README.md").write_text("one\n")
    git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b"]

    def commit() -> None:
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "x"], check=True)

    subprocess.run([*git, "init", "-q"], check=True)
    commit()
    first = git_state(code.parent)
    (repo / "README.md").write_text("two\n")
    assert git_state(code.parent) == {**first, "dirty": True}
    commit()
    assert git_state(code.parent)["code"] == first["code"]
    code.write_text("a = 2\n")
    changed = git_state(code.parent)
    assert changed["code"] != first["code"]
    commit()
    assert git_state(code.parent)["code"] != first["code"]


def test_cells_are_found_by_a_part_of_their_label(tmp_path: Path) -> None:
    sweep = made(tmp_path, [0, 1])
    assert find_cell(sweep, "s1") == 1
    with pytest.raises(NoSweep, match="2 cells of .* have 'near' in their labels; give one of .*s0, .*s1$"):
        find_cell(sweep, "near")


def test_logs_are_followed_until_the_record_is_there(tmp_path: Path) -> None:
    sweep = made(tmp_path, [0])
    log = sweep.log(0, "run")
    log.parent.mkdir(parents=True)
    log.write_text("one\n")
    said: list[str] = []

    def write(text: str) -> None:
        said.append(text)
        if text == "one":
            log.write_text("one\ntwo\n")
        if text == "two":
            sweep.entries[0].record.parent.mkdir(parents=True)
            sweep.entries[0].record.write_text(json.dumps({"identity_hash": sweep.entries[0].identity_hash}))

    follow_logs(sweep, 0, write, poll=0.01)
    assert said == [f"== {log}", "one", "two"]


def test_of_a_large_sweep_the_cells_worth_a_look_are_shown(tmp_path: Path) -> None:
    sweep = made(tmp_path, [0])
    found = [State(f"c{n}", "failed" if n == 7 else "done" if n % 2 else "waiting") for n in range(40)]
    table = status_table(sweep, found)
    assert [row[0] for row in table.rows] == ["c7"]
    assert "not shown: 19 done, 20 waiting; --all shows them" in table.notes
    assert len(status_table(sweep, found, everything=True).rows) == 40


def test_a_column_in_which_nothing_stands_is_left_out(tmp_path: Path) -> None:
    sweep = made(tmp_path, [0])
    done = State("a", "done", last="retest 3/4")
    assert status_table(sweep, [done]).columns == ("cell", "state", "last")
    table = status_table(sweep, [done, State("b", "running", "2/4", "1/2", "3 min", 1, "training")])
    assert table.columns == ("cell", "state", "epoch", "last", "left", "restarts", "detail")
    assert table.rows[1] == ("a", "done", "", "retest 3/4", "", "", "")


@pytest.mark.slow
def test_what_goes_wrong_before_a_cell_begins_is_its_failure(tmp_path: Path) -> None:
    sweep = made(tmp_path, [0])
    command = [sys.executable, "-m", "benchmark.launch.job", str(sweep.folder), "run", "0", str(os.getpid())]
    assert subprocess.run(command, capture_output=True, cwd=ROOT).returncode == 1
    state = cell_state(sweep.entries[0], Jobs())
    assert state.state == "failed"
    assert "go back to it, or issue it again as bench sweep or bench suite with another --name" in state.detail


def test_a_forecast_counts_hours_of_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "lab.yaml").write_text("kind: slurm\ngpus: a100:2\n")
    sweep = made(tmp_path, [0, 1, 2])
    said = forecast(sweep, load_profile("lab", {}))
    assert "first array: 1 preparations, 64 at once" in said["text"]
    assert "second array, after the first has ended: 3 cells, 64 at once" in said["text"]
    assert said["unknown"] == ["state"]
    protocol = sweep.entries[0].record.relative_to(sweep.out / "records").parts[0]
    record = {
        "identity_hash": sweep.entries[0].identity_hash,
        "protocol": protocol,
        "suite": "metaworld-15",
        "method": "state",
        "head": "mlp",
        "timings": {"training": 3600.0, "rollouts": 1800.0},
    }
    sweep.entries[0].record.parent.mkdir(parents=True)
    sweep.entries[0].record.write_text(json.dumps(record))
    said = forecast(sweep, load_profile("lab", {}))
    assert said["hours"] == 3.0, "one and a half for each of two"
    assert "about 6.0 GPU-hours" in said["text"], "two GPUs each"
    with pytest.raises(ConfigError, match="launcher.gpus='many' is not allowed: it must be a number"):
        load_profile("lab", {"gpus": "many"})


def test_only_records_that_are_there_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry of one of three cells, of which none has a record, ends with one."""
    sweep = made(tmp_path, [0, 1, 2])
    monkeypatch.setattr(start_sweep, "_in_process", lambda _sweep, numbers: Result(done=numbers))
    assert "1 of 3 cells have their records" in launch(sweep, {"kind": "debug"}, only=[1])["text"]


def test_a_cluster_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="sbatch is not here"):
        launch(made(tmp_path, [0]), load_profile("slurm", {}))


def test_there_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(NoSweep, match="bench sweep"):
        find(tmp_path, None)
    made(tmp_path, [0], "mine")
    code, _, err = here("retry", "mine", "protocol.epochs=3", "--out", str(tmp_path))
    assert code == 2
    assert "a sweep's settings are its own" in err
    with pytest.raises(NoSweep, match="no sweep yours .* there are: mine"):
        find(tmp_path, "yours")
    code, _, err = here("status", "--out", str(tmp_path / "nowhere"))
    assert code == 2
    assert "no sweep under" in err


def test_the_beat_is_shorter_than_a_silence() -> None:
    assert heartbeat_module.BEATS_MISSED * heartbeat_module.BEAT >= 60, (
        "a node that hangs on its filesystem for a minute is alive"
    )
