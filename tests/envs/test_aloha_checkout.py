"""aloha_sim's files: none, other ones, some missing; options; and a clone. No simulator runs here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.settings.load import load_settings
from benchmark.system.doctor_aloha import examine_aloha
from benchmark.system.errors import ConfigError
from benchmark.system.fetch_simulator import CloneFailed, fetch_aloha
from envs.aloha import checkout
from envs.aloha.env import Aloha
from envs.aloha.instructions import CLAMP, INSTRUCTIONS
from envs.aloha.options import Options, options_in, read_options
from envs.aloha.tasks import MOST_OBJECTS, TASKS
from envs.errors import SpecMismatch
from envs.options import BadOption, options_of, set_options, variable
from envs.registry import UnknownName, make
from envs.spec import ObservationRequest
from tests.test_cli import here

FILES = {"aloha_sim/assets/a.xml": b"<mujoco/>\n", "aloha_sim/assets/b/c.obj": b"v 0 0 0\n", "LICENSE": b"Apache\n"}
MESH = next(iter(checkout.REPLACEABLE))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of three files, and the table that says so."""
    monkeypatch.delenv(variable("aloha"), raising=False)
    root = tmp_path / "sim"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    monkeypatch.setenv("REPBENCH_ALOHA", str(root))
    known = {name: checkout.blob_hash(content) for name, content in FILES.items()}
    monkeypatch.setattr(checkout, "table", lambda: known)
    checkout.forget()
    yield root
    checkout.forget()
    set_options("aloha", {})


def with_mesh(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**checkout.table(), MESH: checkout.blob_hash(b"mesh")}
    monkeypatch.setattr(checkout, "table", lambda: known)
    checkout.forget()


