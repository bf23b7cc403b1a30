"""Which training data is held in memory, and which is read from its files batch by batch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.data.features import mapped
from benchmark.data.samples import Joined


class Residence:
    """Holds arrays on `device` as long as all of them together have at most `limit` bytes. Of what does not fit any
    more, memory maps stay files, and other arrays stay in the CPU's memory; a batch takes its rows from there. The
    numbers are the same either way.
    """

    def __init__(self, limit: float, device: torch.device) -> None:
        self.limit, self.device = limit, device
        self.held = 0
        self._files: set[int] = set()

    def place(self, fields: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Fields (T, ...) as tensors, in their order. The smallest find room first."""
        placed = {name: self._one(fields[name]) for name in sorted(fields, key=lambda name: fields[name].nbytes)}
        return {name: placed[name] for name in fields}

    def _one(self, array: np.ndarray) -> Tensor:
        if isinstance(array, np.memmap) and self.held + array.nbytes > self.limit:
            found = mapped(array)
            self._files.add(found.untyped_storage().data_ptr())
            return found
        return self.hold(torch.from_numpy(np.array(array)))

    def hold(self, tensor: Tensor) -> Tensor:
        """A tensor in the CPU's memory, on the device if there is room."""
        size = tensor.numel() * tensor.element_size()
        if self.device.type != "cpu" and self.held + size > self.limit:
            return tensor
        self.held += size
        return tensor.to(self.device)

    def whole(self, parts: Sequence[np.ndarray]) -> Tensor:
        """Rows of several tasks as one tensor on the CPU, to be read once: beyond the limit a file without a name that
        goes with the tensor, where temporary files are ($TMPDIR).
        """
        if len(parts) == 1:
            return mapped(parts[0])
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        if sum(part.nbytes for part in parts) <= self.limit:
            return torch.from_numpy(np.concatenate(parts))
        with tempfile.TemporaryFile() as file:
            found = np.memmap(file, parts[0].dtype, "w+", shape=shape)
        ends = np.cumsum([len(part) for part in parts])
        for part, end in zip(parts, ends, strict=True):
            found[end - len(part) : end] = part
        return torch.from_numpy(found)

    def end_to_end(self, parts: Sequence[Tensor]) -> Tensor:
        """Rows of several tasks as one tensor; where some are files, one that only looks like it."""
        if len(parts) == 1:
            return parts[0]
        if (
            any(part.untyped_storage().data_ptr() in self._files for part in parts)
            or len({p.device for p in parts}) > 1
        ):
            return Joined(parts)  # type: ignore[return-value]
        return torch.cat(list(parts))
