"""Demonstrations and records go to a hub in this process and come back; what does not hold does not."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from benchmark.cli.main import app
from benchmark.experiment.exported_demos import export_demos
from benchmark.records.actions import write_actions
from benchmark.records.hub.contents import kind_of, travels
from benchmark.records.paths import Paths
from benchmark.records.read import read_all
from benchmark.settings.settings import Settings
from tests.records.hub_here import Hub, hub_here

MEASURED = Path(__file__).parents[2] / "results/measured/clar/metaworld-15/reach"
MISSING = [name for name in ("huggingface_hub", "pyarrow") if importlib.util.find_spec(name) is None]
needs_client = pytest.mark.skipif(
    "huggingface_hub" in MISSING, reason="no huggingface_hub: pip install 'repbench[hub]' has it"
)
needs_packages = pytest.mark.skipif(bool(MISSING), reason=f"no {' and '.join(MISSING)}: 'repbench[hub]' has them")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT, with three of this project's own records and something that is none."""
    out = tmp_path_factory.mktemp("out")
    for method in ("state", "dp3", "proprio-only"):
        shutil.copytree(MEASURED / method, out / "records/clar/metaworld-15/reach" / method)
    (out / "work").mkdir()
    (out / "work/epoch.json").write_text("{}")
    return out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, toy_settings_once: Settings) -> Path:
    out = tmp_path_factory.mktemp("demos")
    few = dataclasses.replace(toy_settings_once.protocol, train_demos=1, valid_demos=1)
    settings = dataclasses.replace(toy_settings_once, protocol=few)
    return export_demos(settings, ["near"], Paths(out, out / "data"), out / "set", 10).folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with hub_here() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        _know_the_endpoint(monkeypatch, found.address)
        yield found