def test_the_table_names_files_as_git_does(tmp_path: Path) -> None:
    content = b"some text\n"
    (tmp_path / "file").write_bytes(content)
    said = subprocess.run(["git", "hash-object", "file"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert checkout.blob_hash(content) == said.stdout.strip()
    table = checkout.table()
    assert len(table) > 500 and all(len(blob) == 40 for blob in table.values())
    assert set(checkout.REPLACEABLE) <= set(table) and "LICENSE" in table


def test_a_whole_checkout(small: Path) -> None:
    assert checkout.usable(small, stand_ins=False).replaced == ()
    (finding,) = examine_aloha()
    assert finding.verdict == "ok" and "3 files" in finding.found
    assert f"aloha_sim 3cb9adff ({checkout.examine(small).content})" in Aloha.version


def test_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPBENCH_ALOHA", str(tmp_path / "none"))
    with pytest.raises(checkout.NoCheckout, match="bench fetch aloha.*env.aloha.root=DIR"):
        make("aloha", "drawer-open", ObservationRequest(("proprio",)))
    (finding,) = examine_aloha()
    assert (finding.verdict, finding.mend.split("  ")[0]) == ("fail", "bench fetch aloha")


def test_a_run_without_a_checkout_is_one_line_before_any_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPBENCH_ALOHA", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    words = ["run", "--suite", "aloha-6", "--tasks", "drawer-open,mug-on-plate", "--method", "state,proprio-only"]
    code, _, err = here(*words, "--policy", "chunk-mlp", "--protocol", "clamp-small")
    assert code == 2 and "bench fetch aloha" in err and "FAILED" not in err, err
    assert not (tmp_path / "runs").exists()


def test_another_commit(small: Path) -> None:
    (small / "aloha_sim/assets/a.xml").write_text("<mujoco model='other'/>\n")
    checkout.forget()
    with pytest.raises(
        checkout.NoCheckout, match=r"not aloha_sim at 3cb9adff: aloha_sim/assets/a.xml.*git -C .* checkout"
    ):
        checkout.usable(small, stand_ins=True)
    (finding,) = examine_aloha()
    assert (finding.check, finding.verdict) == ("changed", "fail") and "a.xml" in finding.found


def test_a_missing_mesh_and_its_stand_in(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = checkout.examine(small).content
    with_mesh(small, monkeypatch)
    with pytest.raises(checkout.NoCheckout, match=r"lacks .*cell_extrusions.obj.*env.aloha.stand_ins=true"):
        checkout.usable(small, stand_ins=False)
    assert [one.verdict for one in examine_aloha()] == ["fail"]
    set_options("aloha", {"stand_ins": True})
    assert [one.verdict for one in examine_aloha()] == ["warn"]
    assert "stand-ins for frame" in Aloha.version, "named in every record"
    (small / MESH).parent.mkdir(parents=True)
    (small / MESH).write_bytes(b"mesh")
    checkout.forget()
    assert "stand-ins" not in Aloha.version
    assert checkout.examine(small).content != whole


def test_another_missing_file_has_no_stand_in(small: Path) -> None:
    (small / "LICENSE").unlink()
    checkout.forget()
    with pytest.raises(checkout.NoCheckout, match="lacks LICENSE") as raised:
        checkout.usable(small, stand_ins=True)
    assert "stand_ins" not in str(raised.value)


def test_options_are_named_where_they_matter(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Aloha.version
    said = ["env.aloha.image_delay=0.3", "env.aloha.noise=0.02", "env.aloha.variety=false", f"env.aloha.root={small}"]
    load_settings("aloha-6", "quick", None, said)
    assert read_options() == Options(str(small), False, 0.3, 0.0, False, 0.02)
    assert Aloha.version == plain + ", image_delay=0.3, variety=False, noise=0.02, noise-labels=2"
    assert options_in(Aloha.version) == "env.aloha.image_delay=0.3 env.aloha.variety=false env.aloha.noise=0.02"
    assert options_in(plain) == ""
    load_settings("aloha-6", "quick", None, [])
    assert options_of("aloha") == {} and Aloha.version == plain, "what one command says is not said to the next"
    monkeypatch.setenv(variable("aloha"), json.dumps({"joint_delay": 0.1}))
    assert Aloha.version == plain + ", joint_delay=0.1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"colour": 1}, "colour is no option; there are root, stand_ins"),
        ({"stand_ins": "yes"}, "stand_ins='yes' .* true or false"),
        ({"image_delay": 0.03}, "multiple of 0.02 s"),
        ({"joint_delay": -1}, "a number from 0 to 1"),
        ({"noise": 5.0}, "a number from 0 to 0.1"),
        ({"root": 3}, "the path of a folder"),
    ],
)
def test_bad_options(said: dict[str, object], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("aloha"), json.dumps(said))
    with pytest.raises(BadOption, match=why):
        read_options()


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_options_that_are_no_json_object(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("aloha"), text)
    with pytest.raises(BadOption, match=variable("aloha")):
        read_options()


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_clone_is_whole_or_not_there(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(small, "init", "--quiet")
    git(small, "add", ".")
    git(small, "commit", "--quiet", "-m", "first")
    git(small, "config", "uploadpack.allowAnySHA1InWant", "true")
    monkeypatch.setattr(checkout, "COMMIT", git(small, "rev-parse", "HEAD"))
    target = tmp_path / "deep" / "clone"
    assert fetch_aloha(target, str(small)) == target
    assert checkout.usable(target, stand_ins=False).missing == ()
    assert fetch_aloha(target, "/nowhere") == target, "a whole one is kept"
    (target / "LICENSE").unlink()
    with pytest.raises(ConfigError, match="move it away"):
        fetch_aloha(target, str(small))
    monkeypatch.setattr(checkout, "COMMIT", "0" * 40)
    with pytest.raises(CloneFailed, match="git fetch failed.*no internet"):
        fetch_aloha(tmp_path / "other", str(small))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "sim"], "nothing half is left"


def test_what_the_class_says_is_what_the_tasks_are() -> None:
    assert {name: task.instruction for name, task in TASKS.items()} == INSTRUCTIONS
    assert all(set(task.names) == set(task.props) for task in TASKS.values())
    assert Aloha.specs(ObservationRequest(("ground_truth",)))["ground_truth"].shape == (7 * MOST_OBJECTS + 3,)


def test_what_is_pretrained_on_is_not_evaluated() -> None:
    six, further = (load_settings(name, "quick", "mlp").suite for name in ("aloha-6", "aloha-pretrain"))
    assert set(six.task_names) == set(CLAMP) and not set(six.task_names) & set(further.task_names)
    assert set(six.task_names) | set(further.task_names) == set(Aloha.tasks)
    assert len(set(INSTRUCTIONS.values())) == len(INSTRUCTIONS), "a policy told by its instruction can tell them apart"
    assert (six.rules, six.observation) == (further.rules, further.observation)


def test_requests_that_cannot_be_served() -> None:
    def specs(*cameras: str, fields: tuple[str, ...] = ("rgb",)) -> object:
        return Aloha.specs(ObservationRequest(fields, cameras))

    with pytest.raises(UnknownName, match="front-left"):
        specs("front")
    with pytest.raises(SpecMismatch, match="cannot be shifted around the table"):
        specs("overhead@azimuth=10")
    with pytest.raises(SpecMismatch, match="one place at a time"):
        specs("front-left", "front-left@azimuth=10")
    with pytest.raises(SpecMismatch, match="at least one camera"):
        specs()
    with pytest.raises(SpecMismatch, match="no crop named"):
        Aloha.resolve(ObservationRequest(("points",), ("front-left",), crop="lift3d"))
