"""From the real simulator to a pre-trained encoder and what judges it, through the command line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.test_cli import bench as of_its_own
from tests.test_cli import here

SMALL = [
    "metaworld-35.tasks=[door-open,push]",
    "metaworld-35.demos=2",
    "metaworld-35.held_out=1",
    "metaworld-35.stride=40",
    "metaworld-35.height=112",  # most of a simulator's seconds are pixels
    "metaworld-35.width=112",
    "warmup_epochs=0",
    "batch_size=8",
    "local_width=32",
]


class Said(NamedTuple):
    stdout: str
    stderr: str


def bench(*arguments: str, cwd: Path, rc: int = 0) -> Said:
    """In this process, which has imported what it needs; `--processes` becomes torchrun, and has one of its own."""
    if "--processes" in arguments and rc == 0:
        code, out, err = of_its_own(*arguments, cwd=cwd)
    else:
        with contextlib.chdir(cwd):
            code, out, err = here(*arguments)
    assert code == rc, err[-3000:]
    return Said(out, err)


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where to run, with demonstrations and caches that the tests of this file share."""
    data = tmp_path_factory.getbasetemp() / "pretrain-run-data"
    data.mkdir(exist_ok=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(data)
    return tmp_path


@pytest.mark.gl
@pytest.mark.sim
@pytest.mark.slow
def test_pretrained_judged_and_looked_at(folder: Path) -> None:
    wanted = ["pretrain", "--method", "clar-small", "--teacher", "random", "--epochs", "1", "--json", *SMALL]
    card = json.loads(bench(*wanted, cwd=folder).stdout)
    assert card["data"]["metaworld-35"]["tasks"] == ["door-open", "push"]
    assert card["data"]["metaworld-35"]["frames"] == 2 * 2 * 5 * 2, "tasks, demonstrations, steps, cameras"
    assert card["history"][-1]["train"]["seen"] > 0.9, "a camera sees nearly all of its own cloud"
    assert json.loads(bench(*wanted, cwd=folder).stdout) == card, "the second time it is there"
    weights = "runs/pretrain/clar-small/metaworld-35-full-random-teacher/metaworld-35-full-random-teacher.pt"
    found = json.loads(bench("retrieval", "--weights", weights, "--galleries", "3", "--json", cwd=folder).stdout)
    assert found["trained_on_it"] and found["gallery"] == 2 and len(found["results"]) == 4
    bench("attention", "--weights", weights, "--task", "hammer", "--steps", "0,3", "--to", "look", cwd=folder)
    page = (folder / "look" / "index.html").read_text()
    assert (folder / "look" / "step-003.png").stat().st_size > 20_000
    assert page.count("<canvas") == 2 and "http" not in page, "nothing is fetched to view it"
    two = [word for word in wanted if word not in ("random", "--teacher")] + ["--without", "contrast,local"]
    shared = [*two, "--processes", "2", "--threads", "1", "--name", "two"]
    assert json.loads(bench(*shared, cwd=folder).stdout)["provenance"]["processes"] == 2
    sent = json.loads(bench(*two, "--name", "sent", "--launcher", "local", cwd=folder).stdout)
    assert sent["failed"] == 0
    assert (folder / "runs" / "pretrain" / "clar-small" / "sent" / "sent.pt").exists()
    uneven = bench(*two, "--processes", "3", "--name", "three", cwd=folder, rc=2)
    assert "cannot be split so evenly" in uneven.stderr
    refused = bench(
        "run",
        "--suite",
        "metaworld-15",
        "--tasks",
        "hammer",
        "--method",
        "clar",
        "--weights",
        weights,
        "--protocol",
        "quick",
        cwd=folder,
        rc=1,
    )
    assert "does not fit" in refused.stderr


@pytest.mark.gl
@pytest.mark.sim
@pytest.mark.slow
def test_the_ablation_from_nothing_to_its_table(folder: Path) -> None:
    few = [
        "protocol.epochs=1",
        "protocol.evaluate_every=1",
        "protocol.rollouts=2",
        "protocol.retest_rollouts=2",
        "protocol.train_demos=2",
        "protocol.valid_demos=0",
        "protocol.horizon=100",
        "suite.observation.height=112",
        "suite.observation.width=112",
        "runtime.workers=1",
        "pretrain.epochs=1",
        *(f"pretrain.{text}" for text in SMALL),
    ]
    words = [
        "suite",
        "clar-ablation",
        "--method",
        "clar-small",
        "--variants",
        "mae-only,none",
        "--tasks",
        "hammer",
        "--protocol",
        "quick",
        *few,
    ]
    assert "run pretrain/clar-small/metaworld-35-mae-only" in bench(*words, "--dry-run", cwd=folder).stdout
    assert not (folder / "runs" / "sweeps").exists(), "a dry run leaves nothing"
    bench(*words, cwd=folder)
    records = sorted((folder / "runs" / "records").rglob("*.json"))
    assert [path.parent.name for path in records] == [
        "clar-small+weights=metaworld-35-mae-only",
        "clar-small+weights=random",
    ]
    facts = json.loads(records[0].read_text())["weights"]["pretraining"]
    assert facts["variant"] == "mae-only" and facts["data"] == {"metaworld-35": 40}
    label = records[0].relative_to(folder / "runs" / "records").parts[0]
    table = bench(
        "table", "5", "--method", "clar-small", "--protocol", label, "--records", "runs/records", cwd=folder
    ).stdout
    assert table.count("† 1/4") == 6, "three numbers of two rows"
    again = bench(*words, cwd=folder)
    assert "all 2 cells have their records" in again.stdout
    made = next((folder / "runs" / "sweeps").glob("clar-ablation*")) / "sweep.json"
    sweep = json.loads(made.read_text())
    made.write_text(json.dumps(sweep | {"code": sweep["code"] | {"code": "of yesterday"}}))
    assert "another --name, or --any-code" in bench(*words, cwd=folder, rc=2).stderr
    assert "all 2 cells have their records" in bench(*words, "--name", "today", cwd=folder).stdout
    assert (folder / "runs" / "sweeps" / "today" / "sweep.json").is_file()
    assert "all 2 cells have their records" in bench(*words, "--any-code", cwd=folder).stdout
    swept = bench("sweep", "--suite", "clar-ablation", "--method", "clar", cwd=folder, rc=2)
    assert "bench weights clar-teacher --fetch" in swept.stderr


@pytest.mark.gl
@pytest.mark.sim
@pytest.mark.slow
def test_clamps_triplets_come_from_the_simulators_demonstrations(tmp_path: Path) -> None:
    from benchmark.pretrain.data.sources import load_data, open_frames
    from benchmark.records.paths import Paths
    from envs.metaworld import WORKSPACE

    few = ["tasks=[drawer-open,stick-push]", "demos=2", "held_out=1", "stride=50", "cameras=[corner]"]
    data = [f"metaworld-34.{one}" for one in few]
    short = ["epochs=1", "warmup_epochs=0", "steps_per_epoch=2", "batch_size=4", "bias=-3"]
    words = ["pretrain", "--method", "clamp-small", "--data", "metaworld-34", "--json", *data, *short]
    card = json.loads(bench(*words, cwd=tmp_path).stdout)
    assert card["data"]["metaworld-34"]["frames"] == 2 * 2 * 4, "tasks, demonstrations, steps"
    weights = "runs/pretrain/clamp-small/metaworld-34-full/metaworld-34-full.pt"
    found = json.loads(bench("retrieval", "--weights", weights, "--select", "all", "--json", cwd=tmp_path).stdout)
    assert found["trained_on_it"] and found["gallery"] == 2 * 4 and len(found["results"]) == 12

    caches = Paths(tmp_path / "runs", tmp_path / "runs" / "data").caches
    drawer, stick = open_frames([load_data("metaworld-34", data)], caches, False, 1, True).shards
    assert stick.fields["object_names"][0].tolist() == ["stick", "thermos"]
    assert drawer.fields["step"].tolist() == [0, 50, 100, 150] * 2
    past, progress = drawer.fields["past_actions"], drawer.fields["progress"]
    assert not past[0].any() and past[1].any(axis=-1).all(), "zeros before the first step, 50 actions behind the 50th"
    assert progress[:4].tolist() == pytest.approx([0, 50 / 199, 100 / 199, 150 / 199])
    views, valid = drawer.fields["views"][0], drawer.fields["views_valid"][0]
    assert valid[:4].any(axis=(1, 2)).all() and not valid[4].any(), "a single arm has no right wrist"
    low, high = map(np.array, (WORKSPACE.low, WORKSPACE.high))
    place = drawer.fields["object_places"][0, 0] * (high - low) + low
    distance = np.linalg.norm(views[valid][:, 1:] - place, axis=-1).min()
    assert distance < 0.05, "the handle is where the views show something"
