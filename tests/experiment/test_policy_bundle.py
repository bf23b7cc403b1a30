"""A policy as a folder: it acts to the bit as it did, and nothing that was changed in it is loaded."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.experiment.cell import Cell
from benchmark.experiment.finished_cell import CheckpointGone
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import FACTS, TENSORS, BadBundle, export_policy, load_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.records.actions import read_actions, retest_actions
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.instructions import Language
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from envs.errors import SpecMismatch
from envs.spec import ObservationRequest
from tests.conftest import TOY
from tests.experiment.test_probe import FROZEN
from tests.experiment.test_probe import method as own_method
from tests.settings.test_user_files import PROTOCOL, SUITE
from tests.test_cli import here
from tests.toy_env import Toy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DIFFUSION = [
    "head.width=16",
    "head.heads=2",
    "head.encoder_layers=1",
    "head.decoder_layers=1",
    "head.chunk=4",
    "head.execute=2",
    "head.lead=0",
    "head.train_steps=10",
    "head.sample_steps=2",
]
ELSEWHERE = """
import json, sys
import numpy as np
sys.path.insert(0, {root!r})
from benchmark.experiment.policy_bundle import load_policy
from envs.spec import ObservationRequest
from tests.toy_env import Toy
policy = load_policy("bundle", run_its_code=True)
env = Toy({task!r}, ObservationRequest(fields=tuple(policy.observation), num_points={points}))
sent = []
observation = env.reset({seed})
policy.reset(seed={seed}, **{told!r})
for _ in range({steps}):
    sent.append(policy.act(observation))
    observation = env.step(sent[-1]).observation
np.save("sent.npy", np.stack(sent))
"""


def made(settings: Settings, method: str, folder: Path) -> tuple[Cell, Paths, Record]:
    (cell,) = make_cells(settings, ["near"], [method], [0])
    paths = Paths(folder / "runs", folder / "data")
    return cell, paths, run_cell(cell, paths, "x")[0]


def checkpoint(cell: Cell, paths: Paths, record: Record) -> Path:
    return cell.work(paths) / f"epoch-{record.selected_epoch:04d}.pt"


def sent_elsewhere(bundle: Path, folder: Path, seed: int, steps: int, points: int = 64, **told: str) -> np.ndarray:
    """The actions that another process sends, in whose folder nothing is but the bundle."""
    folder.mkdir()
    bundle.rename(folder / "bundle")
    script = ELSEWHERE.format(root=str(ROOT), seed=seed, steps=steps, points=points, told=told, task="near")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "sent.npy")


@pytest.mark.parametrize("head", ["mlp", "diffusion"])
def test_it_acts_elsewhere_as_it_did(toy_settings: Settings, tmp_path: Path, head: str) -> None:
    chosen = load_settings("metaworld-15", "quick", head, DIFFUSION if head == "diffusion" else []).head
    settings = dataclasses.replace(toy_settings, head=chosen, head_asked=True)
    cell, paths, record = made(settings, "state", tmp_path)
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    for folder in (paths.out, paths.data):
        folder.rename(folder.with_suffix(".gone"))
    seed = record.retest.episodes[0][0]
    assert np.array_equal(sent_elsewhere(bundle, tmp_path / "else", seed, len(kept[str(seed)])), kept[str(seed)])


def test_a_method_of_a_file_travels_as_text_and_is_run_only_where_one_says_so(
    toy_settings: Settings, tmp_path: Path
) -> None:
    cell, paths, record = made(toy_settings, own_method(tmp_path), tmp_path)
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    with pytest.raises(
        BadBundle, match="somebody's file, whose code lies in .*/source: read it, then give run_its_code"
    ):
        load_policy(bundle)
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    seed = record.retest.episodes[0][0]
    points = cell.request.num_points
    assert np.array_equal(
        sent_elsewhere(bundle, tmp_path / "else", seed, len(kept[str(seed)]), points), kept[str(seed)]
    )


def test_a_method_that_hides_what_it_was_fitted_to_is_refused(toy_settings: Settings, tmp_path: Path) -> None:
    hidden = """
    def fit(self, observations):
        self.scale = float(observations["points"].abs().max())

    def encode(self, observations):
        return self.network(observations["points"].mean(1) / getattr(self, "scale", 1.0))
