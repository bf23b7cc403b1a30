"""Records of schema 1: read as what they are today, rewritten, moved to what they are called now."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.make_cells import make_cells
from benchmark.records.gather import MEASURED
from benchmark.records.migrate import upgrade
from benchmark.records.read import BadRecord, read
from benchmark.settings.load import load_settings, show
from benchmark.system.digest import digest

REACH = MEASURED / "clar/metaworld-15/reach/dp3/mlp-s0.json"


def schema_1(path: Path = REACH, **identity: Any) -> dict[str, Any]:
    """A committed record as schema 1 had it. identity: other values of its settings of then."""
    data = json.loads(path.read_text())
    now = data["identity"]
    language = {"language": now["suite"]["language"]} if "language" in now["suite"] else {}
    observed = {k: v for k, v in show("suite", data["suite"])["observation"].items() if k != "crop"}
    gone = ("harness", "migrated", "schema", "env", "suite", "method", "observation")
    was = {key: value for key, value in now.items() if key not in gone} | {
        "schema": 1,
        "env": now["env"]["version"],
        "suite": {"env": "metaworld", "observation": observed} | language,
        "method": {k: v for k, v in now["method"].items() if k not in ("version", "packages")},
        "observation": {k: v for k, v in now["observation"].items() if k != "virtual_cameras"}
        | ({"crop": None} if "crop" in now["observation"] else {}),
    }
    was = copy.deepcopy(was) | identity
    del data["env"], data["migrated"]
    return data | {"schema": 1, "identity": was, "identity_hash": digest(was)}


JOINT = MEASURED / "quick/metaworld-multitask/button-press+reach+lever-pull/dp3+text=hash/mlp-s0.json"


@pytest.mark.parametrize("path", [REACH, JOINT])
def test_it_is_what_the_present_code_would_make(path: Path) -> None:
    found, record = upgrade(schema_1(path)), read(path)
    assert found["identity"] == record.identity and found["identity_hash"] == record.identity_hash
    assert (found["protocol"], found["method"], found["head"]) == (record.protocol, record.method, record.head)


def test_a_diffusion_head_and_older_clar_are_what_their_commands_make_today() -> None:
    settings = load_settings("metaworld-15", "clar", "diffusion", ["method.norm=workspace"])
    (cell,) = make_cells(settings, ["reach"], ["clar-small"], [0], "random")
    now = cell.identity()
    data = schema_1(
        head={k: v for k, v in now["head"].items() if k != "packages"},
        method={
            **{k: v for k, v in now["method"].items() if k not in ("version", "options")},
            "input": {"num_points": 1024, "normalization": "workspace"},
        },
    )
    data |= {"head": "diffusion", "method": "clar-small+weights=random"}
    data["provenance"]["versions"] |= now["head"]["packages"]
    found = upgrade(data)
    assert (
        found["identity"] == now and found["method"] == cell.method_name == "clar-small+norm=workspace+weights=random"
    )


@pytest.mark.parametrize(
    "override",
    ["protocol.epochs=20", "suite.observation.render=fast", "suite.language.held_out=1", "runtime.precision=bf16"],
)
def test_what_was_overridden_is_in_the_name_as_it_is_today(override: str) -> None:
    settings = load_settings("metaworld-multitask", "quick", "mlp", ["suite.language.text=hash", override])
    (cell,) = make_cells(settings, None, ["dp3"], [0])
    now = cell.identity()
    observed = {key: value for key, value in settings.suite.observation.items() if key != "crop"}
    data = schema_1(
        JOINT,
        protocol={**now["protocol"], "name": "quick"},
        precision=now["precision"],
        suite={"env": "metaworld", "observation": observed, "language": now["suite"]["language"]},
    )
    assert upgrade(data)["protocol"] == settings.protocol.name != "quick"


def test_settings_that_were_edited_by_hand_get_no_hash_that_fits() -> None:
    data = schema_1()
    data["identity"]["protocol"]["epochs"] = 7
    found = upgrade(data)
    assert found["identity_hash"] == data["identity_hash"] != digest(found["identity"])


def migrate(*words: str) -> Any:
    return CliRunner().invoke(app, ["migrate", *words])


def put(path: Path, data: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.slow
def test_a_record_moves_to_its_name_of_today_with_what_is_beside_it_and_over_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "clar/metaworld-15/reach"
    data = schema_1(
        method={**schema_1()["identity"]["method"], "name": "clar", "input": {"normalization": "workspace"}}
    )
    data |= {"method": "clar", "card": {**data["card"], "name": "clar"}}
    old, new = put(suite / "clar/mlp-s0.json", data), suite / "clar+norm=workspace/mlp-s0.json"
    old.with_suffix(".actions.npz").write_bytes(b"actions")
    put(new, {"a record": "that was made since"})
    done = migrate(str(tmp_path))
    assert done.exit_code == 1 and "is there already" in done.output and json.loads(old.read_text()) == data
    new.unlink()
    monkeypatch.chdir(suite)  # a path with fewer folders than a record has above it
    assert "would be written" in migrate(".", "--dry-run").output and not new.exists()
    done = migrate(".")
    assert done.exit_code == 0 and read(new).method == "clar+norm=workspace", done.output
    assert new.with_suffix(".actions.npz").read_bytes() == b"actions" and not old.parent.exists()
    assert "0 records written" in migrate(str(tmp_path)).output


@pytest.mark.slow
def test_a_record_that_lies_elsewhere_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """Where it lies is what it is; at the place that its names gave it then, it is moved to that of today."""
    data = schema_1(protocol={**schema_1()["identity"]["protocol"], "learning_rate": 0.0003})
    path = put(tmp_path / "a/b/c/d/e/mine.json", data)
    done = migrate(str(tmp_path))
    assert done.exit_code == 1 and "and lies in b/c/d/e/mine.json" in done.output.replace("\n", " "), done.output
    assert json.loads(path.read_text()) == data
    with pytest.raises(BadRecord, match="it is the record of clar/metaworld-15/reach/dp3/mlp-s0.json"):
        read(path)
    old = put(tmp_path / "records/clar/metaworld-15/reach/dp3/mlp-s0.json", data)
    path.unlink()
    assert migrate(str(tmp_path)).exit_code == 0 and not old.exists()
    new = tmp_path / "records/clar+learning_rate=0.0003/metaworld-15/reach/dp3/mlp-s0.json"
    assert read(new).protocol == "clar+learning_rate=0.0003" and json.loads(new.read_text())["schema"] == 2
