"""A pre-training step in several processes on this machine, held against the whole batch's gradient in one."""

from __future__ import annotations

import socket
from pathlib import Path

import torch

from tests.warm_bench import warm_module

ROOT = Path(__file__).resolve().parents[2]


def assert_processes_have(expected: torch.Tensor, folder: Path, *words: str, count: int = 2) -> None:
    """expected: the whole batch's gradient, flat. words: what `one_of_several` is told beside its folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    told = ["tests.pretrain.one_of_several", str(folder), *words]
    processes = [warm_module(*told, cwd=ROOT, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(count)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * count, said
    for accumulate in (1, 2):
        for rank in range(count):
            found = torch.load(folder / f"gradient-{accumulate}-{rank}.pt")
            assert ((found - expected).norm() / expected.norm()).item() < 1e-5
