"""The kernel picks what the plain loop picks: its text in Triton's interpreter on the CPU, where there is Triton."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from methods import farthest_points_kernel as kernels
from methods.pointops import farthest_points

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import torch
from methods.farthest_points_kernel import sample, trial
from methods.pointops import farthest_points
clouds, count, start = trial()
assert torch.equal(sample(clouds, count, start), farthest_points(clouds, count, start))
assert torch.equal(sample(clouds[:1, :33], 33), farthest_points(clouds[:1, :33], 33))
print("the same picks")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the package triton is not installed")
def test_its_text_picks_what_the_loop_picks() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "the same picks\n", done.stderr[-2000:]


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (lambda points, count, start: farthest_points(points, count), "other points"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_one_that_picks_other_points_or_does_not_run_is_not_used(
    kernel: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(kernels, "sample", kernel)
    kernels.kernel_for.cache_clear()
    with pytest.warns(UserWarning, match=says):
        assert kernels.kernel_for(torch.device("cpu"), farthest_points) is None
    right = lambda points, count, start: farthest_points(points, count, start)  # noqa: E731
    monkeypatch.setattr(kernels, "sample", right)
    kernels.kernel_for.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.kernel_for(torch.device("cpu"), farthest_points) is right
    kernels.kernel_for.cache_clear()
