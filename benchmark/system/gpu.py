"""What a number that was computed on a GPU depends on, and the switches that this project sets there.

Nothing here changes what a CPU computes. docs/gpu.md says what of it has run on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

WORKSPACE = ":4096:8"
"""Of cuBLAS: with a workspace of fixed size it chooses the same algorithm for the same shapes in every run (NVIDIA's
cuBLAS documentation, "Results reproducibility")."""


def use_repeatable_kernels() -> None:
    """float32 is computed as float32 (TF32 keeps 10 bits of the mantissa), and kernels whose sums have no fixed order
    are avoided. Where torch has no other kernel it warns and takes that one. To be called before the first kernel.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False  # it chooses by what is fastest in this process
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it


def kind_of_device(device: torch.device) -> str:
    """What decides how the same network rounds: `cpu`, or the GPU's model with its CUDA and cuDNN. In cache keys."""
    if device.type != "cuda":
        return device.type
    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, cuDNN {_cudnn()}"


def gpu_facts(device: torch.device) -> dict[str, Any]:
    """For a record's provenance: versions of driver, CUDA and cuDNN, and the switches as they are. {} on a CPU."""
    if device.type != "cuda":
        return {}
    return {
        "gpu": {
            "driver": _driver(),
            "cuda": torch.version.cuda,
            "cudnn": _cudnn(),
            "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
            "deterministic": torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic,
            "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
    }


def pinned(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The same in memory that a GPU copies from by itself, in a thread that need not be the main one; for a CPU as they
    are. torch keeps the memory until the copy has ended (its caching host allocator).
    """
    if device.type != "cuda":
        return dict(tensors)
    torch.cuda.set_device(device)  # every thread has a current GPU of its own, and it begins with the first
    return {name: value if value.is_cuda else value.pin_memory() for name, value in tensors.items()}


def _cudnn() -> int | None:
    return torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None


def _driver() -> str | None:
    try:
        with open("/sys/module/nvidia/version") as file:
            return file.read().strip()
    except OSError:
        return None
