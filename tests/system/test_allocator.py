"""A tensor's memory is not the kernel's again between two steps, unless a user has said how memory is allocated."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

CODE = """
import resource, benchmark, numpy as np
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(getattr(ctypes.CDLL(None), "mallopt", None) is None, reason="the C library is not glibc")
@pytest.mark.parametrize(("own", "kept"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False)])
def test_what_is_dropped_is_kept_for_the_next(own: dict[str, str], kept: bool) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | own
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=env)
    assert (int(done.stdout) < 10) is kept, "faults of pages while 64 MB are filled once more"
