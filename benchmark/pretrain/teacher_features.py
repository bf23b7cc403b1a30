"""What a frozen teacher makes of frames and instructions, computed once and kept beside the frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmark.data.array_cache import Parts, Sums, finish, resume, whole
from benchmark.data.cache_places import Places, obtain
from benchmark.data.episodes import equal_pieces
from benchmark.data.sample_inputs import Kept, Unusable, departure, keep, recall
from benchmark.pretrain.data.frames import Frames, Shard
from benchmark.system.files import explain
from benchmark.system.gpu import kind_of_device
from benchmark.system.progress import bar
from methods.objective import Feature, FrozenTeacher

BATCH = 32
FORMAT = 2


class TeacherFeatures:
    """Memory-mapped teacher features of every frame, and of every instruction.

    arrays: for each shard, name -> (n, ...) as the teacher's `outputs` says: under teaching/ in one of the places,
    keyed by the shard and the teacher's weights; it can be deleted at any time. A frame's inputs are kept with them and
    taught again before they are used: what other code made is made again, and what a disk has damaged.
    """

    def __init__(self, frames: Frames, teacher: FrozenTeacher, places: Places, device: torch.device) -> None:
        self.sentences = frames.sentences()
        self.texts = teacher.texts(self.sentences).float().cpu().clone()
        teacher.to(device)
        self.arrays = [_taught(shard, teacher, places, device) for shard in frames.shards]


def _taught(shard: Shard, teacher: FrozenTeacher, places: Places, device: torch.device) -> dict[str, np.ndarray]:
    facts = [FORMAT, shard.key, teacher.identity(), torch.__version__, kind_of_device(device)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def take(folder: Path) -> dict[str, np.ndarray]:
        parts = _parts(shard, teacher, folder)
        arrays = whole(parts, _facts(shard, teacher))
        _check(shard, teacher, folder, arrays, parts.spans(range(parts.count)), device)
        return arrays

    return obtain(
        places,
        f"teaching/{shard.task}-{key}",
        f"teacher's features of {shard.task}",
        take,
        lambda folder: _teach(shard, teacher, folder, device),
    )


def _parts(shard: Shard, teacher: FrozenTeacher, folder: Path) -> Parts:
    given = _outputs(shard, teacher)
    shapes = {name: (len(shard), *feature.shape) for name, feature in given.items()}
    kinds = {name: feature.dtype for name, feature in given.items()}
    return Parts(folder, shapes, kinds, equal_pieces(len(shard), BATCH), f"batch of {BATCH}")


def _outputs(shard: Shard, teacher: FrozenTeacher) -> dict[str, Feature]:
    return teacher.outputs({name: shard.fields[name].shape[1:] for name in teacher.inputs})


def _facts(shard: Shard, teacher: FrozenTeacher) -> dict[str, str]:
    return {"teacher": teacher.identity(), "frames": shard.key}


def _check(
    shard: Shard,
    teacher: FrozenTeacher,
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    done: Collection[slice],
    device: torch.device,
) -> None:
    """Teach the kept frames of the batches that are done again. Raises `Unusable`."""
    kept = recall(folder).within(done)
    # a full batch, because on a GPU the kernel is chosen by its shape
    count = len(kept.rows)
    if not count or any(name not in kept.inputs for name in teacher.inputs):
        raise Unusable("has no kept frame that is whole")
    fill = [number % count for number in range(BATCH if device.type == "cuda" else count)]
    again = teacher.features({name: kept.inputs[name][fill] for name in teacher.inputs}, device)
    given = _outputs(shard, teacher)
    for name, array in arrays.items():
        found = departure(array[list(kept.rows)], again[name][:count])
        if found > given[name].tolerance:
            raise Unusable(f"was made by other code or weights (a kept frame's {name} departs by {found:.1e})")


def _teach(shard: Shard, teacher: FrozenTeacher, folder: Path, device: torch.device) -> dict[str, np.ndarray]:
    inputs = {name: shard.fields[name] for name in teacher.inputs}
    parts, facts, n = _parts(shard, teacher, folder), _facts(shard, teacher), len(shard)

    def check(arrays: Mapping[str, np.ndarray], good: Sums) -> None:
        _check(shard, teacher, folder, arrays, parts.spans(good), device)

    arrays, done = resume(parts, facts, "made again", check)
    if not done:
        keep(folder, Kept.of(inputs, sorted({min(n, BATCH) // 2, n // 2})))
    shown = sum(len(range(n)[parts.span(part)]) for part in done)
    with explain(folder), bar(f"teacher {shard.task}", n, shown) as advance:
        for part in range(parts.count):
            if part not in done:
                rows = {name: np.array(values[parts.span(part)]) for name, values in inputs.items()}
                parts.write(arrays, done, part, teacher.features(rows, device))
                advance(len(range(n)[parts.span(part)]))
    return finish(parts, facts)
