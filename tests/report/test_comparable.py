"""Records that differ in anything that could change the number are never averaged, never hidden, and named."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.gather import MEASURED
from benchmark.records.joint_tasks import of_rows
from benchmark.records.pooling import pooling_key
from benchmark.records.record import Record
from benchmark.records.write import write
from benchmark.report.comparisons.comparable import comparable, other_labels, row_name
from benchmark.report.comparisons.compare import compare
from benchmark.report.export import leaderboard, rows
from benchmark.report.page.facts import groups
from benchmark.report.tables.clar_1 import cells_table, clar_table_1
from benchmark.report.tables.ledger import ledger
from benchmark.settings.load import load_settings
from benchmark.system.digest import digest
from methods.registry import method_class
from tests.made_records import agreeing
from tests.report.test_tables import SUITE, record

Edit = Callable[[dict[str, Any]], Any]
UNLIKE: dict[str, Edit] = {
    "head.hidden": lambda i: i["head"].update(hidden=[16]),
    "method.input.normalization": lambda i: i["method"].update(input={"normalization": "none"}),
    "protocol.learning_rate": lambda i: i["protocol"].update(learning_rate=0.1),
    "protocol.epochs": lambda i: i["protocol"].update(epochs=2),
    "precision": lambda i: i.update(precision="bf16"),
    "method.weights": lambda i: i["method"].update(weights=["another sha256"]),
    "method.version": lambda i: i["method"].update(version=2),
    "method.packages.vggt": lambda i: i["method"].update(packages={"vggt": "2"}),
    "env.packages.mujoco": lambda i: i["env"]["packages"].update(mujoco="3.4.0"),
    "observation.cameras": lambda i: i["observation"].update(cameras=["corner2"]),
    "observation.crop": lambda i: i["observation"].update(crop={"low": [0, 0, 0], "high": [1, 1, 1]}),
    "method.packages.vggt None": lambda i: i["method"].update(packages={"vggt": None}),
    "method.options.norm": lambda i: i["method"].update(options={"norm": "task"}),
    "method.version source": lambda i: (i["method"].pop("version"), i["method"].update(source="sha256")),
    "protocol.came_later": lambda i: i["protocol"].update(came_later=0.9),
    "observation.came_later": lambda i: i["observation"].update(came_later=1),
    "harness": lambda i: i.update(harness=2),
    "suite.name": lambda i: i["suite"].update(name="another"),
}


ABSENT: dict[str, Edit] = {
    "method.version source": lambda i: i.update(method={**i["method"], "source": "sha256"}),
    "method.version": lambda i: i.update(method={k: v for k, v in i["method"].items() if k != "version"}),
    "method.builds_on.dp3": lambda i: i["method"].update(builds_on={"dp3": 1}),
    "method.options.norm": lambda i: i["method"].update(options={"norm": "task"}),
    "method.packages.vggt": lambda i: i["method"].update(packages={"vggt": None}),
    "protocol.added_later": lambda i: i["protocol"].update(added_later=3),
    "observation.added_later": lambda i: i["observation"].update(added_later=3),
    "tasks of one policy": lambda i: i.update(task="hammer+reach"),
}
"""What one of two records has and the other has not. Absence is a value where numbers are averaged."""


def usual(seed: int, k: int = 93) -> Record:
    """As real records have it."""
    made = record("hammer", "dp3", (20, k, 20), seed=seed)
    identity = copy.deepcopy(made.identity)
    identity["head"] |= {"hidden": [256, 256, 256]}
    identity["method"] |= {"input": {"normalization": "limits"}, "weights": ["sha256"], "packages": {"vggt": "1"}}
    identity["protocol"] |= {"learning_rate": 1e-3, "epochs": 150}
    identity["observation"] |= {"crop": {"low": [0, 0, 0], "high": [2, 2, 2]}}
    rows = tuple((episode, int(episode < k), 50, None) for episode in range(100))
    return dataclasses.replace(made, identity=identity, identity_hash=digest(identity), retest=of_rows(10, rows))


def unlike(what: str, seed: int = 1) -> Record:
    made = usual(seed, k=0)
    identity = copy.deepcopy(made.identity)
    {**ABSENT, **UNLIKE}[what](identity)
    return dataclasses.replace(made, identity=identity, identity_hash=digest(identity))


@pytest.mark.parametrize("what", [*UNLIKE, *(name for name in ABSENT if name not in UNLIKE)])
def test_two_seeds_that_are_not_alike_are_never_averaged(what: str) -> None:
    """93 and 0 of 100 were 46.5 once."""
    good, odd = usual(0), unlike(what)
    kept, notes = comparable([good, odd])
    assert kept == [good] and len(notes) == 1
    assert what.split()[0] in notes[0] and "hammer/dp3/mlp-s1" in notes[0], "named, with what differs"
    assert pooling_key(good) != pooling_key(odd)
    table, _ = clar_table_1([good, odd], SUITE, "clar")
    shown = {row[:2]: row[3] for row in table.rows if "dp3" in row[0]}
    assert shown["dp3, mlp", "retest"].startswith("93.0 ["), "not averaged"
    assert shown["dp3, mlp s1, hammer", "excluded"].startswith("0.0 ["), "and not hidden"
    assert any(what.split()[0] in note for note in table.notes)


@pytest.mark.parametrize("what", ["method.version", "method.packages.vggt"])
def test_what_one_record_does_not_say_is_not_taken_for_the_others(what: str) -> None:
    """A file's code beside a shipped version; a package whose version is not known beside one that is."""
    odd = usual(1, k=0)
    identity = copy.deepcopy(odd.identity)
    ABSENT[what](identity)
    kept, notes = comparable([usual(0), dataclasses.replace(odd, identity=identity, identity_hash=digest(identity))])
    assert [r.seed for r in kept] == [0] and f"({what} none instead of" in notes[0]


