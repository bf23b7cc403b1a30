"""Copies: a record under another name, a retest under a camera that was never moved, episodes counted twice."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.actions import BadActions, evaluations_actions, read_actions, retest_actions, write_actions
from benchmark.records.audit import audit
from benchmark.records.copies import copies
from benchmark.records.hash_chain import actions_digest, episode_digest, next_link
from benchmark.records.read import BadRecord, evaluation_from, read
from benchmark.records.replay_actions import Simulator
from benchmark.records.shifted_retests import shift_actions, shifts_path
from tests.conftest import TOY
from tests.records.forging import edit, forge, without_hashes

pytestmark = pytest.mark.slow

HERE = Simulator(2, files=(TOY,))


def verb(path: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["audit", "--records", str(path.parents[4]), "--simulator", TOY, *words])


def copied(path: Path, change: Callable[[Any], Any], to: Path) -> Path:
    forge(path, change, to)
    for kept in (retest_actions, evaluations_actions):
        shutil.copy(kept(path), kept(to))
    return to


def seventh(data: dict[str, Any]) -> None:
    data["seed"] = data["identity"]["seed"] = 7


def test_a_copy_under_another_number_of_the_training_is_found(file: Path) -> None:
    old = read(file).protocol
    name = old.replace("evaluate_every=2,horizon=60", "evaluate_every=2,horizon=60,learning_rate=0.5")

    def other(data: dict[str, Any]) -> None:
        data["protocol"] = data["identity"]["protocol"]["name"] = name
        data["identity"]["protocol"]["learning_rate"] = 0.5

    moved = copied(file, other, file.parents[4] / name / file.relative_to(file.parents[3]))
    assert len(copies([audit(read(one), one, HERE) for one in (file, moved)])) == 2
    assert verb(file).exit_code == 1


@pytest.mark.parametrize("disguise", ["nothing trained", "other weights", "every action"])
def test_a_copy_in_disguise_is_found_though_it_is_audited_alone(file: Path, disguise: str) -> None:
    moved = file.with_name("mlp-s7.json")

    def change(data: dict[str, Any]) -> None:
        seventh(data)
        if disguise == "nothing trained":
            data["training"]["parameters_trained"] = 0
            return
        for part in (*data["evaluations"], data["retest"]):
            part["checkpoint"] = f"{part['epoch']:064d}"
        if disguise == "every action":
            actions = read_actions(retest_actions(file), 60)
            actions = {name: np.nextafter(one, np.float32(9)) for name, one in actions.items()}
            write_actions(retest_actions(moved), actions)
            data["retest"]["actions"] = actions_digest({name: episode_digest(one) for name, one in actions.items()})

    forge(file, change, moved)
    if disguise != "every action":
        shutil.copy(retest_actions(file), retest_actions(moved))
    done = verb(file, "mlp-s7", "--no-checkpoints")
    assert done.exit_code == 1 and str(file) in "".join(done.stdout.split()), done.output


def test_a_policy_of_a_task_twice_is_no_joint_policy(file: Path) -> None:
    """Each of its episodes would count twice, and its task would stand in tables twice."""

    def twice(data: dict[str, Any]) -> None:
        data["task"] = data["identity"]["task"] = "far+far"
        for part in (*data["evaluations"], data["retest"]):
            part["episodes"] *= 2
        data["demos"] = {"train": 8, "valid": 2, "attempts": 99}
        data["training"]["samples"] *= 2
        batches = -(-data["training"]["samples"] // data["training"]["batch_size"])
        data["training"]["optimizer_steps"] = batches * 4

    moved = forge(file, twice, file.parents[2] / "far+far" / file.parent.name / file.name)
    with pytest.raises(BadRecord, match="the same episodes twice"):
        read(moved)


def seeing(data: dict[str, Any]) -> None:
    data["identity"]["observation"]["cameras"] = ["front"]


@pytest.mark.parametrize(
    ("shifts", "odd"),
    [
        (["front@azimuth=40"], ["front@azimuth=40"]),
        (["front", "front@azimuth=360", "instructions=shuffled"], []),
        (["front@azimuth=-20", "front@azimuth=340"], ["front@azimuth=-20", "front@azimuth=340"]),
        (["back"], ["back"]),
    ],
)
def test_a_retest_copied_to_a_moved_camera_is_not_checked(file: Path, shifts: list[str], odd: list[str]) -> None:
    """A method that sees through a camera sends other actions when it is moved, unless it does not look."""

    def write(path: Path) -> None:
        data = json.loads(path.read_text())
        cameras = {}
        for shift in shifts:
            shutil.copy(retest_actions(path), shift_actions(path, shift))
            part = {**data["retest"], "link": None}
            link = next_link(data["retest"]["link"], evaluation_from(part), shift)
            cameras[shift] = {**part, "link": link}
        names = {"identity_hash": data["identity_hash"], "epoch": data["selected_epoch"], "cameras": cameras}
        shifts_path(path).write_text(json.dumps(names))

    write(file)
    found = audit(read(file), file, HERE)
    assert found.word == "holds", "whoever sees nothing is not moved by a camera"
    write(forge(file, seeing))
    found = audit(read(file), file, HERE)
    assert [text.partition(": ")[0] for text in found.not_checked] == odd
    assert all("the very actions of the retest" in text for text in found.not_checked)
    assert found.word == ("not checked" if odd else "holds")


def test_all_evaluations_are_replayed_where_their_actions_are_kept(file: Path) -> None:
    """An evaluation that is said to be worse than it was would make another epoch the selected one."""
    record = read(file)
    best = record.selected_epoch
    (other,) = (e for e in record.evaluations if e.epoch != best)

    def worse(data: dict[str, Any]) -> None:
        (part,) = (e for e in data["evaluations"] if e["epoch"] == other.epoch)
        row = next(row for row in part["episodes"] if row[1])
        row[1:3] = [0, 60]

    forge(file, worse)
    assert audit(read(file), file, HERE).word == "DOES NOT HOLD"


def test_a_retest_that_is_said_to_be_nothing_but_errors_is_not_checked(file: Path) -> None:
    def hidden(data: dict[str, Any]) -> None:
        for row in data["retest"]["episodes"]:
            row[1:] = [0, 0, "the worker died"]

    forge(file, hidden)
    retest_actions(file).unlink()
    found = audit(read(file), file, HERE)
    assert found.word == "not checked" and "no episode of it could be run" in found.not_checked[0]


@pytest.mark.parametrize("name", ["nosuch", "", " "])
def test_a_cell_that_is_not_there_is_an_error_beside_one_that_is(file: Path, name: str) -> None:
    done = verb(file, "mlp-s0", name)
    assert done.exit_code == 2 and f"no record of {name!r}" in done.output


HEADERS = {
    "never closed": b"(" * 90,
    "half an object": b"{'descr':",
    "half a text": b"'''abc",
    "indented": b"  a\n b",
    "a key that is a list": b"{[]: 1}",
    "true steps": b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_odd_header_of_actions_is_damage(file: Path, name: str) -> None:
    with zipfile.ZipFile(retest_actions(file), "w") as archive:
        archive.writestr("1.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(HEADERS[name])) + HEADERS[name])
    edit(file, without_hashes)
    done = verb(file)
    assert done.exit_code == 4 and done.exception.__class__ is SystemExit, done.exception


def test_a_garbled_archive_of_any_compression_is_damage(tmp_path: Path) -> None:
    for compression in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr("1.npy", bytes(range(256)) * 3)
        content = bytearray(buffer.getvalue())
        content[50:90] = bytes(byte ^ 0x5A for byte in content[50:90])
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(BadActions):
            read_actions(tmp_path / "a.npz", 60)


def test_records_that_are_named_by_nothing_are_not_those_of_the_present_folder() -> None:
    """As of a variable of the shell that is not set."""
    for words in (["table", "1", "--records", ""], ["migrate", ""]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 and "it is empty" in done.output, done.output
