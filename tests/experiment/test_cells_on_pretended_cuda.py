"""Whole cells on a pretended CUDA device, with real simulators: killed, gone on with, and read from files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import samples
from benchmark.experiment.dry_run import plan
from benchmark.experiment.exported_features import _names, train_from
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.policy import act
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.instructions import Language
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.training.trainer import Trainer
from tests.pretend_cuda import pretend_cuda
from tests.pretend_cuda.operations import Seen

pytestmark = pytest.mark.slow

TOLD = Language("hash", 1, {"near": ("go near", "walk near"), "far": ("go far", "walk far")})
TESTS = Path(__file__).parents[1]
PLANNER = f"{TESTS / 'policy' / 'toy_policy.py'}:Planner"
SEEING = f"{TESTS / 'toy_cameras.py'}:Seeing"
FROZEN, TRAINED = (f"{TESTS / 'toy_pictures.py'}:{name}" for name in ("Frozen", "Trained"))
SEEN = {"cameras": ["front"], "height": 32, "width": 32}
NOT_THE_SAME = ("timings", "provenance", "seal", "retest")


PROTOCOL = {"train_demos": 2, "valid_demos": 1, "horizon": 10, "epochs": 2, "evaluate_every": 1}
PROTOCOL |= {"max_expert_failures": 1000, "rollouts": 1, "retest_rollouts": 1}
DIFFUSION = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "sample_steps": 2}
DIFFUSION |= {"chunk": 4, "execute": 2}
HEADS: dict[str | None, dict[str, Any]] = {"mlp": {}, "diffusion": DIFFUSION, None: {}}


def settings(head: str | None = "mlp", joint: bool = False, **runtime: Any) -> Settings:
    """An experiment on the toy simulator, as small as it gets."""
    runtime |= {"device": "cuda", "workers": 1}
    groups = {"protocol": PROTOCOL, "head": HEADS[head], "runtime": runtime}
    words = [f"{group}.{name}={value}" for group, values in groups.items() for name, value in values.items()]
    suite = Suite("toy-suite", "toy", SEEING, "none", {"easy": ("near", "far")}, SEEN)
    suite = dataclasses.replace(suite, joint=True, language=TOLD) if joint else suite
    return dataclasses.replace(load_settings("metaworld-15", "quick", head, words), suite=suite)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations, which are the same for all."""
    return tmp_path_factory.mktemp("data")


def ran(cell: Any, out: Path, data: Path) -> tuple[Record, Seen]:
    with pretend_cuda() as seen:
        record, new = run_cell(cell, Paths(out, data), "test")
    assert new and not seen.notes
    assert record.provenance["machine"]["device"] == "pretended GPU 0"
    assert record.provenance["machine"]["gpu"]["tf32"] is False
    return record, seen


def facts(record: Record) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(record).items() if name not in NOT_THE_SAME} | {
        "retest": {k: v for k, v in dataclasses.asdict(record.retest).items() if k != "link"}
    }


@pytest.fixture(autouse=True)
def _few_rows_and_switches_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU's switches are of the whole process, and its batches of 32 rows cost a CPU most of the time."""
    monkeypatch.setattr(act, "CUDA_ROWS", 2)
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = cudnn[:2]
    torch.backends.cuda.matmul.allow_tf32 = cudnn[2]


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "trained, joint, told": (TRAINED, {"joint": True}),
    "frozen, kept features, diffusion": (FROZEN, {"head": "diffusion"}),
    "a control, bf16": ("state", {"precision": "bf16"}),
    "a whole policy": (PLANNER, {"head": None}),
}


@pytest.mark.parametrize("case", CASES)
def test_killed_it_ends_with_the_same_record_as_undisturbed(
    case: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, options = CASES[case]
    chosen = settings(**options)
    (cell,) = make_cells(chosen, None if options.get("joint") else ["near"], [method], [0])
    whole, _ = ran(cell, tmp_path / "whole", data)
    real = Trainer.train_epoch

    def stops(self: Trainer, *arguments: Any) -> float:
        if self.epoch == 1:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch, pretend_cuda():
        patch.setattr(Trainer, "train_epoch", stops)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell, Paths(tmp_path / "killed", data), "test")
    again, _ = ran(cell, tmp_path / "killed", data)
    assert facts(again) == facts(whole)
    assert len(again.provenance["attempts"]) == 2


@pytest.mark.parametrize(("method", "joint"), [(TRAINED, True), (FROZEN, False)], ids=["trained", "frozen"])
def test_what_does_not_fit_on_the_gpu_is_read_ahead_from_pinned_memory(
    method: str, joint: bool, data: Path, tmp_path: Path
) -> None:
    """Of the joint policy one task's states and nothing else have room. The record is the same as with room for all."""
    found = []
    for number, limit in enumerate((1e-6, 2.0)):
        chosen = settings(joint=joint, resident_gb=limit)
        (cell,) = make_cells(chosen, None if joint else ["near"], [method], [0])
        record, seen = ran(cell, tmp_path / str(number), data)
        found.append(facts(record))
        assert not [line for line in seen.waits if f"{samples.__file__}:" in line], "no batch waits for the GPU"
        unpinned = [line for line in seen.copies if f"{samples.__file__}:" in line]
        assert bool(unpinned) == (limit == 2.0), "with room for all, indices alone are copied"
    assert found[0] == found[1]


def test_a_dry_run_measures_on_the_gpu(data: Path, tmp_path: Path) -> None:
    """With a simulator that is a file."""
    cells = make_cells(settings(), ["near"], [TRAINED, FROZEN], [0])
    with pretend_cuda() as seen:
        planned = plan(cells, Paths(tmp_path, data))
    assert planned["missing"] == 2 and planned["estimate"]["seconds"]["training"] >= 0
    assert seen.launches["_fused_adam_"] >= 2 * 2 * 3, "of two methods two epochs of three steps or more"


def test_exported_features_are_trained_on_with_clipped_targets(data: Path, tmp_path: Path) -> None:
    (cell,) = make_cells(settings(), ["near"], [FROZEN], [0])
    clipped = dataclasses.replace(cell.settings.protocol, clip_actions=True)
    cell = dataclasses.replace(cell, settings=dataclasses.replace(cell.settings, protocol=clipped))
    draw = np.random.default_rng(0)
    shapes = {"feature": (30, 64), "proprio": (30, 2), "actions": (30, 2)}
    arrays = {name: draw.normal(size=shape).astype(np.float32) * 3 for name, shape in shapes.items()}
    said = {"steps": 10, "train_episodes": 2, "demo_hash": "0" * 64, "names": _names(cell)}
    with pretend_cuda():
        written = train_from(cell, said, arrays, Paths(tmp_path, data))
    assert [path.name for path in written] == ["epoch-0001.pt", "epoch-0002.pt"]
