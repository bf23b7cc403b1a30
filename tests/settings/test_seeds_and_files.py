"""Seeds, configuration, statistics, storage."""

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.report.statistics.intervals import mean_interval, wilson
from benchmark.settings import seeds
from benchmark.settings.load import choices, load_settings
from benchmark.system.errors import ConfigError
from benchmark.system.files import Busy, StorageError, allocate, exclusive, write_atomically, write_json
from envs.registry import UnknownName

# -- seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.text(), st.text(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_purposes_never_share_a_seed(suite: str, task: str, i: int, j: int) -> None:
    found = {seeds.derive(suite, task, purpose, i) % 4 for purpose in seeds.PURPOSES}
    assert found == {0, 1, 2, 3}
    assert seeds.derive(suite, task, "selection", i) != seeds.derive(suite, task, "retest", j)


def test_seeds_are_written_in_stone() -> None:
    """Changing them would silently make every published record irreproducible."""
    assert seeds.derive("metaworld-15", "reach", "demo", 0) == 515764592
    assert seeds.selection_seeds("metaworld-15", "reach", 1, 2) == [435482257, 1108028681]
    assert seeds.retest_seeds("metaworld-15", "hammer", 2) == [1951227618, 1424536542]


def test_evaluations_use_different_episodes() -> None:
    used = [seed for e in range(15) for seed in seeds.selection_seeds("s", "t", e, 25)]
    assert len(set(used)) == 375
    assert not set(used) & set(seeds.retest_seeds("s", "t", 100))
    assert seeds.retest_seeds("s", "t", 100)[:10] == seeds.retest_seeds("s", "t", 10)


# -- configuration --------------------------------------------------------------------------------------------------


def every_two() -> list[tuple[str, str, str]]:
    """Suite, protocol and head: every two choices of two groups, with the third group's default.

    A file fills its own group alone, and what is checked across groups is so between two of them.
    """
    groups = [choices("suite"), choices("protocol"), choices("head")]
    default = ("metaworld-15", "clar", "mlp")
    return [named for named in itertools.product(*groups) if any(a == b for a, b in zip(named, default, strict=True))]


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "protocol", "head"), every_two())
def test_everything_composes(suite: str, protocol: str, head: str) -> None:
    settings = load_settings(suite, protocol, head)
    assert (settings.suite.name, settings.protocol.name, settings.head.name) == (suite, protocol, head)


def test_the_clar_protocol_is_the_papers() -> None:
    p = load_settings("metaworld-15", "clar", "mlp").protocol
    assert (p.epochs, p.evaluate_every, p.rollouts, p.retest_rollouts) == (150, 10, 25, 100)
    assert (p.train_demos, p.valid_demos, p.horizon, p.success) == (25, 5, 200, "any-step")
    assert len(p.evaluation_epochs) == 15
    assert sum([p.rollouts] * len(p.evaluation_epochs)) == 375
    assert dict(load_settings("metaworld-15", "matched", "mlp").protocol.batch_size) == {"2d": 64, "3d": 64}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["protocol.epoch=3"], "no setting 'protocol.epoch'. Did you mean 'protocol.epochs'?"),
        (["epochs"], "not of the form key=value"),
        (["protocol.epochs=many"], "protocol.epochs='many' is not allowed: it must be a whole number"),
        (["protocol.epochs=0"], "must be a whole number, at least 1"),
        (["protocol.epochs=5"], "no checkpoint would ever be evaluated"),
        (["protocol.success=sometimes"], "none of any-step, last-step"),
        (["protocol.learning_rate=-1"], "must be a finite number, more than 0"),
        (["runtime.workers=0"], "a whole number, at least 1 and at most 1,024, or 'auto'"),
        (["runtime.precision=fp8"], "none of fp32, bf16"),
    ],
)
def test_bad_overrides_say_what_is_wrong(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        load_settings("metaworld-15", "clar", "mlp", overrides)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("metaworld-16", "clar", "mlp"), "unknown suite 'metaworld-16'. Did you mean 'metaworld-15'"),
        (("metaworld-15", "clear", "mlp"), "unknown protocol 'clear'. Did you mean 'clar'"),
        (("metaworld-15", "clar", "mpl"), "unknown head 'mpl'. Did you mean 'mlp'"),
    ],
)
def test_unknown_names_say_the_closest(names: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        load_settings(*names)


def test_runtime_does_not_change_the_identity_and_precision_does() -> None:
    def identity(*overrides: str) -> str:
        return json.dumps(load_settings("metaworld-15", "clar", "mlp", list(overrides)).identity(), sort_keys=True)

    assert identity() == identity("runtime.workers=1", "runtime.threads=1", "env.metaworld.python=/x")
    assert identity() != identity("runtime.precision=bf16")
    assert identity() != identity("protocol.epochs=160")


# -- statistics ------------------------------------------------------------------------------------------------------


def test_wilson_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    for k, n, level in ((0, 10, 0.95), (7, 25, 0.95), (25, 25, 0.95), (61, 100, 0.9)):
        interval = binomtest(k, n).proportion_ci(level, method="wilson")
        np.testing.assert_allclose(wilson(k, n, level), interval, rtol=1e-9, atol=1e-15)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(25, 25)[1] == 1.0


@pytest.mark.slow
def test_the_interval_of_a_mean_covers() -> None:
    rates, draw = np.array([0.3, 0.7, 0.9]), np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        low, high = mean_interval([(int(k), 100) for k in draw.binomial(100, rates)])
        covered += low <= rates.mean() <= high
    assert covered >= 52
    assert mean_interval([(8, 10)]) == wilson(8, 10)


# -- storage --------------------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    write_json(target, {"a": [1, 2, 3]})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(target, {"a": float("nan")})

    def broken(file: object) -> None:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_atomically(target, broken)
    assert json.loads(target.read_text()) == {"a": [1, 2, 3]}
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def _hold(path: str, ready: object, release: object) -> None:
    with exclusive(Path(path), "the cell", wait=False):
        ready.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_a_filesystem_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is a file would stay behind after a kill."""

    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.raises(StorageError, match="without flock.*--out or --data"), exclusive(tmp_path / "lock", "x", True):
        pass


@pytest.mark.slow
def test_the_second_process_is_told_who_works(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path / "lock"), ready, release))
    process.start()
    assert ready.wait(30)
    with pytest.raises(Busy, match=f"the cell is being worked on by process {process.pid} on"):
        exclusive(tmp_path / "lock", "the cell", wait=False).__enter__()
    process.kill()  # a dead holder leaves no lock behind
    process.join()
    with exclusive(tmp_path / "lock", "the cell", wait=False):
        pass


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_an_error_that_names_the_mend(full_disk: Path) -> None:
    with pytest.raises(StorageError, match=r"the disk is full: .*Free space there, or choose another place with --out"):
        write_atomically(full_disk / "record.json", lambda file: file.write(os.urandom(2**20)))
    with pytest.raises(StorageError, match="the disk is full"):
        allocate(full_disk / "points.npy", (1000, 1000), "float32")  # writing to this map would kill us with SIGBUS
    write_json(full_disk / "small.json", {"still": "works"})
