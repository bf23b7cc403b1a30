"""Demonstrations and what is rendered from them, on the toy simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.data import collect_demos, kept_episodes, states_on_disk
from benchmark.data.collect_demos import ExpertFails, demo_path, load_or_collect
from benchmark.data.demo_file import load
from benchmark.data.demos import DamagedDemos, Demos
from benchmark.data.observations import load_or_render
from benchmark.data.states_on_disk import StatesOnDisk
from benchmark.settings.settings import Settings
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY

pytestmark = pytest.mark.slow

REQUEST = ObservationRequest(("points", "points_valid", "proprio"), ("front",), num_points=64)


def collect(root: Path, settings: Settings, task: str = "near", workers: int = 2) -> Demos:
    return load_or_collect(root, settings.suite.name, TOY, task, settings.protocol, workers)


def test_the_same_demonstrations_whatever_the_number_of_workers(tmp_path: Path, toy_settings: Settings) -> None:
    one, three = (collect(tmp_path / str(n), toy_settings, workers=n) for n in (1, 3))
    assert one.content_hash == three.content_hash
    assert one.attempts == three.attempts
    assert one.arrays["states"].shape == (5 * 60, 4) and one.episodes.lengths == (60,) * 5


def test_the_file_is_robomimics_and_survives_a_round_trip(tmp_path: Path, toy_settings: Settings) -> None:
    demos = collect(tmp_path, toy_settings)
    path = demo_path(tmp_path, "toy-suite", TOY, "near", toy_settings.protocol)
    assert load(path).content_hash == demos.content_hash
    with h5py.File(path) as file:
        assert file["data"].attrs["total"] == 300
        assert "env_args" in file["data"].attrs
        assert set(file["data/demo_0"]) == {"states", "actions", "rewards", "success", "dones", "obs"}
        assert file["data/demo_0"].attrs["num_samples"] == 60
        assert [name.decode() for name in file["mask/valid"]] == ["demo_4"]
        np.testing.assert_array_equal(file["data/demo_2/actions"][()], demos.of_each("actions")[2])


@pytest.mark.parametrize("damage", ["truncated", "altered", "garbage"])
def test_a_damaged_file_is_named_and_collected_again(
    damage: str, tmp_path: Path, toy_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = collect(tmp_path, toy_settings)
    path = demo_path(tmp_path, "toy-suite", TOY, "near", toy_settings.protocol)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif damage == "garbage":
        path.write_bytes(b"not HDF5")
    else:
        with h5py.File(path, "r+") as file:
            file["data/demo_1/actions"][3, 0] += 1e-3
    with pytest.raises(DamagedDemos, match=f"{path.name} is damaged"):
        load(path)
    after = collect(tmp_path, toy_settings)
    assert after.content_hash == before.content_hash
    printed = "".join(capsys.readouterr().err.split())
    assert f"{path.name}isdamaged" in printed
    assert path.with_suffix(".damaged").exists()


def test_collection_goes_on_where_it_stopped(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = collect(tmp_path / "a", toy_settings)
    real, written = kept_episodes.write_atomically, []

    def stop_after_two(path: Path, write: object) -> None:
        real(path, write)  # type: ignore[arg-type]
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(kept_episodes, "write_atomically", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "b", toy_settings)
    monkeypatch.setattr(kept_episodes, "write_atomically", real)
    jobs: list[int] = []
    real_map = Pool.map

    def count(self: Pool, command: str, work: list) -> object:
        jobs.append(len(work))
        return real_map(self, command, work)

    monkeypatch.setattr(Pool, "map", count)
    assert collect(tmp_path / "b", toy_settings).content_hash == undisturbed.content_hash
    assert jobs == [3], "two of five were there"
    assert not list((tmp_path / "b").rglob("*.partial"))


def test_an_expert_that_keeps_failing_is_an_error(tmp_path: Path, toy_settings: Settings) -> None:
    with pytest.raises(ExpertFails, match="the expert of hopeless failed 6 times in a row"):
        collect(tmp_path, toy_settings, "hopeless")


def test_observations_are_rendered_once_and_keyed_by_content(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    demos = collect(tmp_path, toy_settings)
    with Pool(EnvConfig(TOY, "near", REQUEST), 2) as pool:
        first = load_or_render(tmp_path, demos, REQUEST, pool, "f")
        np.testing.assert_array_equal(first["proprio"], demos.arrays["proprio"])
        monkeypatch.setattr(Pool, "map", None)  # nothing is rendered a second time
        again = load_or_render(tmp_path, demos, REQUEST, pool, "f")
        np.testing.assert_array_equal(first["points"], again["points"])
        monkeypatch.undo()
        for request, fingerprint in ((dataclasses.replace(REQUEST, sampler="exact"), "f"), (REQUEST, "g")):
            load_or_render(tmp_path, demos, request, pool, fingerprint)
    assert len(list((tmp_path / "observations").glob("*/complete.json"))) == 3


def test_rendering_goes_on_where_it_stopped(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    demos = collect(tmp_path, toy_settings)
    real_map, jobs = Pool.map, []

    def stop(self: Pool, command: str, work: Iterable[Any]) -> object:
        work = list(work)
        jobs.append(len(work))
        for number, answer in enumerate(real_map(self, command, work)):
            if len(jobs) == 1 and number == 2:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(Pool, "map", stop)
    with Pool(EnvConfig(TOY, "near", REQUEST), 1) as pool, pytest.raises(KeyboardInterrupt):
        load_or_render(tmp_path, demos, REQUEST, pool, "f")
    with Pool(EnvConfig(TOY, "near", REQUEST), 1) as pool:
        stopped = load_or_render(tmp_path, demos, REQUEST, pool, "f")
        whole = load_or_render(tmp_path / "other", demos, REQUEST, pool, "f")
    assert jobs == [5, 3, 5]
    np.testing.assert_array_equal(stopped["points"], whole["points"])


def test_many_states_stay_on_the_disk(tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same demonstrations, the same frames of them, whole or thinned; and a file that is changed is found out."""
    held = collect(tmp_path / "held", toy_settings)
    monkeypatch.setattr(states_on_disk, "IN_MEMORY", 1000)
    demos = collect(tmp_path / "disk", toy_settings)
    again = collect(tmp_path / "disk", toy_settings)
    for one in (demos, again):
        assert isinstance(one.arrays["states"], StatesOnDisk) and one.content_hash == held.content_hash
        assert one.arrays["states"].shape == held.arrays["states"].shape
        for span in (slice(0, 7), slice(55, 130), slice(295, 300), slice(4, 4)):
            np.testing.assert_array_equal(one.arrays["states"][span], held.arrays["states"][span])
        assert one.every(7).content_hash == held.every(7).content_hash
        np.testing.assert_array_equal(one.every(7).arrays["states"][3:20], held.every(7).arrays["states"][3:20])
    with Pool(EnvConfig(TOY, "near", REQUEST), 1) as pool:
        drawn = [load_or_render(tmp_path / name, one, REQUEST, pool, "f") for name, one in (("a", held), ("b", again))]
    np.testing.assert_array_equal(drawn[0]["points"], drawn[1]["points"])
    (file,) = (tmp_path / "disk").rglob("*.hdf5")
    with h5py.File(file, "r+") as stored:
        stored["data/demo_2/states"][5, 0] += 1
    assert np.isfinite(again.arrays["states"][0:5]).all(), "the other demonstrations are what they were"
    with pytest.raises(DamagedDemos, match="was changed while it was read"):
        again.arrays["states"][125:126]