@pytest.mark.parametrize("what", UNLIKE)
def test_it_is_the_same_in_every_other_output(what: str, tmp_path: Path) -> None:
    good, odd = usual(0), unlike(what)
    first, second = (entry for board in leaderboard(rows([good, odd]))["boards"] for entry in board["entries"])
    assert first["conditions"] != second["conditions"]
    card = method_class("dp3").card
    text = " ".join(" ".join(row) for row in ledger([good, odd], [card], SUITE, "clar").rows)
    assert "93.0" in text and "46.5" not in text
    (group,) = groups([(tmp_path / "a.json", good), (tmp_path / "b.json", odd)])
    assert [m["by_task"]["hammer"][0] for m in group["methods"]] == [0.93] and what.split()[0] in group["apart"][0]
    state = [dataclasses.replace(usual(s), method="state", identity={**usual(s).identity}) for s in (0, 1)]
    _, notes = compare([good, odd, *state], ["dp3", "state"], "mlp")
    assert any(what.split()[0] in note or "dp3/mlp-s1" in note for note in notes)


def of_version(seed: int, version: str) -> Record:
    made = usual(seed)
    identity = copy.deepcopy(made.identity)
    identity["env"] = {"name": "aloha", "packages": {}, "version": version}
    return dataclasses.replace(made, identity=identity, identity_hash=digest(identity))


PLAIN = "aloha==1, aloha_sim 3cb9adff (0ead86445318), stand-ins for frame banana bowl mug plate"


def test_of_two_versions_with_many_words_those_that_differ_are_said() -> None:
    habit = of_version(2, f"{PLAIN}, variety=False, habit=True")
    _, notes = comparable([of_version(0, PLAIN), of_version(1, PLAIN), habit])
    assert "(env.version variety=False, habit=True instead of none)" in notes[0]
    _, notes = comparable([of_version(0, PLAIN), of_version(1, PLAIN), of_version(2, PLAIN.replace("==1", "==2"))])
    assert "(env.version aloha==2 instead of aloha==1)" in notes[0]


def test_a_list_of_cells_says_which_are_of_another_simulator() -> None:
    made = [of_version(0, PLAIN), of_version(0, f"{PLAIN}, habit=True"), record("hammer", "state", (25, 97, 24))]
    table = cells_table(made)
    assert sorted(row[1] for row in table.rows) == ["dp3 #1", "dp3 #2", "state"]
    (note,) = [note for note in table.notes if "was not the same" in note]
    assert note == "aloha was not the same, so what differs in it does not compare: #1 none; #2 habit=True."
    assert all("#" not in row[1] for row in cells_table([made[0], made[2]]).rows), "one version each: nothing to say"


