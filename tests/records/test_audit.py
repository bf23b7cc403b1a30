"""A record that was edited by hand is found, whatever was edited; what cannot be replayed is said.

What contradicts itself is refused when it is read (more of that in tests/records/test_forged.py). What does not is
found by a replay, or not at all, and then the audit says on what the number rests.
"""

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

from benchmark.records.actions import read_actions, write_actions
from benchmark.records.audit import audit
from benchmark.records.read import BadRecord, read
from benchmark.records.replay_actions import Simulator
from benchmark.records.verdict import Part, Verdict
from benchmark.system.digest import digest

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
    """As somebody edits it who knows of the seal."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps({**data, "seal": ""}))


def edit_settings(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """And who knows of the hash of the settings."""

    def both(data: dict[str, Any]) -> None:
        change(data)
        data["identity_hash"] = digest(data["identity"])

    edit(path, both)


def flip(data: dict[str, Any], where: str = "retest", number: int = 3) -> None:
    """Make a failure a success, and mend the count, as somebody would who wants a better number."""
    part = data["retest"] if where == "retest" else data["evaluations"][0]
    row = next(row for row in part["episodes"][number:] if not row[1])
    row[1] = 1
    part["tally"]["k"] += 1


def made_worse(data: dict[str, Any]) -> None:
    """The number of a rival."""
    data["retest"]["episodes"][0][1:3] = [0, 200]
    data["retest"]["tally"]["k"] -= 1


def left_out(data: dict[str, Any]) -> None:
    """A failure that is called an error is not counted."""
    row = next(row for row in data["retest"]["episodes"] if not row[1])
    row[3] = "the planner failed"
    data["retest"]["tally"]["n"] -= 1
    data["retest"]["tally"]["errors"] += 1


def audited(path: Path, **options: Any) -> Verdict:
    return audit(read(path), path, Simulator(2), **options)


def retest(verdict: Verdict) -> Part:
    return next(part for part in verdict.parts if part.name == "retest")


@pytest.mark.slow
@pytest.mark.sim
def test_a_true_record_holds_and_a_better_one_does_not(copy: Path) -> None:
    verdict = audited(copy, most=6)
    assert (verdict.word, verdict.contradictions, verdict.not_checked) == ("holds", (), ())
    part = retest(verdict)
    assert (part.replayed, part.asked_less, part.rests_on) == (6, 94, "replayed 6/100")
    assert [p.rests_on for p in verdict.parts[1:]] == ["declared", "declared"], "made before there were chains"
    edit(copy, flip)
    found = audited(copy, most=6)
    assert found.word == "DOES NOT HOLD"
    assert [text.partition(" is ")[2] for text in found.contradictions] == [
        "a success in the record and a failure when its actions are played"
    ]


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (made_worse, "has 200 steps in the record and"),
        (left_out, "could not be run by the record (the planner failed), and its actions play to the end"),
        (lambda d: flip(d, number=0), "is a success in the record and a failure when its actions are played"),
    ],
    ids=["a success made a failure", "a failure called an error", "a failure made a success"],
)
def test_books_that_add_up_are_found_by_a_replay(
    copy: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(copy, change)
    assert audited(copy, most=0).contradictions == (), "nothing in the record contradicts it"
    (text,) = audited(copy, most=20).contradictions
    assert message in text


@pytest.mark.slow
@pytest.mark.sim
def test_actions_that_go_on_after_the_success_are_found(copy: Path) -> None:
    actions = read_actions(copy.with_suffix(".actions.npz"), 200)
    seed = str(read(copy).retest.episodes[0][0])
    actions[seed] = np.concatenate([actions[seed], np.zeros((5, 4), np.float32)])
    write_actions(copy.with_suffix(".actions.npz"), actions)
    edit(copy, lambda data: data["retest"]["episodes"][0].__setitem__(2, len(actions[seed])))
    (text,) = audited(copy, most=1).contradictions
    assert "before the last of its kept actions" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["retest"]["tally"].update(k=99), "says 99/100 with 0 errors; its episodes give 93/100"),
        (lambda d: d["evaluations"][4]["tally"].update(k=25, n=25), "epoch 50 says 25/25"),
        (lambda d: d["identity"]["protocol"].update(epochs=15), "not those that its identity_hash names"),
        (lambda d: d.update(success_rule="last-step"), "success is last-step in the record and any-step"),
        (lambda d: d.update(horizon=500), "horizon is 500"),
        (lambda d: d.update(seed=1), "seed is 1 in the record and 0"),
        (lambda d: d["retest"]["episodes"].pop(), "retest_rollouts is 100 by its settings, and there are 99"),
        (lambda d: d["retest"]["episodes"][0].__setitem__(0, 4), "not run on the protocol's episodes"),
        (lambda d: d.update(selected_epoch=10), "epoch 10 was retested"),
        (lambda d: d["retest"]["episodes"][0].__setitem__(2, 300), "longer than 200 steps"),
    ],
)
def test_books_that_do_not_add_up(copy: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    assert audited(copy, most=0).contradictions == ()
    edit(copy, change)
    with pytest.raises(BadRecord, match="it contradicts itself: ") as refused:
        read(copy)
    assert any(message in text for text in refused.value.wrong), refused.value.wrong


def test_an_evaluation_of_which_nothing_was_kept_is_declared(copy: Path) -> None:
    """Changed with its count, and not made the best, it cannot be seen in a record from before there were chains."""
    edit(copy, lambda data: flip(data, "evaluations", 0))
    verdict = audited(copy, most=0)
    assert verdict.contradictions == ()
    assert {part.name: part.rests_on for part in verdict.parts}["best*"] == "declared"


def test_an_evaluation_made_the_best_is_found(copy: Path) -> None:
    def best(data: dict[str, Any]) -> None:
        for row in data["evaluations"][0]["episodes"]:
            row[1] = 1
        data["evaluations"][0]["tally"]["k"] = 25

    retested = read(copy).selected_epoch
    edit(copy, best)
    with pytest.raises(BadRecord) as refused:
        read(copy)
    assert refused.value.wrong == (f"epoch {retested} was retested, but epoch 10 is the best of its evaluations",)


def test_what_cannot_be_replayed_is_said(copy: Path) -> None:
    def left(**options: Any) -> tuple[str, ...]:
        verdict = audited(copy, **options)
        assert retest(verdict).replayed == 0 and verdict.word == "not checked"
        return verdict.not_checked

    assert left(most=0) == ("retest: no episode was to be replayed (--episodes 0)",)
    file = copy.with_suffix(".actions.npz")
    file.write_bytes(file.read_bytes()[:1000])
    assert "mlp-s0.actions.npz cannot be replayed: it is damaged" in left()[0]
    file.unlink()
    assert "mlp-s0.actions.npz cannot be replayed: it cannot be read (No such file or directory)" in left()[0]
    np.savez_compressed(file, none=np.zeros(1))
    assert "none.npy is float64 of shape (1,), not float32 (steps, A)" in left()[0]
    write_actions(file, {"1": np.zeros((2, 4), np.float32)})
    assert len(left()) == 100 and "its actions were not kept" in left()[0]

    def could_not(data: dict[str, Any]) -> None:
        data["retest"]["episodes"][0][1:] = [0, 0, "the planner failed"]
        data["retest"]["tally"] = {"k": 92, "n": 99, "errors": 1}

    edit(copy, could_not)
    assert left()[0].endswith("it could not be run then (the planner failed)")
    edit_settings(copy, lambda d: d["identity"]["env"]["packages"].update(mujoco="9.9.9"))
    assert "recorded with mujoco 9.9.9, and 3.3.0 is here" in left()[0]
    edit_settings(copy, lambda d: d["identity"]["env"].update(version="metaworld==9.9.9"))
    assert "recorded with the simulator metaworld==9.9.9, and metaworld==3" in left()[0]
    edit_settings(copy, lambda d: (d.update(env="rlworld"), d["identity"]["env"].update(name="rlworld")))
    assert "the simulator rlworld is not here" in left()[0]


def test_a_simulator_that_is_a_file_is_run_only_where_it_is_named(copy: Path, tmp_path: Path) -> None:
    """A record may name any file of this machine."""
    trap, mark = tmp_path / "trap.py", tmp_path / "it ran"
    trap.write_text(f"open({str(mark)!r}, 'w')\n")
    edit_settings(copy, lambda d: (d.update(env=f"{trap}:Trap"), d["identity"]["env"].update(source="0" * 64)))
    verdict = audited(copy)
    assert verdict.word == "not checked" and not mark.exists()
    assert f"--simulator {trap}:Trap" in verdict.not_checked[0]
    assert audit(read(copy), copy, Simulator(2, files=(f"{trap}:Trap",))).word == "not checked" and mark.exists()


@pytest.mark.slow
@pytest.mark.sim
def test_the_verb_needs_no_torch_and_fails_if_a_record_does_not_hold(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; sys.modules['torch'] = None; from benchmark.cli.main import main; main()"
    records = str(copy.parents[4])
    command = [sys.executable, "-c", script, "audit", "hammer/dp3", "--records", records, "--episodes", "2"]

    def bench(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], capture_output=True, text=True, cwd=ROOT, timeout=200)

    monkeypatch.setenv("COLUMNS", "200")
    done = bench()
    assert done.returncode == 0, done.stderr
    assert "Audit: 1 holds" in done.stdout and "replayed 2/100" in done.stdout
    actions = copy.with_suffix(".actions.npz")
    actions.rename(actions.with_suffix(".away"))
    done = bench()
    assert done.returncode == 4 and "Audit: 1 not checked" in done.stdout
    actions.with_suffix(".away").rename(actions)
    edit(copy, made_worse)
    done = bench("--json")
    assert done.returncode == 1 and json.loads(done.stdout)["records"][0]["holds"] is False
    edit(copy, lambda d: d["retest"]["tally"].update(k=99))
    done = bench("--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["records"]
    assert row["holds"] is False and "says 99/100" in row["contradictions"][0]
    copy.write_text("{")
    done = bench()
    assert done.returncode == 1 and "Audit: 1 DOES NOT HOLD" in done.stdout and "wrong: it is no record" in done.stdout
    done = subprocess.run([*command[:4], "nothing/here"], capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 2 and "no record of 'nothing/here'" in done.stderr
