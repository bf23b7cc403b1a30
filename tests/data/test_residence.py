"""What does not fit into `runtime.resident_gb` is read from its files: the same numbers, and bounded memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.residence import Residence
from benchmark.data.samples import Joined
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.settings.instructions import Language
from benchmark.settings.settings import Settings

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TOLD = Language("hash", 1, {"near": ("go near", "walk near"), "far": ("go far", "walk far")})


def memory_map(folder: Path, name: str, rows: int) -> np.ndarray:
    array = np.random.default_rng(len(name)).random((rows, 8)).astype(np.float32)
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def test_the_smallest_find_room_first_and_rows_are_the_same(tmp_path: Path) -> None:
    fields = {"large": memory_map(tmp_path, "large", 100), "small": memory_map(tmp_path, "small", 3)}
    residence = Residence(200, CPU)
    placed = residence.place(fields)
    assert list(placed) == ["large", "small"] and residence.held == fields["small"].nbytes
    for name, tensor in placed.items():
        np.testing.assert_array_equal(tensor.numpy(), fields[name])
    joined = residence.end_to_end([placed["large"][10:20], placed["small"]])
    assert isinstance(joined, Joined)
    rows = torch.tensor([[0, 12], [9, 10]])
    whole = np.concatenate([fields["large"][10:20], fields["small"]])
    np.testing.assert_array_equal(joined[rows].numpy(), whole[rows.numpy()])
    assert isinstance(Residence(1e9, CPU).end_to_end([placed["small"], placed["small"]]), torch.Tensor)


@pytest.mark.parametrize(("method", "joint"), [("dp3", True), ("random-features", False)])
def test_training_from_files_is_training_from_memory(
    method: str, joint: bool, toy_settings: Settings, tmp_path: Path
) -> None:
    """One that is trained on observations, and one on kept features; one task, and several of a joint policy."""
    found: list[dict[str, Any]] = []
    short = dataclasses.replace(
        toy_settings.protocol, name="tiny", epochs=2, evaluate_every=2, rollouts=2, retest_rollouts=2
    )
    for limit in (0.0, 2.0):
        runtime = dataclasses.replace(toy_settings.runtime, resident_gb=limit)
        suite = dataclasses.replace(toy_settings.suite, joint=True, language=TOLD) if joint else toy_settings.suite
        settings = dataclasses.replace(toy_settings, runtime=runtime, suite=suite, protocol=short)
        (cell,) = make_cells(settings, None if joint else ["near"], [method], [0])
        record, _ = run_cell(cell, Paths(tmp_path / f"{limit}", tmp_path / "data"), "test")
        found.append(
            {k: v for k, v in dataclasses.asdict(record).items() if k not in ("timings", "provenance", "seal")}
        )
    assert found[0]["retest"].pop("link", None) is not None and found[1]["retest"].pop("link", None) is not None
    assert found[0] == found[1]


PROGRAM = """
import sys
import numpy as np, torch
from benchmark.data.residence import Residence
from benchmark.data.samples import Samples

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1e3

array = np.load(sys.argv[1], mmap_mode="r")
before = anonymous()
inputs = Residence(float(sys.argv[2]), torch.device("cpu")).place({"rgb": array})
samples = Samples(inputs, torch.zeros(len(array), 4), 50)
for rows in torch.randperm(len(array), generator=torch.Generator().manual_seed(0)).split(16):
    samples.batch(rows, torch.device("cpu"))
print(anonymous() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is read")
def test_memory_is_bounded_by_the_setting(tmp_path: Path) -> None:
    """MB that a pass over 300 MB of images takes, by the system's own count."""
    np.save(tmp_path / "rgb.npy", np.ones((2000, 1, 224, 224, 3), np.uint8))
    took = []
    for limit in ("1e7", "1e9"):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "rgb.npy"), limit]
        took.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert took[0] < 60 < 290 < took[1], took
