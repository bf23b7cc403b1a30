"""What the teacher makes of the pictures and instructions, computed once and kept beside the frames."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from benchmark.pretrain.frames import Frames, Shard
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from methods.clar.teacher import Teacher

BATCH = 32
FORMAT = 1


class TeacherFeatures:
    """Memory-mapped teacher features of every frame and camera, and of every instruction.

    For each shard `image_feature` (n, V, dim) float32 and `image_map` (n, V, h, w, map_dim) float16, 300 kB a frame:
    under root/teaching, keyed by the shard and the teacher's weights; it can be deleted at any time.
    """

    def __init__(self, frames: Frames, teacher: Teacher, root: Path, device: torch.device) -> None:
        self.dim, self.map_dim = teacher.dim, teacher.map_dim
        self.sentences = sorted({sentence for shard in frames.shards for sentence in shard.instructions})
        self._numbers = {sentence: number for number, sentence in enumerate(self.sentences)}
        self.texts = teacher.texts(self.sentences).float().cpu().clone()
        teacher.to(device)
        self.images = [_taught(shard, teacher, root, device) for shard in frames.shards]

    def said(self, sentence: str) -> int:
        return self._numbers[sentence]


def _taught(shard: Shard, teacher: Teacher, root: Path, device: torch.device) -> dict[str, np.ndarray]:
    facts = [FORMAT, shard.key, teacher.identity(), torch.__version__, device.type]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = root / "teaching" / f"{shard.task}-{key}"
    with exclusive(folder.with_suffix(".lock"), f"teacher's features of {shard.task}", wait=True, notify=say):
        if not (folder / "complete.json").exists():
            _teach(shard, teacher, folder, device)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image_feature", "image_map")}


def _teach(shard: Shard, teacher: Teacher, folder: Path, device: torch.device) -> None:
    pictures = shard.fields["rgb"]
    n, cameras = pictures.shape[:2]
    shapes = {
        "image_feature": ((n, cameras, teacher.dim), "float32"),
        "image_map": ((n, cameras, teacher.cells, teacher.cells, teacher.map_dim), "float16"),
    }
    done_file = folder / "done.json"
    done: int = json.loads(done_file.read_text()) if done_file.exists() else 0
    if not done:
        discard(folder)
        for name, (shape, kind) in shapes.items():
            allocate(folder / f"{name}.npy", shape, kind)
    arrays = {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+") for name in shapes}
    with explain(folder), bar(f"teacher {shard.task}", n, done) as advance:
        for first in range(done, n, BATCH):
            rows = slice(first, min(first + BATCH, n))
            rgb = torch.from_numpy(np.array(pictures[rows])).flatten(0, 1).to(device)
            for name, values in zip(shapes, teacher.images(rgb), strict=True):
                shape, kind = shapes[name]
                arrays[name][rows] = values.cpu().numpy().astype(kind).reshape(-1, *shape[1:])
                arrays[name].flush()
            write_json(done_file, rows.stop)
            advance(rows.stop - rows.start)
    write_json(folder / "complete.json", {"teacher": teacher.identity(), "frames": shard.key})
