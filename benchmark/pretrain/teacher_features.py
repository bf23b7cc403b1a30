"""What the teacher makes of the pictures and instructions, computed once and kept beside the frames."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from benchmark.data.kept import Unusable, departure, keep, recall, stored
from benchmark.pretrain.frames import Frames, Shard
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from methods.clar.teacher import Teacher

BATCH = 32
FORMAT = 2
KINDS = {"image_feature": "float32", "image_map": "float16"}
SAME = {"float32": 1e-4, "float16": 2e-3}
"""The largest difference, relative to the largest value, of a picture taught again by the same code."""


class TeacherFeatures:
    """Memory-mapped teacher features of every frame and camera, and of every instruction.

    For each shard `image_feature` (n, V, dim) float32 and `image_map` (n, V, h, w, map_dim) float16, 300 kB a frame:
    under root/teaching, keyed by the shard and the teacher's weights; it can be deleted at any time. A frame's
    pictures are kept with them and taught again before they are used: what other code made is made again.
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
        if any((folder / name).exists() for name in ("done.json", "complete.json")):
            try:
                _check(shard, teacher, folder, device)
            except Unusable as reason:
                say(f"{folder} {reason}: made again")
                discard(folder)
        if not (folder / "complete.json").exists():
            _teach(shard, teacher, folder, device)
        return _arrays(shard, teacher, folder)


def _shapes(shard: Shard, teacher: Teacher) -> dict[str, tuple[int, ...]]:
    n, cameras = shard.fields["rgb"].shape[:2]
    return {
        "image_feature": (n, cameras, teacher.dim),
        "image_map": (n, cameras, teacher.cells, teacher.cells, teacher.map_dim),
    }


def _arrays(shard: Shard, teacher: Teacher, folder: Path, mode: str = "r") -> dict[str, np.ndarray]:
    return {n: stored(folder, n, shape, KINDS[n], mode) for n, shape in _shapes(shard, teacher).items()}


def _done(folder: Path) -> int:
    """Frames that are taught."""
    file = folder / "done.json"
    try:
        return int(json.loads(file.read_text())) if file.exists() else 0
    except (ValueError, TypeError) as error:
        raise Unusable("has a damaged done.json") from error


def _check(shard: Shard, teacher: Teacher, folder: Path, device: torch.device) -> None:
    """Teach the kept frames again, of what is there, whole or begun. Raises `Unusable`."""
    arrays = _arrays(shard, teacher, folder)
    done = len(shard.fields["rgb"]) if (folder / "complete.json").exists() else _done(folder)
    kept = recall(folder).upto(done)
    # a full batch, because on a GPU the kernel is chosen by its shape
    count = len(kept.rows)
    fill = [number % count for number in range(BATCH if device.type == "cuda" else count)]
    again = _taught_rows(teacher, kept.inputs["rgb"][fill], device)
    for name, array in arrays.items():
        found = departure(array[list(kept.rows)], again[name][:count])
        if found > SAME[KINDS[name]]:
            raise Unusable(f"was made by other code or weights (a kept picture's {name} departs by {found:.1e})")


def _taught_rows(teacher: Teacher, pictures: np.ndarray, device: torch.device) -> dict[str, np.ndarray]:
    """Of pictures (n, V, H, W, 3): each array's rows (n, V, ...)."""
    found = teacher.images(torch.from_numpy(pictures).flatten(0, 1).to(device))
    return {
        name: values.cpu().numpy().astype(kind).reshape(*pictures.shape[:2], *values.shape[1:])
        for (name, kind), values in zip(KINDS.items(), found, strict=True)
    }


def _teach(shard: Shard, teacher: Teacher, folder: Path, device: torch.device) -> None:
    pictures = shard.fields["rgb"]
    n, done = len(pictures), _done(folder)
    if not done:
        discard(folder)
        for name, shape in _shapes(shard, teacher).items():
            allocate(folder / f"{name}.npy", shape, KINDS[name])
        keep(folder, {"rgb": pictures}, sorted({min(n, BATCH) // 2, n // 2}))
    arrays = _arrays(shard, teacher, folder, "r+")
    with explain(folder), bar(f"teacher {shard.task}", n, done) as advance:
        for first in range(done, n, BATCH):
            rows = slice(first, min(first + BATCH, n))
            for name, values in _taught_rows(teacher, np.array(pictures[rows]), device).items():
                arrays[name][rows] = values
                arrays[name].flush()  # type: ignore[attr-defined]
            write_json(folder / "done.json", rows.stop)
            advance(rows.stop - rows.start)
    write_json(folder / "complete.json", {"teacher": teacher.identity(), "frames": shard.key})
