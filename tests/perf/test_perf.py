"""That `bench perf` measures what it says; how fast this machine is, no test may ask."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.perf.floors import in_processes
from benchmark.perf.measure import measure, measure_encoders, measure_keyframes, measure_views, render_report
from benchmark.pretrain.data.sources import load_data
from tests.aloha_here import aloha, needs_aloha
from tests.perf.late import late_by_a_second

pytestmark = pytest.mark.slow

__all__ = ["aloha"]


@pytest.mark.gl
def test_every_measurement_has_a_floor_and_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.perf import floors, rollouts_and_training
    from benchmark.perf import measure as module

    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "resolve_workers", lambda _: 1)
    monkeypatch.setattr(rollouts_and_training, "EPOCHS", 1)
    monkeypatch.setattr(rollouts_and_training, "CLOUDS", 300)  # what is said of 5,000 is a label here
    # floors are taken here: that processes begin together is a test of its own
    monkeypatch.setattr(floors, "in_processes", lambda _, loop, *told: loop(lambda: None, *told))
    training = rollouts_and_training.training
    monkeypatch.setattr(rollouts_and_training, "training", lambda method, batches: training(method, 1))
    report = measure("reach", 0.4, naive=True)
    whats = [row["what"] for row in report["rows"]]
    for words in (
        "point-cloud rollouts, free policy",
        "render=fast",
        "render=paper",
        "training dp3",
        "share of a step",
        "worker",
        "5,000 clouds",
        "naive loop",
    ):
        assert any(words in what for what in whats), words
    for row in report["rows"]:
        assert row["ours"] > 0
        assert row["floor"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["floor"])
    text = render_report(report)
    assert report["machine"]["cpu"] in text
    assert len(text.splitlines()) == 4 + len(report["rows"])


def test_parts_are_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.perf import measure as module
    from benchmark.perf import rollouts_and_training

    monkeypatch.setattr(module, "_against_floor", lambda *_: {"rate": 10.0, "floor": 11.0, "worker_mb": 1.0})
    for name in ("training", "plain_max", "point_cloud_share"):
        monkeypatch.setattr(rollouts_and_training, name, lambda *_: (1.0, 2.0))
    monkeypatch.setattr(rollouts_and_training, "rollouts", lambda *_: {"rate": 10.0, "worker_mb": 2.0})
    monkeypatch.setattr(rollouts_and_training, "parent_memory", lambda: 3.0)
    assert len(measure("reach", 0.4, naive=False)["rows"]) == len(module.PARTS) + 1  # memory has two
    for only, whats in (
        ("points", ["point-cloud rollouts, free policy"]),
        ("rgb-paper,points", ["point-cloud rollouts, free policy", "RGB rollouts, render=paper, free policy"]),
        ("dp3", ["training dp3, batch 16"]),
    ):
        answer = CliRunner().invoke(app, ["perf", "--only", only, "--seconds", "0.4", "--json"])
        assert [row["what"] for row in json.loads(answer.stdout)["rows"]] == whats


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (("rollouts", "--only", "point"), "Did you mean 'points'"),
        (("rollouts", "--only", ","), "--only"),
        (("encoders", "--only", "dp3"), "--only chooses parts of bench perf rollouts"),
        (("rollouts", "--only", "points", "--compare", "naive"), "without --compare"),
        (("rollouts", "--only", "points", "--suite", "rlbench4-port"), "--suite metaworld-15"),
    ],
)
def test_what_cannot_be_measured_alone_is_said(said: tuple[str, ...], why: str) -> None:
    answer = CliRunner().invoke(app, ["perf", *said])
    assert answer.exit_code == 2
    assert why in answer.output.replace("\n", " ")


def test_floors_begin_together_and_none_waits_for_one_that_failed(tmp_path: Path) -> None:
    assert in_processes(2, late_by_a_second, str(tmp_path)) == 2.0
    first, second = (float(path.read_text()) for path in tmp_path.glob("*.began"))
    assert abs(first - second) < 0.5
    with pytest.raises((FileNotFoundError, threading.BrokenBarrierError)):
        in_processes(2, late_by_a_second, str(tmp_path / "missing"))


def test_the_encoders_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.perf import encoding

    monkeypatch.setattr(encoding, "caching", lambda: (1.0, 60.0))  # a minute of its own
    report = measure_encoders(["dp3", "r3m-resnet18"], repeats=1)
    whats = " ".join(row["what"] for row in report["rows"])
    for words in ("encode dp3", "encode r3m-resnet18", "fpsample", "nearest", "balls", "five views", "150 epochs"):
        assert words in whats
    assert all(row["ratio"] == pytest.approx(row["ours"] / row["floor"]) for row in report["rows"])
    assert {"clip", "clamp", "pointnext", "lift3d"} <= set(encoding.measurable())
    assert "state" not in encoding.measurable()


@pytest.mark.gl
@pytest.mark.sim
def test_keyframes_have_theirs() -> None:
    report = measure_keyframes(["close-laptop-lid"], 0.2)
    (row,) = report["rows"]
    assert row["what"].startswith("close-laptop-lid") and row["target"] == ">= 0.75"
    assert row["ours"] > 0 and row["floor"] > 0 and report["task"] == "rlbench4-port"


@needs_aloha
@pytest.mark.gl
@pytest.mark.sim
def test_views_have_theirs(aloha: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.perf import view_frames

    drawn, real = [], view_frames.views.render_views
    monkeypatch.setattr(view_frames.views, "render_views", lambda *a, **k: drawn.append(1) or real(*a, **k))
    small = [f"aloha-pretrain.{name}={value}" for name, value in (("height", 48), ("width", 64))]
    config = load_data("aloha-pretrain", [*small, *(f"env.aloha.{name}=true" for name in aloha)])
    report = measure_views(config, "top-drawer-open", 1.5)
    assert [row["target"] for row in report["rows"]] == ["", ">= 0.5"]
    depth, both = report["rows"]
    assert depth["ours"] == both["ours"] > 0
    assert depth["floor"] > both["floor"] > 0
    assert drawn, "in this process only the second floor draws views; ours do it in their worker"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["views", "--task", "hammer"], "'hammer' of aloha"),
        (["views", "protocol.epochs=3"], "it is aloha-pretrain.KEY=VALUE or env.aloha.KEY=VALUE"),
        (["views", "aloha-pretrain.splat=2"], "must be odd"),
        (["encoders", "env.aloha.stand_ins=true"], "takes no settings"),
        (["--suite", "rlbench-4"], "rlbench4-port"),
        (["--suite", "rlbench4-port", "--task", "hammer"], "'hammer' of rlbench4-port"),
        (["--task", "close-box"], "'close-box' of metaworld"),
    ],
)
def test_what_cannot_be_measured_is_named(given: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["perf", *given])
    assert done.exit_code and said in done.stderr