def test_what_many_demonstrations_take_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first attempt, which is kept; nothing is said where there is little to do, or all is there."""
    monkeypatch.setattr(collect_demos, "WORTH_A_FORECAST", 4)
    said = ["collect", "--suite", "metaworld-15", "--tasks", "near", "--protocol", "quick", "--data", str(tmp_path)]
    suite = tmp_path / "toys.yaml"
    suite.write_text(f"name: toys\ntitle: toys\nenv: {TOY}\nsource: none\ntasks: {{all: [near]}}\n")
    said[2] = str(suite)
    small = ["protocol.horizon=60", "protocol.valid_demos=1", "runtime.workers=2"]
    first = CliRunner().invoke(app, [*said, "--demos", "4", *small])
    assert first.exit_code == 0, first.output
    words = " ".join(first.output.split())
    assert "near: 5 demonstrations to collect, some" in words and "60 steps for the first" in words
    assert "near 5 demonstrations in 5 attempts" in words
    again = CliRunner().invoke(app, [*said, "--demos", "4", *small])
    assert again.exit_code == 0 and "to collect" not in again.output
    few = CliRunner().invoke(app, [*said, "--demos", "2", *small])
    assert few.exit_code == 0 and "to collect" not in few.output
    wrong = CliRunner().invoke(app, [*said, "--demos", "0"])
    assert wrong.exit_code == 2
