"""What somebody tries who wants a better number: each attempt is refused, found, or said not to be checked."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.actions import evaluations_actions, read_actions, retest_actions, write_actions
from benchmark.records.audit import audit
from benchmark.records.copies import copies, same_training
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.records.replay_actions import Simulator
from benchmark.records.shipped_methods import reported_as
from benchmark.records.verdict import Verdict
from benchmark.settings.settings import Settings
from tests.conftest import TOY
from tests.records.forging import edit, forge, make_success, without_hashes

pytestmark = pytest.mark.slow

HERE = Simulator(2, files=(TOY,))


def check(path: Path, **options: Any) -> Verdict:
    return audit(read(path), path, HERE, **options)


def verb(path: Path, *words: str) -> Any:
    command = ["audit", "--records", str(path.parents[4]), "--simulator", TOY, *words]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})  # a row of the table is a line


def refused(path: Path) -> str:
    with pytest.raises(BadRecord) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return " ".join((caught.value.reason, *caught.value.wrong))


def test_a_true_record_holds_and_says_what_each_number_rests_on(file: Path) -> None:
    found = check(file)
    assert found.word == "holds" and not found.contradictions and not found.not_checked
    assert {part.name: part.rests_on for part in found.parts} == {
        "retest": "replayed 6/6",
        "best*": "replayed 4/4",
        "last": "replayed 4/4",
        "epoch 2": "replayed 4/4",
    }
    done = verb(file)
    assert done.exit_code == 0 and "1 holds" in done.stdout and "replayed 6/6" in done.stdout
    evaluations_actions(file).unlink()
    assert [part.rests_on for part in check(file).parts] == ["replayed 6/6", "chained", "chained"]
    forge(file, without_hashes)
    edit(file, without_hashes)
    assert [part.rests_on for part in check(file).parts] == ["replayed 6/6", "declared", "declared"]


# -- 1 and 3: what contradicts itself is not read, whatever hashes it has ----------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["retest"]["episodes"][0].__setitem__(1, 3), "the success of retest.episodes[0] is 3"),
        (lambda d: d["evaluations"][0]["episodes"][0].__setitem__(1, True), "is True, not 0 or 1"),
        (lambda d: d["retest"]["tally"].update(k=6, n=6), "its content is not what its seal says"),
        (lambda d: d.update(method="clar"), "method is clar in the record and state in its settings"),
        (lambda d: d["card"].update(name="clar"), "the card says name=clar"),
        (lambda d: d.update(head="bnmlp"), "head is bnmlp in the record"),
        (lambda d: d.update(protocol="clar"), "protocol is clar in the record"),
        (lambda d: d.update(suite="metaworld-15"), "suite is metaworld-15 in the record"),
        (lambda d: d.update(task="near"), "task is near in the record"),
        (lambda d: d.update(seed=1), "seed is 1 in the record"),
        (lambda d: d.update(success_rule="last-step"), "success is last-step in the record"),
        (lambda d: d.update(horizon=200), "horizon is 200 in the record"),
        (lambda d: d.update(demo_hash="0" * 64), "seal"),
        (lambda d: d.update(fingerprint="another renderer"), "seal"),
        (lambda d: d["provenance"]["git"].update(commit="c0ffee"), "seal"),
        (lambda d: d["card"].update(reported_as="CLAR"), "seal"),
        (lambda d: d["timings"].update(training=98765.4), "seal"),
        (lambda d: d["retest"]["episodes"].pop(), "retest_rollouts is 6 by its settings, and there are 5"),
        (lambda d: d["evaluations"].pop(), "its evaluations are not those after every 2 of 4 epochs"),
    ],
)
def test_an_edit_is_seen_when_the_record_is_read(file: Path, change: Callable[[Any], Any], message: str) -> None:
    edit(file, change)
    assert message in refused(file)
    done = verb(file)
    assert done.exit_code == 1 and "DOES NOT HOLD" in done.stdout
    to = str(file.parents[5] / "a.csv")
    done = CliRunner().invoke(app, ["export", "--records", str(file.parents[4]), "--to", to])
    assert done.exit_code == 2 and f"skipped: {file}, because it" in done.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(method="clar"), "method is clar in the record"),
        (lambda d: d["weights"].update(untrained=True), "untrained is True in the record and False by its settings"),
        (lambda d: d["training"].update(optimizer_steps=9), "training.optimizer_steps is 9, and its settings give"),
        (lambda d: d["training"].update(samples=9), "training.samples is 9, and its settings give 240"),
        (lambda d: d["training"]["train_loss"].pop(), "there are 3 training losses of 4 epochs"),
        (lambda d: d["demos"].update(train=40), "demos.train is 40, and its settings give 4"),
        (lambda d: d["demos"].update(attempts=1), "fewer attempts than demonstrations"),
        (lambda d: d["frozen"].update(unchanged=True, before="a", after="b"), "its fingerprints say otherwise"),
        (lambda d: d["card"].update(training="partial"), "the card says training=partial"),
        (lambda d: d["retest"]["episodes"].pop(), "retest_rollouts is 6 by its settings, and there are 5"),
        (lambda d: d["retest"]["episodes"].reverse(), "was not run on the protocol's episodes"),
        (lambda d: d.update(selected_epoch=6 - d["selected_epoch"]), "is the best of its evaluations"),
        (lambda d: _shorten_a_failure(d), "before the 60 that it runs to"),
        (lambda d: make_success(d["evaluations"][1], 0), None),
        (lambda d: d["identity"]["protocol"].update(retest_rollouts=3), "retest_rollouts is 3 by its settings"),
        (lambda d: d["identity"]["head"].update(name="mlp+hidden=8"), "head is mlp in the record"),
        (lambda d: d["identity"]["head"].update(hidden=[9999]), "its settings are those of mlp+hidden=9999"),
        (lambda d: d["identity"]["protocol"].update(weight_decay=0.5), "valid_demos=1, weight_decay=0.5"),
        (lambda d: d["identity"].update(precision="bf16"), "precision=bf16, retest_rollouts=6"),
        (lambda d: _rename(d, "quick"), "it is called quick, and what its settings change"),
        (lambda d: d.update(env="/tmp/mine.py:Env") or d["identity"]["env"].pop("source"), "settings do not say so"),
    ],
)
def test_new_hashes_do_not_mend_a_contradiction(file: Path, change: Callable[[Any], Any], message: str | None) -> None:
    forge(file, change)
    if message is not None:
        assert message in refused(file)
    else:  # nothing in it contradicts it, but the actions that were sent do
        assert check(file).word == "DOES NOT HOLD"


def _rename(data: dict[str, Any], protocol: str) -> None:
    data["protocol"] = data["identity"]["protocol"]["name"] = protocol


def _shorten_a_failure(data: dict[str, Any]) -> None:
    next(row for row in data["retest"]["episodes"] if not row[1])[2] = 12


def test_a_lucky_prefix_is_another_protocol_and_stands_under_its_name(file: Path) -> None:
    """Who also changes the number of rollouts in the settings, and the actions, has to call the protocol so."""

    def lucky(data: dict[str, Any]) -> None:
        data["retest"]["episodes"] = data["retest"]["episodes"][:2]
        data["retest"]["actions"] = None
        data["identity"]["protocol"]["retest_rollouts"] = 2

    old = read(file).protocol
    forge(file, lucky)
    assert "retest_rollouts=2" in refused(file)

    def named(data: dict[str, Any]) -> None:
        _rename(data, old.replace("retest_rollouts=6", "retest_rollouts=2"))

    moved = file.parents[4] / old.replace("retest_rollouts=6", "retest_rollouts=2") / file.relative_to(file.parents[3])
    assert read(forge(file, named, moved)).protocol != old, "a protocol of its own, in no table of the other"


def test_a_record_of_another_method_never_takes_the_papers_row(file: Path) -> None:
    """A folder renamed, the label, the card and the settings edited, all hashes anew: still no row of CLAR."""

    def called(name: str, **facts: Any) -> Callable[[dict[str, Any]], None]:
        def change(data: dict[str, Any]) -> None:
            data["method"] = data["card"]["name"] = data["identity"]["method"]["name"] = name
            data["card"]["reported_as"] = "CLAR"
            data["identity"]["method"] |= facts
            data["card"] |= {key: value for key, value in facts.items() if key in data["card"]}

        return change

    def forged(name: str, **facts: Any) -> Path:
        return forge(file, called(name, **facts), file.parents[1] / name / file.name)

    assert "its settings say observes=['ground_truth'], and the method of that name" in refused(forged("clar"))
    shutil.rmtree(file.parents[1] / "clar")
    assert "is a method of this project, which it is not" in refused(forged("state-too"))
    moved = forged("mine", source="0" * 64)
    data = json.loads(moved.read_text())
    del data["identity"]["method"]["version"]
    moved.write_text(json.dumps(data))
    forge(moved, lambda _: None)
    assert reported_as(read(moved)) is None, "a file's method has a row of its own"
    shutil.copytree(file.parent, file.parents[1] / "clar")
    assert "lies in" in refused(file.parents[1] / "clar" / file.name)


# -- 2: without kept actions nothing is replayed, and that is not "holds" ----------------------------------------------


def _gone(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _none_of_them(path: Path) -> None:
    write_actions(path, {})


def _huge(path: Path) -> None:
    """A header that asks for 37 GiB."""
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**7, 1000)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.npy", header.getvalue())


@pytest.mark.parametrize("damage", [_gone, _cut, _garbled, _folder, _pipe, _huge])
def test_without_readable_actions_it_is_not_checked(file: Path, damage: Callable[[Path], None]) -> None:
    edit(file, without_hashes)
    damage(retest_actions(file))
    evaluations_actions(file).unlink()
    found = check(file)
    assert found.word == "not checked" and "cannot be replayed" in found.not_checked[0]
    done = verb(file)
    assert done.exit_code == 4 and "not checked" in done.stdout and "holds" not in done.stdout.split("declared:")[0]
    row = json.loads(verb(file, "--json").stdout)["records"][0]
    assert row["verdict"] == "not checked" and row["holds"] is False


def test_other_actions_than_those_that_were_sent_are_found(file: Path) -> None:
    _none_of_them(retest_actions(file))
    assert "are not those that were sent" in check(file).contradictions[0]
    edit(file, without_hashes)  # a record from before there were hashes of actions
    found = check(file)
    assert found.word == "not checked" and "its actions were not kept" in found.not_checked[0]


def test_another_version_of_the_simulator_is_not_checked(file: Path) -> None:
    forge(file, lambda d: d["identity"]["env"].update(version="toy==9"))
    found = check(file)
    assert found.word == "not checked" and "recorded with the simulator toy==9" in found.not_checked[0]
    assert verb(file).exit_code == 4 and verb(file, "--any-version").exit_code == 0


def test_nothing_asked_for_is_not_checked(file: Path) -> None:
    assert verb(file, "--episodes", "0").exit_code == 4
    done = verb(file, "--episodes", "2")
    assert done.exit_code == 0 and "replayed 2/6" in done.stdout


def test_a_simulator_in_a_file_is_run_only_where_it_is_named(file: Path) -> None:
    done = CliRunner().invoke(app, ["audit", "--records", str(file.parents[4])])
    assert done.exit_code == 4 and f"--simulator {TOY}" in " ".join(done.stdout.split())


# -- flipped outcomes, and 4: failures called errors -------------------------------------------------------------------


def test_a_failure_made_a_success_is_found_by_its_actions(file: Path) -> None:
    forge(file, lambda d: make_success(d["retest"]))
    found = check(file)
    assert found.word == "DOES NOT HOLD"
    assert "a success in the record and a failure when its actions are played" in found.contradictions[0]
    assert verb(file).exit_code == 1


def test_a_failure_called_an_error_is_found_by_its_actions(file: Path) -> None:
    def forgive(data: dict[str, Any]) -> None:
        for row in data["retest"]["episodes"]:
            if not row[1]:
                row[3] = "the worker died"

    forge(file, forgive)
    assert read(file).retest.tally.rate == 1.0
    found = check(file)
    assert found.word == "DOES NOT HOLD" and "its actions play to the end" in found.contradictions[0]

    def cut_short(data: dict[str, Any]) -> None:
        without_hashes(data)
        for row in data["retest"]["episodes"]:
            if row[3]:
                row[2] = 7

    actions = read_actions(retest_actions(file), 60)
    said = {str(row[0]): row[3] for row in read(file).retest.episodes}
    write_actions(retest_actions(file), {k: a[:7] if said[k] else a for k, a in actions.items()})
    edit(file, cut_short)
    found = check(file)
    assert found.word == "not checked", "a worker that died cannot be told from one that is said to have died"
    assert "its 7 actions play without an error" in found.not_checked[0]


def test_a_failure_is_no_error_because_its_actions_were_made_unplayable(file: Path) -> None:
    """An action of another size makes the simulator raise, whatever the policy did."""
    actions = read_actions(retest_actions(file), 60)
    row = next(row for row in read(file).retest.episodes if not row[1])
    write_actions(retest_actions(file), {**actions, str(row[0]): np.ones((1, 3), np.float32)})

    def broken(data: dict[str, Any]) -> None:
        for one in data["retest"]["episodes"]:
            if one[0] == row[0]:
                one[1:] = [0, 1, "WorkerError: operands could not be broadcast together"]
        data["retest"]["actions"] = None

    forge(file, broken)
    edit(file, without_hashes)
    assert "its actions have 2 and 3 numbers" in check(file).contradictions[0]


def test_an_error_of_the_simulator_is_replayed(tmp_path: Path, toy_settings: Settings) -> None:
    (cell,) = make_cells(_with(toy_settings, ("near", "cursed")), ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    assert audit(record, cell.record(paths), HERE).word == "holds"


def _with(settings: Settings, tasks: tuple[str, ...]) -> Settings:
    return dataclasses.replace(settings, suite=dataclasses.replace(settings.suite, tasks={"easy": tasks}))


# -- 5: best* and last -------------------------------------------------------------------------------------------------


def test_best_and_last_are_found_by_the_actions_that_were_kept(file: Path) -> None:
    forge(file, lambda d: [make_success(d["evaluations"][-1]) for _ in range(1)])
    found = check(file)
    assert found.word == "DOES NOT HOLD"
    assert any(text.startswith(("last: ", "best*: ")) for text in found.contradictions)


def test_one_evaluation_cannot_be_changed_without_the_whole_chain(file: Path) -> None:
    def quietly(data: dict[str, Any]) -> None:
        from benchmark.records.write import seal_of

        loss = data["evaluations"][0]
        loss["valid_loss"] = 0.001
        data["seal"] = seal_of(data)

    edit(file, quietly)
    assert "the evaluation of epoch 2 is not what its chained hash says" in refused(file)


def test_a_chain_in_part_is_none(file: Path) -> None:
    def torn(data: dict[str, Any]) -> None:
        data["evaluations"][0]["link"] = None
        data["seal"] = ""

    edit(file, torn)
    assert "only some of its evaluations are chained" in refused(file)


# -- copies ------------------------------------------------------------------------------------------------------------


def second_seed(data: dict[str, Any]) -> None:
    data["seed"] = data["identity"]["seed"] = 1


def test_a_copy_under_another_seed_or_name_is_found(file: Path) -> None:
    moved = forge(file, second_seed, file.with_name("mlp-s1.json"))
    for kept in (retest_actions, evaluations_actions):
        shutil.copy(kept(file), kept(moved))
    both = [check(file), check(moved)]
    assert [one.word for one in both] == ["holds", "holds"], "one by one they cannot be told"
    assert len(copies(both)) == 2
    done = verb(file)
    assert done.exit_code == 1 and "one is a copy of the other" in " ".join(done.stdout.split())
    done = verb(file, "mlp-s1")
    assert done.exit_code == 1 and "the very weights of" in " ".join(done.stdout.split()), "alone it is found as well"


def test_one_bit_of_one_action_does_not_hide_a_copy(file: Path) -> None:
    moved = forge(file, second_seed, file.with_name("mlp-s1.json"))
    edit(moved, without_hashes)
    actions = read_actions(retest_actions(file), 60)
    first = next(iter(actions))
    write_actions(retest_actions(moved), {**actions, first: np.nextafter(actions[first], np.float32(9))})
    assert len(copies([check(file), check(moved)])) == 2


def test_settings_that_leave_the_weights_alone_are_no_copy(file: Path) -> None:
    """An ablation of how often a method is evaluated plays the same weights, and sends the same actions."""
    first, second = check(file), check(file)
    other = dataclasses.replace(second, file="another", cell="another")
    assert copies([first, other]) == {}


def test_how_a_head_is_played_leaves_its_weights_alone(file: Path) -> None:
    record = read(file)
    often = dataclasses.replace(record, head="mlp+execute=4")
    seed = dataclasses.replace(record, seed=5)
    assert same_training([(file, record), (Path("often"), often)]) == {}
    assert set(same_training([(file, record), (Path("seed"), seed)])) == {str(file), "seed"}


def test_actions_that_were_asked_for_half_way_are_chained_before(file: Path) -> None:
    actions = read_actions(evaluations_actions(file), 60)
    last = read(file).evaluations[-1].epoch
    write_actions(evaluations_actions(file), {k: v for k, v in actions.items() if k.startswith(f"{last}-")})
    found = check(file)
    assert found.word == "holds" and "replayed 4/4" in [part.rests_on for part in found.parts]


# -- where a record lies -----------------------------------------------------------------------------------------------


def test_a_place_may_be_named_in_any_way_and_links_lead_to_it(file: Path) -> None:
    odd = file.parent / ".." / file.parent.name / file.name
    assert read(odd) == read(file)
    link = file.parents[5] / "linked"
    link.symlink_to(file.parent)
    assert read(link / file.name) == read(file)
    assert "lies in" in refused(shutil.copytree(file.parent, file.parents[1] / "other") / file.name)


def test_no_code_that_a_record_names_is_run(file: Path, tmp_path: Path) -> None:
    """Neither by an audit nor by a film: a record may name any file of this machine."""
    mark, evil = tmp_path / "executed", tmp_path / "evil.py"
    evil.write_text(f"open({str(mark)!r}, 'w').write('x')\n\n\nclass Toy:\n    pass\n")

    def named(data: dict[str, Any]) -> None:
        data["env"] = f"{evil}:Toy"

    forge(file, named)
    assert read(file).env == f"{evil}:Toy"
    records = str(file.parents[4])
    done = CliRunner().invoke(app, ["audit", "--records", records])
    assert done.exit_code == 4 and "--simulator" in done.stdout
    films = ["report", "--records", records, "--films", "state", "--to", str(tmp_path / "page")]
    done = CliRunner().invoke(app, films)
    assert done.exit_code == 0 and "no video of" in done.output, done.output
    assert not mark.exists()
