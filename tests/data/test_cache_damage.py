"""Cached observations and features that a disk has damaged are named and made again, and never trained on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from benchmark.data import checksums, collect_demos
from benchmark.data.checksums import checksum, damaged, sums_of
from benchmark.data.collect_demos import load_or_collect
from benchmark.data.demo_file import load
from benchmark.data.demos import DamagedDemos, Demos
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Whole
from benchmark.data.observations import load_or_render, rendered
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.records.paths import Paths
from benchmark.settings.load import load_protocol
from benchmark.settings.settings import Settings
from benchmark.system.files import StorageError
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests import damage
from tests.conftest import TOY
from tests.data.test_features import CPU, EPISODES, STEPS, WHOLE, build

REQUEST = ObservationRequest(("points", "points_valid", "proprio"), ("front",), num_points=64)
FILES = ("points.npy", "points_valid.npy", "proprio.npy", "done.json", "complete.json")
Arrays = dict[str, np.ndarray]


class Rendering:
    """A cache of the toy's observations; what it says and how many demonstrations it renders are kept."""

    def __init__(self, root: Path, demos: Demos, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.demos, self.pool, self.jobs = root, demos, pool, list[int]()
        real = Pool.map

        def count(pool: Pool, command: str, work: Iterable[Any]) -> Iterator[Any]:
            work = list(work)
            self.jobs.append(len(work))
            return real(pool, command, work)

        monkeypatch.setattr(Pool, "map", count)

    def load(self) -> Arrays:
        self.jobs.clear()
        return {n: np.array(a) for n, a in load_or_render(self.root, self.demos, REQUEST, self.pool, "f").items()}

    @property
    def folder(self) -> Path:
        (folder,) = [path for path in (self.root / "observations").iterdir() if path.is_dir()]
        return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Demos, Pool]]:
    """Five demonstrations and their observations, and a pool to render them again."""
    root = tmp_path_factory.mktemp("made")
    protocol = dataclasses.replace(
        load_protocol("quick"), train_demos=4, valid_demos=1, horizon=12, min_success_steps=0
    )
    demos = load_or_collect(root, "toy-suite", TOY, "near", protocol, 1)
    with Pool(EnvConfig(TOY, "near", REQUEST), 1) as pool:
        load_or_render(root, demos, REQUEST, pool, "f")
        yield root, demos, pool


