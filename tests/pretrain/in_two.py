"""A pre-training step in two processes on this machine, held against the whole batch's gradient in one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def assert_two_processes_have(expected: torch.Tensor, folder: Path, *words: str) -> None:
    """expected: the whole batch's gradient, flat. words: what `two_processes` is told beside its folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "tests.pretrain.two_processes", str(folder), *words]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    for accumulate in (1, 2):
        for rank in range(2):
            found = torch.load(folder / f"gradient-{accumulate}-{rank}.pt")
            assert ((found - expected).norm() / expected.norm()).item() < 1e-5