def test_the_seeds_that_are_alike_stay_together_and_the_most_common_wins() -> None:
    made = [usual(0), usual(1), unlike("precision", 2), unlike("precision", 3), unlike("precision", 4)]
    kept, notes = comparable(made)
    assert [r.seed for r in kept] == [2, 3, 4] and "precision fp32 instead of bf16" in notes[0]


def test_a_protocol_with_other_numbers_is_another_table_and_is_named() -> None:
    changed = dataclasses.replace(unlike("protocol.epochs"), protocol="clar+epochs=2")
    table, apart = clar_table_1([usual(0), changed], SUITE, "clar")
    assert not apart and not any("46.5" in cell for row in table.rows for cell in row)
    (note,) = other_labels([usual(0), changed], "metaworld-15", "clar")
    assert note == "not in this table: 1 record under clar+epochs=2 (--protocol clar+epochs=2 shows them)."


def test_code_that_is_not_shipped_has_no_row_in_a_papers_table() -> None:
    ours = usual(0)
    borrowed = dataclasses.replace(
        ours, method="mine", identity={**ours.identity, "method": {"name": "mine", "source": "sha256"}}
    )
    assert (row_name(ours), row_name(borrowed)) == ("DP3", "own mine")


@pytest.mark.slow
def test_a_users_outputs_hold_their_own_records_unless_ours_are_asked_for(tmp_path: Path) -> None:
    """40 cells of ours stood in an empty folder's report once."""
    runs = tmp_path / "runs"

    def invoke(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--out", str(runs)])

    assert MEASURED is not None
    asked = (("export", "--to", str(tmp_path / "a.csv")), ("report", "--to", str(tmp_path / "r")), ("audit",))
    for said in (f"there is no folder {runs / 'records'}", "no record"):
        for words in asked:
            done = invoke(*words)
            assert done.exit_code == 2 and said in done.output, done.output
        (runs / "records").mkdir(parents=True, exist_ok=True)
    assert "dp3, mlp" not in invoke("table", "1").stdout
    write(agreeing(usual(7)), runs / "records/clar/metaworld-15/hammer/dp3/mlp-s7.json")
    table = invoke("table", "1", "--with-reference", "--format", "csv").stdout
    assert '"state, mlp (reference)",retest' in table and '"dp3, mlp",retest' not in table
    for words in (("compare", "dp3", "state"), ("spread", "state")):
        notes = json.loads(invoke(*words, "--with-reference", "--json").stdout)["notes"]
        (note,) = (note for note in notes if note.startswith("reference, this project's own records: "))
        counted = {m: len(list(MEASURED.glob(f"clar/metaworld-15/*/{m}/mlp-s?.json"))) for m in ("dp3", "state")}
        both = f" {counted['dp3']} of dp3, mlp; {counted['state']} of state, mlp."
        assert note.endswith(both if words[0] == "compare" else both.partition(";")[2])
    cells = invoke("table", "1", "--with-reference", "--cells", "--format", "csv").stdout
    assert "dp3 (reference)" in cells and "hammer,dp3,mlp s7" in cells
    done = invoke("export", "--with-reference", "--format", "leaderboard-json", "--to", str(tmp_path / "b.json"))
    assert done.exit_code == 0
    data = json.loads((tmp_path / "b.json").read_text())
    runs_of = [run for board in data["boards"] for e in board["entries"] for t in e["tasks"].values() for run in t]
    assert {run["reference"] for run in runs_of} == {True, False}


def test_the_protocols_of_the_suite_files_are_known_by_their_numbers() -> None:
    for text, label in (
        (["protocol.epochs=150", "runtime.workers=1"], "clar"),
        (["protocol.epochs=20", "protocol.train_demos=3"], "clar+epochs=20,train_demos=3"),
        (["protocol.batch_size={2d: 256, 3d: 8}"], "clar+batch_size.3d=8"),
        (["runtime.precision=bf16"], "clar+precision=bf16"),
        (["suite.observation.render=fast"], "clar+observation.render=fast"),
        (["suite.observation.crop=lift3d"], "clar+observation.crop=lift3d"),
        (["protocol.learning_rate=0.0003"], "clar+learning_rate=0.0003"),
    ):
        assert load_settings("metaworld-15", "clar", "mlp", text).protocol.name == label
    assert load_settings("metaworld-15", "clar", "mlp", ["head.hidden=[16,8]"]).head.name == "mlp+hidden=16-8"
