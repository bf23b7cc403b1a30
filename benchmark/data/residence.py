"""Which training data is held in memory, and which is read from its files batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.data.features import mapped
from benchmark.data.samples import Joined


class Residence:
    """Holds arrays on `device` as long as all of them together have at most `limit` bytes; memory maps that do not fit
    any more stay files, from which a batch takes its rows. The numbers are the same either way.
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
        self.held += array.nbytes
        return torch.from_numpy(np.array(array)).to(self.device)

    def end_to_end(self, parts: Sequence[Tensor]) -> Tensor:
        """Rows of several tasks as one tensor; where some are files, one that only looks like it."""
        if len(parts) == 1:
            return parts[0]
        if any(part.untyped_storage().data_ptr() in self._files for part in parts):
            return Joined(parts)  # type: ignore[return-value]
        return torch.cat(list(parts))
