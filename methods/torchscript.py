"""Tensors out of a TorchScript archive without running it.

OpenAI publishes CLIP as a scripted module: a zip of code, of a pickle that describes objects, and of raw storages.
Loading it as torch does compiles its code; only the tensors are wanted here, so the pickle is read with every class
in it replaced by an empty shell and nothing called but the reconstruction of tensors. Anything else is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from methods.errors import BadWeights

DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
}


class Shell:
    """Stands for any object of the scripted module; holds its attributes."""

    attributes: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = state


def is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by their path in the module tree. Raises `BadWeights`."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
        with archive.open(name) as file:
            root = _Unpickler(file, archive, name.removesuffix("data.pkl")).load()
    found: dict[str, Tensor] = {}
    _walk(root, "", found)
    if not found:
        raise BadWeights(f"{path} is a TorchScript archive without a tensor")
    return found


def _walk(value: Any, path: str, found: dict[str, Tensor]) -> None:
    if isinstance(value, Tensor):
        found[path] = value
    elif isinstance(value, Shell):
        for name, attribute in value.attributes.items():
            _walk(attribute, f"{path}.{name}" if path else name, found)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(file)
        self.archive, self.prefix = archive, prefix

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return Shell
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "restore_type_tag"): _untagged,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) not in allowed:
            raise BadWeights(f"the archive asks for {module}.{name}, which is no tensor: refused")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, count = pid
        for folder in ("data/", "tensors/", ""):
            name = f"{self.prefix}{folder}{key}"
            if name in self.archive.NameToInfo:
                return torch.frombuffer(bytearray(self.archive.read(name)), dtype=dtype, count=count)
        raise BadWeights(f"the archive lacks the storage {key}: is the file whole?")


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _untagged(value: Any, _: Any) -> Any:
    return value
