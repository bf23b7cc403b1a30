"""Records copied with fewer actions: still of the same record, and an audit says what it could not replay."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.actions import BadActions, packed_actions, read_actions, read_kept, retest_actions, write_actions
from benchmark.records.hash_chain import episode_digest, sent_actions
from benchmark.records.hub.contents import check_records, contents
from benchmark.records.read import read
from benchmark.records.shrink import CannotShrink, shrink_records
from tests.conftest import TOY
from tests.records.forging import forge, make_success

FEW = "3"
"""Kilobytes: some of the episodes of the made record."""


def bench(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def audited(path: Path) -> Any:
    return bench("audit", "--records", str(path.parents[4]), "--simulator", TOY, "--no-checkpoints")


@pytest.fixture
def small(file: Path, tmp_path: Path) -> Path:
    done = bench("shrink", str(file.parents[4]), "--to", str(tmp_path / "small"), "--kilobytes", FEW)
    assert done.exit_code == 0, done.output
    return tmp_path / "small" / file.relative_to(file.parents[4])


@pytest.mark.slow
def test_a_copy_has_the_first_episodes_and_hashes_of_the_others(file: Path, small: Path) -> None:
    assert small.read_bytes() == file.read_bytes()
    assert retest_actions(small).stat().st_size <= 3000 < retest_actions(file).stat().st_size
    kept, hashes = read_kept(retest_actions(small), 60)
    whole = read_actions(retest_actions(file), 60)
    names = [str(row[0]) for row in read(file).retest.episodes]
    assert 0 < len(kept) < len(names)
    assert list(kept) == names[: len(kept)] and list(hashes) == names[len(kept) :]
    for name, actions in kept.items():
        np.testing.assert_array_equal(actions, whole[name])
    assert hashes == {name: episode_digest(whole[name]) for name in hashes}
    assert not list(small.parent.glob("*.evaluations.actions.npz"))  # larger than asked for


@pytest.mark.slow
def test_an_audit_replays_the_first_and_says_what_is_missing(file: Path, small: Path) -> None:
    kept, hashes = read_kept(retest_actions(small), 60)
    done = audited(small)
    assert done.exit_code == 4, done.output
    said = " ".join(done.output.split())
    assert f"replayed {len(kept)}/{len(kept) + len(hashes)}" in said
    assert f"{len(kept)} of {len(kept) + len(hashes)} episodes have their actions here, the first" in said
    assert audited(file).exit_code == 0


@pytest.mark.slow
def test_episodes_that_were_chosen_are_named(small: Path) -> None:
    kept, hashes = read_kept(retest_actions(small), 60)
    first = next(iter(kept))
    hashes[first] = episode_digest(kept.pop(first))
    write_actions(retest_actions(small), kept, hashes)
    assert "which are not the first" in " ".join(audited(small).output.split())


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["an action", "a hash", "nothing of it", "an outcome"])
def test_what_was_changed_does_not_hold(file: Path, small: Path, changed: str) -> None:
    kept, hashes = read_kept(retest_actions(small), 60)
    if changed == "an outcome":
        names = [str(row[0]) for row in read(file).retest.episodes]
        failed = next(n for n, row in enumerate(read(file).retest.episodes) if not row[1] and names[n] in kept)
        forge(small, lambda data: make_success(data["retest"], failed))
    elif changed == "an action":
        name = next(iter(kept))
        kept[name] = np.nextafter(kept[name], np.float32(9))
        write_actions(retest_actions(small), kept, hashes)
    else:
        name = next(iter(hashes))
        hashes[name] = hashlib.sha256(b"other").hexdigest()
        if changed == "nothing of it":
            del hashes[name]
        write_actions(retest_actions(small), kept, hashes)
    assert audited(small).exit_code == 1
    if changed != "an outcome":
        assert "has not the actions" in check_records(small.parents[4])[1][0][1]


def test_a_hash_is_no_actions_and_a_shrunk_record_can_be_shrunk_again(small: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.npz"
    file.write_bytes(packed_actions({}, {"7": "g" * 64}))
    with pytest.raises(BadActions, match="no sha256 hash"):
        read_actions(file, 60)
    before = read_kept(retest_actions(small), 60)
    done = bench("shrink", str(small.parents[4]), "--to", str(tmp_path / "less"), "--kilobytes", "2")
    assert done.exit_code == 0, done.output
    after = read_kept(next((tmp_path / "less").rglob("*.actions.npz")), 60)
    assert len(after[0]) < len(before[0])
    assert sum(map(len, after)) == sum(map(len, before))
    with pytest.raises(CannotShrink, match="hashes of its episodes alone"):
        shrink_records(small.parents[4], tmp_path / "none", 100)


def test_whole_actions_are_never_replaced_by_fewer(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    assert bench("shrink", str(file.parents[4]), "--to", str(folder)).exit_code == 0
    target = folder / file.relative_to(file.parents[4])
    before = retest_actions(target).read_bytes()
    done = bench("shrink", str(file.parents[4]), "--to", str(folder), "--kilobytes", FEW)
    assert done.exit_code != 0 and "with the actions of other episodes" in " ".join(done.output.split())
    assert retest_actions(target).read_bytes() == before


def test_the_same_again_is_no_error(file: Path, small: Path) -> None:
    done = bench("shrink", str(file.parents[4]), "--to", str(small.parents[4]), "--kilobytes", FEW)
    assert done.exit_code == 0, done.output


def test_another_record_is_not_replaced_and_the_hub_takes_a_small_one(file: Path, small: Path) -> None:
    assert len(contents(small.parents[4]).files) >= 2
    small.write_text(small.read_text().replace("}", " }", 1))
    done = bench("shrink", str(file.parents[4]), "--to", str(small.parents[4]), "--kilobytes", FEW)
    assert done.exit_code != 0 and "is another record than" in " ".join(done.output.split())


@pytest.mark.slow
def test_a_record_with_one_hash_for_all_is_refused_and_still_holds(file: Path, tmp_path: Path) -> None:
    """As the committed ones: they were made before each episode had its own."""
    actions = read_actions(retest_actions(file), 60)
    total = hashlib.sha256()
    for name in sorted(actions):
        total.update(f"{name}|{actions[name].dtype.str}|{actions[name].shape}|".encode() + actions[name].tobytes())
    assert sent_actions(total.hexdigest(), actions, {})

    def old(data: dict[str, Any]) -> None:
        data["retest"]["actions"] = total.hexdigest()

    forge(file, old)
    assert audited(file).exit_code == 0
    done = bench("shrink", str(file.parents[4]), "--to", str(tmp_path / "small"), "--kilobytes", FEW)
    assert done.exit_code != 0 and "one hash for all its episodes" in " ".join(done.output.split())
    assert bench("shrink", str(file.parents[4]), "--to", str(tmp_path / "whole")).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [FEW, "1000"])
def test_records_are_not_copied_onto_themselves(file: Path, kilobytes: str) -> None:
    root = file.parents[4]
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    done = bench("shrink", str(root), "--to", str(root), "--kilobytes", kilobytes)
    assert done.exit_code == 2 and "give another folder for the copies" in done.output
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
