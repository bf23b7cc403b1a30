"""A pre-training step in several processes on this machine, held against the whole batch's gradient in one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def assert_processes_have(expected: torch.Tensor, folder: Path, *words: str, count: int = 2) -> None:
    """expected: the whole batch's gradient, flat. words: what `one_of_several` is told beside its folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    command = [sys.executable, "-m", "tests.pretrain.one_of_several", str(folder), *words]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * count
    for accumulate in (1, 2):
        for rank in range(count):
            found = torch.load(folder / f"gradient-{accumulate}-{rank}.pt")
            assert ((found - expected).norm() / expected.norm()).item() < 1e-5
