"""Which device a tensor would be on: an attribute of its storage, which views, `detach` and `Parameter.data` share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CPU = torch.device("cpu")
ANY = torch.device("meta")
"""Of what torch makes inside an operation that has no tensor among its operands: it is taken for the device of
whatever it is used with."""
real_device = torch._C.TensorBase.device.__get__  # type: ignore[attr-defined]


class Machine:
    """The GPUs that are pretended, and the one that is current."""

    def __init__(self, gpus: int) -> None:
        self.gpus, self.current = gpus, 0

    def parse(self, device: Any) -> torch.device:
        """As torch understands `device`, with its number. Raises RuntimeError for a GPU that is not there."""
        found = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if found.type != "cuda":
            return found
        index = self.current if found.index is None else found.index
        if index >= self.gpus:
            raise RuntimeError(f"CUDA error: invalid device ordinal ({found}, and there are {self.gpus})")
        return torch.device("cuda", index)


def where(tensor: Tensor) -> torch.device:
    """`ANY` for what is not decided yet; a tensor that is really elsewhere (meta) is there."""
    device = real_device(tensor)
    if device.type != "cpu":
        return device
    return getattr(tensor.untyped_storage(), "pretended", CPU)


def device_of(tensor: Tensor) -> torch.device:
    """What `tensor.device` says while a CUDA device is pretended."""
    found = where(tensor)
    return CPU if found is ANY else found


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Of an operation's operands or results, lists among them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)


def mark(value: Any, device: torch.device, fresh: bool = False) -> Any:
    """`value`, any nest of tensors, now on `device`. fresh: only those that have no device yet."""
    for tensor in tensors_in(value):
        if real_device(tensor).type == "cpu":
            storage = tensor.untyped_storage()
            if not (fresh and hasattr(storage, "pretended")):
                storage.pretended = device  # type: ignore[attr-defined]
    return value


def is_pinned(tensor: Tensor) -> bool:
    return bool(getattr(tensor.untyped_storage(), "pinned", False))
