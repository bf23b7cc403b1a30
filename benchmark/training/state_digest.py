"""One hash for a nested state of tensors and plain data: what a checkpoint holds, whatever its file's bytes are.

torch.save is not promised to write the same bytes twice, and a file's hash beside it can be lost. So a checkpoint
carries the hash of its content inside, and whoever loads it computes the hash again: a flipped byte is noticed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

VERSION = b"state 1"


def state_digest(state: Any) -> str:
    """sha256, in hex, of dicts (keys: str or int), lists, tuples, tensors, str, int, float, bool and None.

    The order of a dict's keys, a tensor's device and its strides do not count; types, shapes, dtypes and every bit of
    every number do (nan included; 0.0 and -0.0 differ). Raises TypeError for anything else, naming where it is.
    sha256, because a digest may also stand in a record, where it has to withstand people, not only disks.
    """
    hashed = hashlib.sha256(VERSION)
    _add(hashed.update, state, "state")
    return hashed.hexdigest()


def _add(update: Callable[[Any], None], value: Any, where: str) -> None:
    """Every part begins with its type and length, so that no two states give the same stream of bytes."""
    if value is None or isinstance(value, bool):
        update(f"{value};".encode())
    elif isinstance(value, Tensor):
        _add_tensor(update, value, where)
    elif isinstance(value, int):
        update(f"int {int(value)};".encode())
    elif isinstance(value, float):
        update(b"float" + struct.pack("<d", value))
    elif isinstance(value, str):
        _add_text(update, value)
    elif isinstance(value, list | tuple):
        update(f"{'list' if isinstance(value, list) else 'tuple'} {len(value)};".encode())
        for number, part in enumerate(value):
            _add(update, part, f"{where}[{number}]")
    elif isinstance(value, dict):
        odd = [key for key in value if isinstance(key, bool) or not isinstance(key, int | str)]
        if odd:
            raise TypeError(f"{where} has the key {odd[0]!r}: a state's keys are str or int")
        update(f"dict {len(value)};".encode())
        for key in sorted(value, key=lambda key: (isinstance(key, str), key)):
            _add(update, key, where)
            _add(update, value[key], f"{where}[{key!r}]")
    else:
        raise TypeError(f"{where} is a {type(value).__name__}: a state holds tensors and plain data only")


def _add_text(update: Callable[[Any], None], text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    update(f"str {len(data)};".encode())
    update(data)


def _add_tensor(update: Callable[[Any], None], tensor: Tensor, where: str) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise TypeError(f"{where} is a tensor without plain memory ({tensor.layout}, {tensor.dtype}, {tensor.device})")
    update(f"tensor {tensor.dtype} {tuple(tensor.shape)};".encode())
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()  # no copy where it is all of this already
    if plain.numel():
        update(plain.reshape(-1).view(torch.uint8).numpy())
