"""Every operation of torch, those of backward and of the optimiser included, held against CUDA's rule of one device."""

from __future__ import annotations

import collections
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.pretend_cuda.device import ANY, CPU, Machine, mark, tensors_in, where

aten = torch.ops.aten
COPIES = {aten.copy_, aten._to_copy, aten._foreach_copy_, aten.set_}
"""They read from any device."""
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
NUMBERS = {aten.where, aten.masked_fill, aten.masked_fill_, aten.fill_}
"""Beside the pointwise operations, those that take a CPU tensor without dimensions for a number."""
VIEWS = {aten.detach.default, aten.view.default, aten.view.dtype, aten.t.default, aten.transpose.int}
"""The most frequent operations that only look at one storage, which has its device already."""
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten._unique2, aten.bincount, aten.masked_select}
"""The host waits for the GPU to know their result, or its size."""
HERE = str(Path(__file__).parent)


class Seen(TorchDispatchMode):
    """What happened on the pretended GPU. launches: operations by name; waits: lines at which the host waited; copies:
    lines at which data went to the GPU from memory that is not pinned; notes: what is no error and surely not meant.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self.launches: collections.Counter[str] = collections.Counter()
        self.waits: collections.Counter[str] = collections.Counter()
        self.copies: collections.Counter[str] = collections.Counter()
        self.notes: collections.Counter[str] = collections.Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # half of the cost of an operation

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in VIEWS:
            return func(*args, **kwargs)
        device = common_device(func, [*tensors_in(args), *tensors_in(tuple(kwargs.values()))], args)
        if device.type == "cuda":
            self.launches[func.overloadpacket.__name__] += 1
            if func.overloadpacket in WAITS:
                self.waits[line()] += 1
        if "cuda" in str(kwargs.get("device")):  # made inside torch
            device, kwargs = self.machine.parse(kwargs["device"]), {**kwargs, "device": CPU}
        return mark(func(*args, **kwargs), device, fresh=True)


def common_device(func: Any, tensors: Sequence[Tensor], args: Sequence[Any]) -> torch.device:
    """Where the result will be. Raises RuntimeError where CUDA would."""
    packet = func.overloadpacket
    found = {where(tensor) for tensor in tensors} - {ANY}
    if packet in COPIES and isinstance(args[0], Tensor):
        return where(args[0])
    if packet in COPIES or not found:
        return next(iter(found), ANY)
    if len(found) > 1:
        found = {where(tensor) for tensor in bound(func, tensors, args)} - {ANY}
        if len(found) != 1 or found == {CPU}:
            shown = ", ".join(f"{tuple(tensor.shape)} on {where(tensor)}" for tensor in tensors)
            raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got {shown}")
    (device,) = found
    for tensor in tensors:
        if where(tensor) is ANY:
            mark(tensor, device)
    return device


def bound(func: Any, tensors: Sequence[Tensor], args: Sequence[Any]) -> list[Tensor]:
    """The operands that have to be on one device."""
    packet = func.overloadpacket
    if packet in INDEXING:  # indices may be on the CPU, and so may one value
        on_gpu = [tensor for tensor in tensors_in(args[1]) if where(tensor) != CPU]
        return [args[0], *on_gpu, *(tensor for tensor in args[2:3] if tensor.dim())]
    if torch.Tag.pointwise in func.tags or packet in NUMBERS:
        chosen = [tensor for tensor in tensors if tensor.dim()] or [t for t in tensors if where(t) != CPU]
        return chosen + list(tensors[:1] if func._schema.name.endswith("_") else ())
    return list(tensors)


def line() -> str:
    """The line of this project that is running, as FILE:NUMBER."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and (frame.f_code.co_filename.startswith(HERE) or "/lib/" in frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"