def _know_the_endpoint(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A client that another test has imported has read $HF_ENDPOINT already, and takes no other address for a Hub's."""
    from huggingface_hub.hf_api import RepoUrl

    real = RepoUrl.__init__

    def told(self: Any, url: Any, endpoint: str | None = None) -> None:
        real(self, url, endpoint or address)

    monkeypatch.setattr(RepoUrl, "__init__", told)


def bench(*words: object) -> Result:
    return CliRunner().invoke(app, ["hub", *map(str, words)])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@needs_packages
def test_a_data_set_comes_back_as_it_was(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    done = bench("push", dataset, "me/toy")
    assert done.exit_code == 0, done.stderr
    assert "2 episodes, 120 frames" in done.stdout and set(hub.files["me/toy"]) == set(tree(dataset))
    assert hub.tags == {"me/toy": ["v3.0"]}, "lerobot looks for this tag"
    hub.files["me/toy"]["run.py"] = b"raise SystemExit('run')"
    done = bench("pull", "me/toy", "--to", tmp_path / "back")
    assert done.exit_code == 0, done.stderr
    assert "left out: run.py" in done.stderr and tree(tmp_path / "back") == tree(dataset)
    assert not list(tmp_path.glob(".back*"))


@pytest.mark.slow
@needs_client
def test_records_come_back_and_are_read(hub: Hub, records: Path, tmp_path: Path) -> None:
    assert bench("push", records, "me/records").exit_code == 0
    assert "README.md" in hub.files["me/records"] and not any("work" in name for name in hub.files["me/records"])
    done = bench("pull", "me/records", "--to", tmp_path / "back")
    assert done.exit_code == 0 and "3 records" in done.stdout, done.stderr
    assert tree(tmp_path / "back") == tree(records / "records")
    assert len(list(read_all([tmp_path / "back"]))) == 3


@pytest.mark.slow
@needs_client
def test_a_forged_record_is_not_kept(hub: Hub, records: Path, tmp_path: Path) -> None:
    bench("push", records, "me/records")
    names = [name for name in hub.files["me/records"] if name.endswith(".json")]
    changed = json.loads(hub.files["me/records"][names[0]])
    changed["retest"]["tally"]["k"] += 1
    hub.files["me/records"][names[0]] = json.dumps(changed).encode()
    done = bench("pull", "me/records", "--to", tmp_path / "back")
    assert done.exit_code == 1 and "2 records," in done.stdout
    assert f"not kept: {names[0]}" in done.stderr and "Traceback" not in done.stderr
    kept = {f"records/{name}" for name in tree(tmp_path / "back") if name.endswith(".json")}
    assert kept == set(names[1:])
    assert not [name for name in tree(tmp_path / "back") if name.startswith(names[0].split("/", 1)[1][:-5])]


@pytest.mark.slow
@needs_client
def test_actions_that_are_not_the_records_do_not_travel(hub: Hub, file: Path, tmp_path: Path) -> None:
    assert bench("push", tmp_path, "me/records").exit_code == 0
    (name,) = [name for name in hub.files["me/records"] if name.endswith("s0.actions.npz")]
    with np.load(file.with_suffix(".actions.npz")) as stored:
        other = {seed: stored[seed] + np.float32(0.01) for seed in stored.files}
    write_actions(file.with_suffix(".actions.npz"), other)
    hub.files["me/records"][name] = file.with_suffix(".actions.npz").read_bytes()
    done = bench("pull", "me/records", "--to", tmp_path / "back")
    assert done.exit_code == 2 and "not the actions that were sent" in done.stderr and not (tmp_path / "back").exists()
    done = bench("push", tmp_path, "me/other")
    assert done.exit_code == 2 and "not the actions that were sent" in done.stderr and "me/other" not in hub.files


@needs_packages
def test_half_a_data_set_is_not_kept(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    bench("push", dataset, "me/toy")
    del hub.files["me/toy"]["data/chunk-000/file-000.parquet"]
    done = bench("pull", "me/toy", "--to", tmp_path / "back")
    assert done.exit_code == 2 and "not kept" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".back*"))


@needs_packages
def test_a_data_set_is_not_mixed_with_another(hub: Hub, dataset: Path) -> None:
    hub.files["me/toy"] = {"videos/old.mp4": b"", "README.md": b"old", ".gitattributes": b""}
    done = bench("push", dataset, "me/toy")
    assert done.exit_code == 2 and "videos/old.mp4" in done.stderr and "--replace" in done.stderr
    assert hub.files["me/toy"]["README.md"] == b"old"
    assert bench("push", dataset, "me/toy", "--replace").exit_code == 0
    assert set(hub.files["me/toy"]) == {*tree(dataset), ".gitattributes"}


@pytest.mark.slow
@needs_client
def test_a_dry_run_sends_nothing(hub: Hub, records: Path, tmp_path: Path) -> None:
    done = bench("push", records, "me/records", "--dry-run")
    assert done.exit_code == 0 and "bytes in 9 files" in done.stdout and hub.asked == []
    bench("push", records, "me/records")
    before = len(hub.asked)
    done = bench("pull", "me/records", "--to", tmp_path / "back", "--dry-run")
    assert done.exit_code == 0 and "bytes in 9 files" in done.stdout and not (tmp_path / "back").exists()
    assert [one.split()[0] for one in hub.asked[before:]] == ["GET"]


@pytest.mark.slow
@needs_client
def test_what_goes_wrong_is_one_line(hub: Hub, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    hub.files["me/empty"] = {"run.py": b""}
    cases = [
        (["push", tmp_path / "empty", "me/x"], "no meta/info.json"),
        (["push", tmp_path / "absent", "me/x"], "is no folder"),
        (["pull", "me/none", "--to", tmp_path / "x"], "no data set me/none"),
        (["pull", "me/empty", "--to", tmp_path / "x"], "neither a LeRobot data set"),
        (["pull", "a/b/c", "--to", tmp_path / "x"], "give OWNER/NAME"),
        (["push", records, "me/records"], ""),
        (["pull", "me/records", "--to", tmp_path / "empty"], "is there already"),
    ]
    _hold(cases)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    _hold([(["push", records, "me/records"], "401")])
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    _hold([(["push", records, "me/records"], "without a token")])
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits between its attempts
    _hold([(["pull", "me/records", "--to", tmp_path / "x"], "cannot be reached")])
    assert not (tmp_path / "x").exists()


def _hold(cases: list[tuple[list[object], str]]) -> None:
    for words, said in cases:
        done = bench(*words)
        assert done.exit_code == (2 if said else 0), (words, done.stderr)
        assert said in done.stderr and (not said or len(done.stderr.strip().splitlines()) == 1), (words, done.stderr)


def test_only_data_travels() -> None:
    assert travels("lerobot", "meta/info.json") and travels("lerobot", "videos/observation.images.a/c/f.mp4")
    for name in (
        "../meta/info.json",
        "/meta/a.json",
        "meta/../a.json",
        "meta\\a.json",
        "meta/.a.json",
        "data/a.py",
        "a.mp4",
    ):
        assert not travels("lerobot", name), name
    assert travels("records", "records/clar/s/t/m/mlp-s0.json") and not travels("records", "records/clar/s/t/m/x.py")
    assert not travels("records", "records/../s/t/m/mlp-s0.json") and not travels("records", "x/clar/s/t/m/mlp-s0.json")
    assert kind_of(["a.py"]) is None and kind_of(["meta/info.json", "a.py"]) == "lerobot"
