"""Freed memory is kept for the next tensor, where the C library is glibc."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
ALL = 2**31 - 1
SAYS = ("MALLOC_", "GLIBC_TUNABLES")
"""How variables begin by which a user says how memory is allocated."""


def keep_freed_memory() -> None:
    """By itself glibc has the kernel map each tensor of some megabytes anew and takes it back when it is freed, so that
    every step of a training waits for the kernel to clear the same gigabyte of pages. What is freed stays with the
    process from here on; up to 2 GB at the end of its memory, and all that lies below what is in use.
    """
    if any(name.startswith(SAYS) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl and macOS have none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, ALL)