@pytest.fixture
def cache(made: tuple[Path, Demos, Pool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rendering:
    root, demos, pool = made
    shutil.copytree(root / "observations", tmp_path / "observations")
    return Rendering(tmp_path, demos, pool, monkeypatch)


def same(one: Arrays, other: Arrays) -> None:
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", damage.EVERY, ids=lambda harm: harm.__name__)
def test_damaged_observations_are_named_and_rendered_again(
    harm: Callable[[Path], None], name: str, cache: Rendering, capfd: pytest.CaptureFixture[str]
) -> None:
    before = cache.load()
    assert not cache.jobs
    harm(cache.folder / name)
    capfd.readouterr()
    assert rendered(cache.root, cache.demos, REQUEST, "f") is None
    assert not capfd.readouterr().err, "whoever renders says it"
    same(before, cache.load())
    said = [line for line in capfd.readouterr().err.splitlines() if str(cache.folder) in line]
    if (name, harm) == ("complete.json", damage.delete):
        assert not said and cache.jobs == [0], "as after a kill: what is finished is checked, and used"
    else:
        (line,) = said
        assert name in line and line.endswith(": rendered again")
        part = harm is damage.flip and name.endswith(".npy")
        assert sum(cache.jobs) == 1 if part else cache.jobs == [5] or name == "done.json"
    same(before, cache.load())
    assert not cache.jobs and not capfd.readouterr().err, "mended once and for all"
    found = rendered(cache.root, cache.demos, REQUEST, "f")
    assert found is not None
    same(before, found)


def test_only_the_damaged_demonstrations_are_rendered_again(
    cache: Rendering, capfd: pytest.CaptureFixture[str]
) -> None:
    before = cache.load()
    array = np.lib.format.open_memmap(cache.folder / "points.npy", mode="r+")
    array[3 * 12 + 5, 7, 1] += 1e-3
    array[12:24] = 0
    array.flush()
    damage.flip(cache.folder / "proprio.npy", 0.99)
    capfd.readouterr()
    same(before, cache.load())
    assert cache.jobs == [3]
    told = "is damaged (points.npy: demonstration 1, 3; proprio.npy: demonstration 4): rendered again"
    assert f"{cache.folder} {told}" in capfd.readouterr().err


def test_a_kill_and_then_damage(cache: Rendering, capfd: pytest.CaptureFixture[str]) -> None:
    """What was finished before the kill is checked before the run goes on from it."""
    before = cache.load()
    (cache.folder / "complete.json").unlink()
    done = json.loads((cache.folder / "done.json").read_text())
    (cache.folder / "done.json").write_text(json.dumps({part: done[part] for part in "034"}))
    array = np.lib.format.open_memmap(cache.folder / "points_valid.npy", mode="r+")
    array[3 * 12] ^= True  # finished
    array[2 * 12] ^= True  # not
    array.flush()
    capfd.readouterr()
    same(before, cache.load())
    assert cache.jobs == [3]
    assert "is damaged (points_valid.npy: demonstration 3): rendered again" in capfd.readouterr().err


def test_a_kill_while_it_is_mended_leaves_nothing_that_looks_whole(
    cache: Rendering, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache.load()
    for place in (0.5, 0.9):
        damage.flip(cache.folder / "points.npy", place)
    real = Pool.map

    def stop(pool: Pool, command: str, work: Iterable[Any]) -> Iterator[Any]:
        for number, answer in enumerate(real(pool, command, work)):
            if number == 1:
                raise KeyboardInterrupt
            yield answer

    with monkeypatch.context() as patch:
        patch.setattr(Pool, "map", stop)
        with pytest.raises(KeyboardInterrupt):
            cache.load()
    assert not (cache.folder / "complete.json").exists()
    assert rendered(cache.root, cache.demos, REQUEST, "f") is None
    same(before, cache.load())
    assert cache.jobs == [1]


@pytest.mark.parametrize("done", [[0, 1, 2, 3, 4], [0, 2]])
def test_observations_of_an_earlier_version_are_made_again(
    done: list[int], cache: Rendering, capfd: pytest.CaptureFixture[str]
) -> None:
    before = cache.load()
    (cache.folder / "done.json").write_text(json.dumps(done))
    capfd.readouterr()
    same(before, cache.load())
    assert cache.jobs == [5]
    said = "was made by an earlier version, without checksums: rendered again"
    assert f"{cache.folder} {said}" in capfd.readouterr().err


ODD: list[Any] = [{"0": {}}, {"7": {}}, {"00": {"points": "0"}}, {"0": None}, "text", None, 1.5, {"0": {"points": "0"}}]


@pytest.mark.parametrize("content", ODD)
def test_an_odd_list_of_what_is_done(content: Any, cache: Rendering, capfd: pytest.CaptureFixture[str]) -> None:
    before = cache.load()
    (cache.folder / "done.json").write_text(json.dumps(content))
    capfd.readouterr()
    same(before, cache.load())
    assert cache.jobs == [5]
    assert "done.json" in capfd.readouterr().err


def test_a_checksum_that_is_missing_or_wrong_costs_its_demonstration(
    cache: Rendering, capfd: pytest.CaptureFixture[str]
) -> None:
    before = cache.load()
    file = cache.folder / "done.json"
    done = json.loads(file.read_text())
    done.pop("1")
    done["2"]["points"] = None
    file.write_text(json.dumps(done))
    capfd.readouterr()
    same(before, cache.load())
    assert cache.jobs == [2]
    told = "is damaged (points.npy: demonstration 2; done.json: demonstration 1)"
    assert told in capfd.readouterr().err


def test_an_entry_that_is_a_file_or_a_link(cache: Rendering, tmp_path: Path) -> None:
    before, folder = cache.load(), cache.folder
    shutil.rmtree(folder)
    folder.write_text("no folder")
    same(before, cache.load())
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    same(before, cache.load())
    assert not cache.jobs, "a link to a whole entry is that entry"
    damage.truncate(folder / "points.npy")
    same(before, cache.load())


def test_a_disk_that_does_not_keep_what_is_written_is_named(cache: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.load()
    damage.truncate(cache.folder / "points.npy")
    monkeypatch.setattr(checksums, "sums_of", lambda file, places: dict.fromkeys(places, "00000000"))
    with pytest.raises(StorageError, match="right after it was written: do not trust this disk"):
        cache.load()


def test_a_sum_is_of_every_byte_however_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [np.arange(24, dtype=kind).reshape(4, 6) for kind in ("float16", "float64", "uint8")]
    arrays += [np.arange(24).reshape(4, 6) % 2 == 1, np.zeros((4, 0), np.float32)]
    for chunk in (1, 7, 2**18):
        monkeypatch.setattr(checksums, "CHUNK", chunk)
        for array in arrays:
            np.save(tmp_path / "a.npy", array)
            mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
            places = {row: checksums.place_in(mapped, slice(row, row + 1)) for row in (2, 0, 3)}
            assert sums_of(tmp_path / "a.npy", places) == {row: checksum(array[row]) for row in places}
    assert sums_of(tmp_path / "a.npy", {0: (0, 10**6)}) == {0: ""}, "cut off"


def test_what_was_found_whole_is_not_read_again_until_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, array = tmp_path / "a.npy", np.arange(1000.0)
    np.save(file, array)
    place, total = {0: (128, 8000)}, {0: checksum(array)}
    reads: list[Path] = []
    real = checksums.sums_of
    monkeypatch.setattr(checksums, "sums_of", lambda *given: [reads.append(given[0]), real(*given)][1])
    for _ in range(3):
        assert damaged(file, place, total) == []
    assert len(reads) == 3, "it has just been written: a change within the same tick of the clock would not be seen"
    old = os.stat(file).st_mtime - 100
    os.utime(file, (old, old))
    for _ in range(3):
        assert damaged(file, place, total) == []
    assert len(reads) == 4
    damage.flip(file)
    os.utime(file, (old, old))  # a copy that keeps its times: the time of the change itself cannot be set
    assert damaged(file, place, total) == [0]
    assert damaged(file, place, {0: "00000000"}) == [0], "other sums are wanted"


HARM = [harm for harm in damage.EVERY if harm not in (damage.to_pipe, damage.delete)]


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_a_kept_episode_that_is_damaged_is_run_again(
    harm: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Collecting was killed, and then the disk damaged one of the episodes that were finished."""
    protocol = dataclasses.replace(load_protocol("quick"), train_demos=2, valid_demos=0, horizon=8, min_success_steps=0)

    def collect(root: Path) -> Demos:
        return load_or_collect(root, "toy-suite", TOY, "near", protocol, 1)

    def full(*_: Any) -> None:
        raise KeyboardInterrupt

    whole = collect(tmp_path / "whole").content_hash
    with monkeypatch.context() as patch:
        patch.setattr(collect_demos, "save", full)
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path)
    files = sorted(tmp_path.glob("demos/*/*.partial/*.npz"))
    assert len(files) == 2
    damage.flip(files[0], 0.15) if harm is damage.flip else harm(files[0])  # an array's byte, not the archive's
    assert collect(tmp_path).content_hash == whole
    assert f"{files[0].name} is damaged" in capfd.readouterr().err


@pytest.mark.parametrize("attempts", [1, 6, -1])
def test_demonstrations_with_another_number_of_attempts(
    attempts: int, made: tuple[Path, Demos, Pool], tmp_path: Path
) -> None:
    root, demos, _ = made
    (file,) = root.rglob("*.hdf5")
    shutil.copy(file, tmp_path / "a.hdf5")
    assert load(tmp_path / "a.hdf5").attempts == demos.attempts == 5
    with h5py.File(tmp_path / "a.hdf5", "r+") as opened:
        opened["data"].attrs["attempts"] = attempts
    with pytest.raises(DamagedDemos):
        load(tmp_path / "a.hdf5")


FEATURES = ("feature.npy", "proprio.npy", "done.json", "complete.json", "shapes.json", "kept.npz")


def features(root: Path) -> tuple[FeatureCache, dict[str, np.ndarray], list[int]]:
    """A cache, its fields, and a list that grows whenever they are asked for."""
    representation, fields = build("random-features")
    cache = FeatureCache(root, "t", "demos", HeadPolicy(representation, Head()), {}, {}, CPU, bf16=False)
    return cache, fields, []


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("harm", damage.EVERY, ids=lambda harm: harm.__name__)
def test_damaged_features_are_named_and_made_again(
    harm: Callable[[Path], None], name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache, fields, _ = features(tmp_path)
    before = [np.array(array) for array in cache.load(lambda: Whole(fields), WHOLE)]
    harm(cache.folder / name)
    capfd.readouterr()
    for again, array in zip(cache.load(lambda: Whole(fields), WHOLE), before, strict=True):
        np.testing.assert_array_equal(again, array)
    said = [line for line in capfd.readouterr().err.splitlines() if str(cache.folder) in line]
    if (name, harm) != ("complete.json", damage.delete):
        (line,) = said
        assert name in line and line.endswith(": made again")

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("mended once and for all")

    cache.load(never, WHOLE)


def test_only_the_damaged_episode_is_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bit of the second of three episodes, which has none of the kept frames: they were all that was checked."""
    cache, fields, _ = features(tmp_path)
    before = np.array(cache.load(lambda: Whole(fields), WHOLE)[0])
    damage.flip(cache.folder / "feature.npy", 0.55)
    assert (np.load(cache.folder / "feature.npy") != before).any(axis=1).nonzero()[0] // STEPS == [1]
    encoded: list[slice] = []
    real = FeatureCache._encode_rows
    monkeypatch.setattr(
        FeatureCache, "_encode_rows", lambda self, fields, rows: [encoded.append(rows), real(self, fields, rows)][1]
    )
    np.testing.assert_array_equal(cache.load(lambda: Whole(fields), WHOLE)[0], before)
    assert slice(STEPS, 2 * STEPS) in encoded and slice(2 * STEPS, 3 * STEPS) not in encoded
    assert "is damaged (feature.npy: demonstration 1): made again" in capfd.readouterr().err


def test_features_killed_and_then_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, fields, _ = features(tmp_path / "whole")
    before = [np.array(array) for array in whole.load(lambda: Whole(fields), WHOLE)]
    cache, fields, calls = features(tmp_path / "stopped")
    real = FeatureCache._encode_rows

    def dies(self: FeatureCache, fields: Arrays, rows: slice) -> Any:
        calls.append(rows.start)
        if len(calls) == 4:  # the first call asks for a frame's shape
            raise KeyboardInterrupt
        return real(self, fields, rows)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "_encode_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            cache.load(lambda: Whole(fields), WHOLE)
    assert len(json.loads((cache.folder / "done.json").read_text())) == EPISODES - 1
    array = np.lib.format.open_memmap(cache.folder / "proprio.npy", mode="r+")
    array[STEPS + 1, 0] += 1
    array.flush()
    capfd.readouterr()
    for again, array in zip(cache.load(lambda: Whole(fields), WHOLE), before, strict=True):
        np.testing.assert_array_equal(again, array)
    assert "is damaged (proprio.npy: demonstration 1): made again" in capfd.readouterr().err


def test_features_of_an_earlier_version_are_made_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cache, fields, _ = features(tmp_path)
    before = np.array(cache.load(lambda: Whole(fields), WHOLE)[0])
    (cache.folder / "done.json").write_text("3")
    capfd.readouterr()
    np.testing.assert_array_equal(cache.load(lambda: Whole(fields), WHOLE)[0], before)
    said = "was made by an earlier version, without checksums: made again"
    assert f"{cache.folder} {said}" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_over_damaged_caches_is_a_run_over_whole_ones(
    toy_settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The issue's case: a bit flips between two runs over one data folder; it used to be trained on in silence."""
    protocol = dataclasses.replace(
        toy_settings.protocol, name="tiny", epochs=2, evaluate_every=2, rollouts=1, retest_rollouts=1
    )
    (cell,) = make_cells(dataclasses.replace(toy_settings, protocol=protocol), ["near"], ["state"], [0])
    paths = Paths(tmp_path / "out", tmp_path / "data")
    before, _ = run_cell(cell, paths, "test")
    (file,) = paths.data.glob("observations/*/ground_truth.npy")
    array = np.lib.format.open_memmap(file, mode="r+")
    array[7] += 0.5
    array.flush()
    capfd.readouterr()
    after, new = run_cell(cell, paths, "test", overwrite=True)
    assert new and after.training["train_loss"] == before.training["train_loss"]
    assert "is damaged (ground_truth.npy: demonstration 0): rendered again" in capfd.readouterr().err
