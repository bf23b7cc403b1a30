"""Which code, on what machine: facts a record carries so that a number can be doubted."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmark.system.gpu import gpu_facts

ROOMS = ("envs", "methods", "baselines", "benchmark")
PACKAGES = ("torch", "numpy", "mujoco", "metaworld", "gymnasium", "fpsample", "diffusers")


def git_state(folder: Path = Path(__file__).parent) -> dict[str, Any]:
    """commit; dirty: whether tracked files differ from it; code: a hash of the four packages as they are.

    Two checkouts of equal `code` compute alike, whatever became of the documents. All None outside a checkout.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    places = [f":/{room}" for room in ROOMS]
    tree, changes = git("ls-tree", "-r", "--full-tree", "HEAD", *ROOMS), git("diff", "HEAD", "--", *places)
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "code": None if tree is None else hashlib.sha256(f"{tree}\n{changes}".encode()).hexdigest()[:12],
    }


def environment() -> dict[str, Any]:
    """The interpreter and the packages that a number may depend on."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": sys.version.split()[0], "versions": versions}


def describe_machine(device: torch.device) -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "platform": platform.platform(),
        **gpu_facts(device),
    }


def collect(device: torch.device, command: str) -> dict[str, Any]:
    return {
        "git": git_state(),
        **environment(),
        "machine": describe_machine(device),
        "torch_threads": torch.get_num_threads(),
        "command": command,
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
