"""Kept features that other code made, or that a disk has spoilt, are named and made again; never used."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Whole
from benchmark.data.sample_inputs import departure
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings
from envs import local_code
from envs.spec import FieldSpec
from methods import code
from methods.base import Representation
from methods.registry import method_class
from tests.data.test_features import CPU, EPISODES, STEPS, WHOLE, build

FILE = (Path(__file__).parents[1] / "frozen_toy.py").read_text()
LINE = "return self.network("
ZEROS = "return 0 * self.network("
DOUBLE = "return 2 * self.network("


def load(file: Path, encode: str = LINE) -> str:
    """Write a method's file and forget what was imported from it, as a new process would."""
    file.write_text(FILE.replace(LINE, encode))
    for name in [name for name in sys.modules if name.startswith(f"bench_file_{file.stem}_")]:
        del sys.modules[name]
    local_code._bytes.pop(file, None)
    code._file_texts.cache_clear()
    return f"{file}:FrozenToy"


def entry(root: Path, method: str) -> tuple[FeatureCache, Representation, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    representation = method_class(method)({"ground_truth": FieldSpec("ground_truth", (4,), "float32", "m", "robot")})
    representation.freeze_as_card_says()
    draw = np.random.default_rng(0)
    fields = {
        "ground_truth": draw.normal(size=(EPISODES * STEPS, 4)).astype(np.float32),
        "proprio": draw.normal(size=(EPISODES * STEPS, 2)).astype(np.float32),
    }
    policy = HeadPolicy(representation, Head())
    return FeatureCache(root, "near-toy", "demos", policy, {}, {"version": 1}, CPU, bf16=False), representation, fields


def expected(representation: Representation, fields: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return representation.encode({n: torch.from_numpy(a) for n, a in fields.items()}).numpy()


def test_another_encode_under_the_same_key_is_noticed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two files with one card, and the first file edited: same weights, same key, another feature."""
    one, other = load(tmp_path / "one.py"), load(tmp_path / "other.py", DOUBLE)
    first, representation, fields = entry(tmp_path, one)
    feature, _ = first.load(lambda: Whole(fields), WHOLE)
    np.testing.assert_allclose(feature, expected(representation, fields), rtol=1e-6)
    for method in (other, load(tmp_path / "one.py", ZEROS)):
        second, representation, _ = entry(tmp_path, method)
        assert second.folder == first.folder
        capfd.readouterr()
        again, _ = second.load(lambda: Whole(fields), WHOLE)
        np.testing.assert_allclose(again, expected(representation, fields), rtol=1e-6)
        said = capfd.readouterr().err
        assert f"{second.folder} was made by other code or weights" in said and "made again" in said

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("what the same code made is used as it is")

    np.testing.assert_array_equal(second.load(never, WHOLE)[0], again)


def test_a_half_made_entry_of_other_code_is_not_gone_on_with(tmp_path: Path) -> None:
    cache, _, fields = entry(tmp_path, load(tmp_path / "one.py"))
    cache.load(lambda: Whole(fields), WHOLE)
    (cache.folder / "complete.json").unlink()
    done = json.loads((cache.folder / "done.json").read_text())
    (cache.folder / "done.json").write_text(json.dumps({"0": done["0"]}))
    cache, representation, _ = entry(tmp_path, load(tmp_path / "one.py", DOUBLE))
    feature, _ = cache.load(lambda: Whole(fields), WHOLE)
    np.testing.assert_allclose(feature, expected(representation, fields), rtol=1e-6)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def garble(file: Path) -> None:
    file.write_bytes(b"\x00garbled" + file.read_bytes()[8:])


def reshape(file: Path) -> None:
    np.save(file, np.zeros((3, 16), np.float32))


def change(file: Path) -> None:
    np.save(file, np.load(file) + 1)


DAMAGE: list[tuple[str, Callable[[Path], Any]]] = [
    ("kept.npz", Path.unlink),
    ("kept.npz", cut),
    ("kept.npz", garble),
    ("feature.npy", Path.unlink),
    ("feature.npy", cut),
    ("feature.npy", garble),
    ("feature.npy", reshape),
    ("feature.npy", change),
    ("proprio.npy", change),
    ("proprio.npy", cut),
    ("shapes.json", cut),
    ("shapes.json", Path.unlink),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_what_a_disk_spoilt_is_named_and_made_again(
    name: str, damage: Callable[[Path], Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    representation, fields = build("random-features")
    made = FeatureCache(tmp_path, "t", "demos", HeadPolicy(representation, Head()), {}, {}, CPU, bf16=False)
    feature, proprio = (np.array(array) for array in made.load(lambda: Whole(fields), WHOLE))
    damage(made.folder / name)
    capfd.readouterr()
    again, there = made.load(lambda: Whole(fields), WHOLE)
    np.testing.assert_array_equal(again, feature)
    np.testing.assert_array_equal(there, proprio)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if str(made.folder) in line]
    assert line.endswith(": made again")


def test_the_key_knows_the_code_that_is_named(tmp_path: Path) -> None:
    policy = HeadPolicy(build("random-features")[0], Head())
    folders = {
        FeatureCache(tmp_path, "t", "demos", policy, {}, named, CPU, bf16=False).folder
        for named in ({"version": 1}, {"version": 2}, {"source": "0" * 64})
    }
    assert len(folders) == 3


def test_the_difference_that_counts_is_relative_to_the_feature() -> None:
    ones = np.ones((2, 3), np.float32)
    assert departure(ones, ones) == 0
    assert departure(1e-3 * ones, 1.01e-3 * ones) == pytest.approx(0.0099, rel=1e-3)
    assert departure(0 * ones, 0 * ones) == 0
    assert departure(ones, np.ones((2, 4))) == departure(ones, np.nan * ones) == float("inf")


@pytest.mark.slow
def test_a_run_after_an_edit_is_a_run_from_nothing(toy_settings: Settings, tmp_path: Path) -> None:
    """The issue's case: `encode` of a frozen method's file is edited between two runs over one data folder."""
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 16)).state_dict(), tmp_path / "toy.pt")
    protocol = dataclasses.replace(
        toy_settings.protocol, name="tiny", epochs=2, evaluate_every=2, rollouts=1, retest_rollouts=1
    )
    settings = dataclasses.replace(toy_settings, protocol=protocol)

    def losses(paths: Paths, encode: str) -> list[float]:
        method = load(tmp_path / "mine.py", encode)
        cell: Cell
        (cell,) = make_cells(settings, ["near"], [method], [0], str(tmp_path / "toy.pt"))
        record, new = run_cell(cell, paths, "test", overwrite=True)
        assert new
        return list(record.training["train_loss"])

    shared = Paths(tmp_path / "out", tmp_path / "data")
    before, after = losses(shared, LINE), losses(shared, ZEROS)
    assert before != after
    assert after == losses(Paths(tmp_path / "fresh", tmp_path / "fresh-data"), ZEROS)
