"""Proof that what is called frozen was frozen.

"Frozen" encoders of public code have moved their BatchNorm statistics while every `requires_grad` was off, so the
fingerprint covers buffers as well as parameters.
"""

from __future__ import annotations

import hashlib

from torch import nn


def fingerprint(module: nn.Module) -> str:
    """sha256 over the names, dtypes, shapes and bytes of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict(keep_vars=False).items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}|{array.dtype}|{tuple(array.shape)}|".encode())
        digest.update(array.view(-1).numpy().tobytes())
    return digest.hexdigest()


def count_parameters(module: nn.Module, trained_only: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained_only)
