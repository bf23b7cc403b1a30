"""Pre-training: batches from the disk beside batches that are ready, and the memory of one step."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.data.frames import Frames, Shard
from benchmark.pretrain.objectives import open_objective
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.settings.pretraining import PretrainConfig, load_pretrain
from methods.clar.teacher import RandomTeacher
from methods.objective import Batch, Row

FRAMES, SIZE, POINTS = 512, 224, 1024


@contextmanager
def frames_on_disk(taught: bool) -> Iterator[tuple[Frames, TeacherFeatures | None]]:
    """As many bytes a frame as real ones have, memory-mapped; every frame is a trajectory of its own."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "points": ((POINTS, 3), "float32"),
        "points_valid": ((POINTS,), "bool"),
    }
    if taught:
        shapes |= {
            "rgb": ((1, SIZE, SIZE, 3), "uint8"),
            "depth": ((1, SIZE, SIZE), "float32"),
            "intrinsics": ((1, 3, 3), "float32"),
            "extrinsics": ((1, 4, 4), "float32"),
        }
    with tempfile.TemporaryDirectory() as name:
        folder, fields = Path(name), {}
        for field, (shape, kind) in shapes.items():
            array = np.lib.format.open_memmap(folder / f"{field}.npy", "w+", np.dtype(kind), (FRAMES, *shape))
            if field == "points":
                array[:] = rng.random((FRAMES, *shape), np.float32)
            elif field == "points_valid":
                array[:] = True
            elif field in ("intrinsics", "extrinsics"):
                array[:] = np.eye(shape[-1])
            else:
                array[:] = 1
            array.flush()
            fields[field] = np.load(folder / f"{field}.npy", mmap_mode="r")
        names = tuple(map(str, range(FRAMES)))
        shard = Shard("perf", "perf", ("look",) * FRAMES, fields, names, np.zeros(FRAMES, bool), "perf", "none")
        frames = Frames((shard,), {"perf": 1.0})
        yield frames, TeacherFeatures(frames, RandomTeacher(), folder, torch.device("cpu")) if taught else None


def trainer_for(method: str, config: PretrainConfig, device: torch.device) -> PretrainTrainer:
    torch.manual_seed(0)
    corners = Row({"points": np.eye(2, 3)[None], "points_valid": np.ones((1, 2), bool)}, 0, "look")
    model = open_objective(method, config).build(lambda: [corners], None, lambda line: None)
    return PretrainTrainer(model, config, 1000, device)


def loading(
    method: str, taught: bool, seconds: float, batch: int, device: torch.device, rounds: int = 3
) -> tuple[float, float]:
    """Samples a second with batches read from the disk and with ready ones, in turns; the medians."""
    overrides = [f"batch_size={batch}"] + ([] if taught else ["contrast=false", "local=false"])
    config = load_pretrain(method, overrides)
    trainer = trainer_for(method, config, device)
    with frames_on_disk(taught) as (frames, features):
        loader = Loader(frames, open_objective(method, config), features, batch, 0)
        ready = [batch_ for _, batch_ in zip(range(3), loader.start(0, 3), strict=False)]
        trainer.train_step(ready[0])

        def rate(batches: Iterator[Batch]) -> float:
            start, done = time.perf_counter(), 0
            for one in batches:
                trainer.train_step(one)
                done += 1
                if time.perf_counter() - start > seconds and done >= 3:
                    break
            return done * batch / (time.perf_counter() - start)

        def again() -> Iterator[Batch]:
            while True:
                yield from ready

        ours, floor = [], []
        for _ in range(rounds):
            floor.append(rate(again()))
            stream = loader.start(0, 10**6)
            ours.append(rate(stream))
            stream.close()  # type: ignore[attr-defined]
    return sorted(ours)[rounds // 2], sorted(floor)[rounds // 2]


def memory(method: str, batch: int, taught: bool, device: torch.device) -> float:
    """Megabytes of one step: the GPU's peak, or what a fresh process on the CPU grows by."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.perf.pretraining", method, str(batch), str(int(taught)), str(device)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.strip().splitlines()[-1])


def _one_step(method: str, batch: int, taught: bool, device: torch.device) -> float:
    overrides = [f"batch_size={batch}"] + ([] if taught else ["contrast=false", "local=false"])
    made: Batch = {"points": torch.rand(batch, POINTS, 3), "points_valid": torch.ones(batch, POINTS, dtype=torch.bool)}
    if taught:
        made |= {
            "depth": torch.ones(batch, SIZE, SIZE),
            "intrinsics": torch.eye(3).repeat(batch, 1, 1),
            "extrinsics": torch.eye(4).repeat(batch, 1, 1),
            "image_feature": torch.rand(batch, 512),
            "image_map": torch.rand(batch, 14, 14, 768).half(),
            "text_feature": torch.rand(batch, 512),
            "said": torch.arange(batch),
        }
    before = _kilobytes("VmRSS")
    trainer_for(method, load_pretrain(method, overrides), device).train_step(made)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    """Of this process: VmRSS, what it holds; VmHWM, the most it has held since it began. Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


if __name__ == "__main__":
    from benchmark.settings.catalog import register_baselines

    register_baselines()
    print(_one_step(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", torch.device(sys.argv[4])))
