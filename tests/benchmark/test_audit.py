"""A record that was edited by hand is found, whatever was edited; what cannot be replayed is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.report.audit import audit
from benchmark.report.record import read

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = ROOT / "results" / "measured" / "clar" / "metaworld-15" / "hammer" / "dp3" / "mlp-s0.json"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    place = tmp_path / "records" / "clar" / "metaworld-15" / "hammer" / "dp3"
    place.mkdir(parents=True)
    for suffix in (".json", ".actions.npz"):
        shutil.copy(ORIGINAL.with_suffix(suffix), place / f"mlp-s0{suffix}")
    return place / "mlp-s0.json"


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def flip(data: dict[str, Any], where: str = "retest", number: int = 3) -> None:
    """Make a failure a success, and mend the count, as somebody would who wants a better number."""
    part = data["retest"] if where == "retest" else data["evaluations"][0]
    row = next(row for row in part["episodes"][number:] if not row[1])
    row[1] = 1
    part["tally"]["k"] += 1


def wrong(path: Path, **options: Any) -> list[str]:
    return list(audit(read(path), path, 2, **{"most": 0, **options}).wrong)


@pytest.mark.sim
def test_a_true_record_holds_and_a_better_one_does_not(copy: Path) -> None:
    verdict = audit(read(copy), copy, 2, most=6)
    assert verdict.holds and verdict.replayed == 6
    assert verdict.not_replayed == ("the retest: 94 episodes, which were not asked for",)
    edit(copy, flip)
    found = audit(read(copy), copy, 2, most=6)
    assert not found.holds
    assert [text.partition(" is ")[2] for text in found.wrong] == [
        "a success in the record and a failure when its actions are played"
    ]  # fmt: skip


@pytest.mark.sim
def test_actions_that_go_on_after_the_success_are_found(copy: Path) -> None:
    with np.load(copy.with_suffix(".actions.npz")) as kept:
        actions = dict(kept)
    seed = str(read(copy).retest.episodes[0][0])
    actions[seed] = np.concatenate([actions[seed], np.zeros((5, 4), np.float32)])
    np.savez_compressed(copy.with_suffix(".actions.npz"), **actions)
    edit(copy, lambda data: data["retest"]["episodes"][0].__setitem__(2, len(actions[seed])))
    (text,) = wrong(copy, most=1)
    assert "before the last of its kept actions" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda d: d["retest"]["tally"].update(k=99), "says 99/100 with 0 errors; its episodes give 93/100"),
     (lambda d: d["evaluations"][4]["tally"].update(k=25, n=25), "epoch 50 says 25/25"),
     (lambda d: flip(d, "evaluations", 0), ""),
     (lambda d: d["identity"]["protocol"].update(epochs=15), "not those that its identity_hash names"),
     (lambda d: d.update(success_rule="last-step"), "success is last-step in the record and any-step"),
     (lambda d: d.update(horizon=500), "horizon is 500"),
     (lambda d: d.update(seed=1), "seed is 1 in the record and 0"),
     (lambda d: d["retest"]["episodes"].pop(), "retest_rollouts is 100 by its settings, and there are [99]"),
     (lambda d: d["retest"]["episodes"][0].__setitem__(0, 4), "not run on the protocol's episodes"),
     (lambda d: d.update(selected_epoch=10), "epoch 10 was retested"),
     (lambda d: d["retest"]["episodes"][0].__setitem__(2, 300), "longer than 200 steps")],
)  # fmt: skip
def test_books_that_do_not_add_up(copy: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    assert wrong(copy) == []
    edit(copy, change)
    if message:
        assert any(message in text for text in wrong(copy)), wrong(copy)
    else:  # an evaluation's actions are not kept: changed with its count, and not made the best, it cannot be seen
        assert wrong(copy) == []


def test_an_evaluation_made_the_best_is_found(copy: Path) -> None:
    def best(data: dict[str, Any]) -> None:
        for row in data["evaluations"][0]["episodes"]:
            row[1] = 1
        data["evaluations"][0]["tally"]["k"] = 25

    edit(copy, best)
    retested = read(copy).selected_epoch
    assert wrong(copy) == [f"epoch {retested} was retested, but epoch 10 is the best of its evaluations"]


def test_what_cannot_be_replayed_is_said(copy: Path) -> None:
    def left(**options: Any) -> tuple[str, ...]:
        verdict = audit(read(copy), copy, 2, **options)
        assert verdict.replayed == 0
        return verdict.not_replayed

    whole = copy.with_suffix(".actions.npz").read_bytes()
    copy.with_suffix(".actions.npz").write_bytes(whole[:1000])
    assert "cannot be read" in left()[0]
    copy.with_suffix(".actions.npz").unlink()
    assert "mlp-s0.actions.npz cannot be read (FileNotFoundError)" in left()[0]
    np.savez_compressed(copy.with_suffix(".actions.npz"), none=np.zeros(1))
    assert len(left()) == 100 and "its actions were not kept" in left()[0]
    edit(copy, lambda d: d["retest"]["episodes"][0].__setitem__(3, "the planner failed"))
    assert left()[0].endswith("it could not be run then (the planner failed)")
    edit(copy, lambda d: d["identity"]["env"]["packages"].update(mujoco="9.9.9"))
    assert "recorded with mujoco 9.9.9, and 3.3.0 is here" in left()[0]
    edit(copy, lambda d: d["identity"]["env"].update(version="metaworld==9.9.9"))
    assert "recorded with the simulator metaworld==9.9.9, and metaworld==3" in left()[0]
    edit(copy, lambda d: d.update(env="rlworld"))
    assert "the simulator rlworld is not here" in left()[0]


@pytest.mark.sim
def test_the_verb_needs_no_torch_and_fails_if_a_record_does_not_hold(copy: Path) -> None:
    script = "import sys; sys.modules['torch'] = None; from benchmark.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        script,
        "audit",
        "hammer/dp3",
        "--records",
        str(copy.parents[4]),
        "--episodes",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "holds; 2 of 100 episodes replayed" in done.stdout
    edit(copy, lambda d: d["retest"]["tally"].update(k=99))
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 1
    assert json.loads(done.stdout)["records"][0]["holds"] is False
    copy.write_text("{")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 1 and "damaged:" in done.stdout
    done = subprocess.run([*command[:4], "nothing/here"], capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 2 and "no record of nothing/here" in done.stderr