"""
    cell, paths, record = made(toy_settings, own_method(tmp_path, body=hidden), tmp_path)
    with pytest.raises(BadBundle, match="keeps something outside its parameters and buffers; use register_buffer"):
        export_policy(record, cell, paths, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_policy_with_instructions_is_told_one(toy_settings: Settings, tmp_path: Path) -> None:
    texts = {"near": ("go near", "walk near"), "far": ("go far", "walk far")}
    suite = dataclasses.replace(toy_settings.suite, joint=True, language=Language("hash", 1, texts))
    settings = dataclasses.replace(toy_settings, suite=suite)
    (cell,) = make_cells(settings, None, ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    seed = record.retest.episodes[0][0]  # of `near`, the first task in the suite's order
    policy = load_policy(bundle)
    assert policy.instructions is not None and "go near" in policy.instructions.sentences
    env = Toy("near", ObservationRequest(fields=tuple(policy.observation)))
    observation = env.reset(seed)
    with pytest.raises(RuntimeError, match="call reset"):
        policy.act(observation)
    with pytest.raises(RuntimeError, match="give an instruction, such as"):
        policy.reset()
    policy.reset(texts["near"][0], seed)
    assert np.array_equal(policy.act(observation), kept[str(seed)][0])
    policy.reset("words that nobody has said", seed)
    assert policy.act(observation).shape == (2,), "hashed text needs no weights"


def test_a_published_encoder_is_found_in_a_fresh_process(toy_settings: Settings, tmp_path: Path) -> None:
    cell, paths, record = made(toy_settings, "dp3", tmp_path)
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    seed, points = record.retest.episodes[0][0], cell.request.num_points
    assert np.array_equal(
        sent_elsewhere(bundle, tmp_path / "else", seed, len(kept[str(seed)]), points), kept[str(seed)]
    )


def test_a_frozen_random_network_is_the_one_that_was_trained_on(toy_settings: Settings, tmp_path: Path) -> None:
    """No checkpoint holds it: it is drawn again from the cell's seed, and held against the record's fingerprint."""
    cell, paths, record = made(toy_settings, own_method(tmp_path, card=FROZEN), tmp_path)
    torch.manual_seed(99)
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    seed, points = record.retest.episodes[0][0], cell.request.num_points
    assert np.array_equal(
        sent_elsewhere(bundle, tmp_path / "else", seed, len(kept[str(seed)]), points), kept[str(seed)]
    )
    other = dataclasses.replace(record, frozen={**record.frozen, "after": "0" * 64})
    with pytest.raises(BadBundle, match="the frozen network of mine is another here"):
        export_policy(other, cell, paths, tmp_path / "other")


@pytest.fixture(scope="module")
def bundled(toy_settings_once: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, Paths, Record, Path]:
    folder = tmp_path_factory.mktemp("bundled")
    cell, paths, record = made(toy_settings_once, "state", folder)
    return cell, paths, record, export_policy(record, cell, paths, folder / "bundle")


def copied(bundle: Path, to: Path) -> Path:
    to.mkdir()
    for file in bundle.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_an_observation_that_does_not_fit_is_named(bundled: tuple[Cell, Paths, Record, Path]) -> None:
    policy = load_policy(bundled[3])
    good = {"proprio": np.zeros(2, np.float32), "ground_truth": np.zeros(4, np.float32)}
    assert policy.act({**good, "rgb": np.zeros(3)}).dtype == np.float32, "what it does not read may be there"
    with pytest.raises(SpecMismatch, match="the observation lacks ground_truth; it has proprio"):
        policy.act({"proprio": good["proprio"]})
    with pytest.raises(SpecMismatch, match=r"'proprio' should be float32\[2\], but is float64\[2\]"):
        policy.act({**good, "proprio": np.zeros(2)})
    with pytest.raises(SpecMismatch, match=r"but is float32\[1, 4\]"):
        policy.act({**good, "ground_truth": np.zeros((1, 4), np.float32)})
    with pytest.raises(RuntimeError, match="takes no instruction"):
        policy.reset("go")


def test_a_bundle_from_before_actions_had_parts_acts_alike(
    bundled: tuple[Cell, Paths, Record, Path], tmp_path: Path
) -> None:
    bundle = copied(bundled[3], tmp_path / "old")
    facts = json.loads((bundle / FACTS).read_text())
    del facts["action"]["parts"]
    (bundle / FACTS).write_text(json.dumps(facts))
    seen = {"proprio": np.zeros(2, np.float32), "ground_truth": np.ones(4, np.float32)}
    assert np.array_equal(load_policy(bundle).act(seen), load_policy(bundled[3]).act(seen))


def _tensors(bundle: Path) -> None:
    tensors = load_file(bundle / TENSORS)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    save_file(tensors, bundle / TENSORS)


def _facts(**changes: Any) -> Any:
    def change(bundle: Path) -> None:
        facts = json.loads((bundle / FACTS).read_text())
        (bundle / FACTS).write_text(json.dumps({**facts, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_tensors, f"{TENSORS} is missing or is not what the bundle says"),
        (lambda b: (b / TENSORS).unlink(), "is missing or is not"),
        (lambda b: (b / FACTS).unlink(), "is no bundle"),
        (lambda b: (b / FACTS).write_text("{"), "is no bundle"),
        (_facts(format=2), "another format than 1"),
        (_facts(files={}), f"names no {TENSORS}"),
        (_facts(files={TENSORS: 1}), "is missing or is not"),
        (_facts(files={TENSORS: "x", "../../etc/passwd": "x"}), "is missing or is not"),
        (_facts(head={}), "is no bundle that this version can load|head"),
        (_facts(method={"name": "state", "options": {}, "code": {"version": 99}}), "state is other code here"),
        (_facts(method={"name": "EVIL", "options": {}, "code": {"version": 1}}), "no method called .*evil.py:Evil"),
        (
            _facts(method={"name": "mine", "options": {}, "code": {"source": "x"}, "file": "../evil.py", "class": "E"}),
            "somebody's file",
        ),
        (_facts(observation=[]), "is no bundle that this version can load|observes"),
        (_facts(action={}), "is no bundle that this version can load"),
        (_facts(proprio_size=3), "does not fit its policy"),
    ],
)
def test_what_was_changed_is_not_loaded(
    bundled: tuple[Cell, Paths, Record, Path], tmp_path: Path, damage: Any, said: str
) -> None:
    bundle = copied(bundled[3], tmp_path / "copy")
    damage(bundle)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    facts = bundle / FACTS
    if facts.exists():
        facts.write_text(facts.read_text().replace('"EVIL"', json.dumps(f"{tmp_path}/evil.py:Evil")))
    with pytest.raises(ValueError, match=said):
        load_policy(bundle)
    assert not (tmp_path / "ran").exists(), "no code was run"


def test_only_the_retests_own_checkpoint_is_exported(bundled: tuple[Cell, Paths, Record, Path], tmp_path: Path) -> None:
    cell, paths, record, bundle = bundled
    with pytest.raises(BadBundle, match="is there already"):
        export_policy(record, cell, paths, bundle)
    selected = checkpoint(cell, paths, record)
    kept = selected.read_bytes()
    try:
        other = next(e.epoch for e in record.evaluations if e.epoch != record.selected_epoch)
        selected.write_bytes((cell.work(paths) / f"epoch-{other:04d}.pt").read_bytes())
        with pytest.raises(CheckpointGone, match="of other settings or of another epoch"):
            export_policy(record, cell, paths, tmp_path / "new")
        selected.unlink()
        with pytest.raises(CheckpointGone, match="is gone"):
            export_policy(record, cell, paths, tmp_path / "new")
    finally:
        selected.write_bytes(kept)
    with pytest.raises(CheckpointGone, match="the demonstrations here are others"):
        export_policy(dataclasses.replace(record, demo_hash="0" * 64), cell, paths, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [], "nothing half done is left"


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    for group, name, text in (("protocol", "short", PROTOCOL), ("suite", "mine", SUITE)):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(text)
    assert here("run", "--suite", "mine", "--protocol", "short", "--method", "state,proprio-only")[0] == 0
    code, out, err = here("export", "policy", "/state/", "--to", "policy", "--simulator", TOY)
    assert code == 0 and "mine/near/state/mlp-s0, epoch" in out, err
    assert load_policy("policy").act({"proprio": np.zeros(2, np.float32), "ground_truth": np.ones(4, np.float32)}).any()
    for words, said in (
        (("policy", "/state/", "--to", "policy", "--simulator", TOY), "is there already"),
        (("policy", "mlp-s0", "--to", "p2"), "is a part of the path of 2 records"),
        (("policy", "nothing", "--to", "p2"), "no record"),
        (("policy", "/state/", "--to", "p2"), "--simulator"),
        (("policy", "/state/"), "give `bench export policy CELL --to FOLDER`"),
        (("polcy", "/state/", "--to", "p2"), "give `bench export policy CELL --to FOLDER`"),
    ):
        code, _, err = here("export", *words)
        assert code == 2 and said in err and len(err.strip().splitlines()) == 1, (words, err)
    assert here("export", "--to", "records.csv")[0] == 0 and (tmp_path / "records.csv").exists()
