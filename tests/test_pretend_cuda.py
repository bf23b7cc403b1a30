"""The pretended CUDA device refuses what CUDA refuses, lets pass what CUDA lets pass, and leaves torch as it was."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pretend_cuda import pretend_cuda
from tests.pretend_cuda.operations import Seen


@pytest.fixture
def seen() -> Iterator[Seen]:
    with pretend_cuda(gpus=2) as found:
        yield found


def on_gpu(*shape: int) -> Tensor:
    return torch.zeros(*shape, device="cuda")


def read_of_a_copy_under_way() -> Any:
    return on_gpu(2).to("cpu", non_blocking=True)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a sum": (lambda: on_gpu(2) + torch.ones(2), "same device"),
    "a sum with a slice": (lambda: on_gpu(4)[:2] + torch.ones(4)[2:], "same device"),
    "two GPUs": (lambda: on_gpu(2) + torch.zeros(2, device="cuda:1"), "same device"),
    "a number in place": (lambda: torch.zeros(()).add_(on_gpu(())), "same device"),
    "a matrix product": (lambda: on_gpu(2, 2) @ torch.ones(2, 2), "same device"),
    "a clamp with bounds": (lambda: on_gpu(2).clamp(torch.zeros(2), torch.ones(2)), "same device"),
    "cat": (lambda: torch.cat([on_gpu(2), torch.ones(2)]), "same device"),
    "where": (lambda: torch.where(on_gpu(2) > 0, torch.ones(2), on_gpu(2)), "same device"),
    "gather": (lambda: on_gpu(2).gather(0, torch.zeros(2, dtype=torch.int64)), "same device"),
    "an index from the GPU": (lambda: torch.ones(2)[torch.zeros(1, dtype=torch.int64, device="cuda")], "same device"),
    "a row that is written": (lambda: on_gpu(2, 2).index_put_((torch.tensor([0]),), torch.ones(2)), "same device"),
    "out=": (lambda: torch.sub(on_gpu(2), 1, out=torch.zeros(2)), "same device"),
    "a network": (lambda: nn.Linear(2, 2).to("cuda")(torch.ones(1, 2)), "same device"),
    "its input": (lambda: nn.Linear(2, 2)(on_gpu(1, 2)), "same device"),
    "numpy": (lambda: on_gpu(2).numpy(), "numpy"),
    "np.asarray": (lambda: np.asarray(on_gpu(2)), "numpy"),
    "numpy of a view": (lambda: on_gpu(2, 2)[0].detach().numpy(), "numpy"),
    "a generator of the CPU": (lambda: torch.randn(2, device="cuda", generator=torch.Generator()), "generator"),
    "a generator of the GPU": (lambda: torch.randn(2, generator=torch.Generator("cuda")), "generator"),
    "a draw in place": (lambda: on_gpu(2).normal_(generator=torch.Generator()), "generator"),
    "a GPU that is not there": (lambda: torch.zeros(2).to("cuda:2"), "invalid device ordinal"),
    "a read before its copy has ended": (read_of_a_copy_under_way, "before the copy ends"),
    "pinned memory of the GPU": (lambda: on_gpu(2).pin_memory(), "only dense CPU tensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cuda_refuses_is_refused(case: str, seen: Seen) -> None:
    wrong, message = REFUSED[case]
    with pytest.raises((RuntimeError, TypeError), match=message):
        wrong()


ALLOWED: dict[str, Callable[[], Tensor]] = {
    "a number of the CPU": lambda: on_gpu(2) * torch.tensor(2.0),
    "a Python number": lambda: on_gpu(2) + 1,
    "an index from the CPU": lambda: on_gpu(4, 2)[torch.tensor([0, 3])],
    "a mask from the CPU": lambda: on_gpu(2)[torch.tensor([True, False])],
    "a value that is written": lambda: on_gpu(2).index_put_((torch.tensor([0]),), torch.tensor(1.0)),
    "masked_fill": lambda: on_gpu(2).masked_fill(on_gpu(2) > 0, torch.tensor(1.0)),
    "a number that is written": lambda: on_gpu(2).fill_(torch.tensor(1.0)),
    "copy_": lambda: on_gpu(2).copy_(torch.ones(2)),
    "a slice that is written": lambda: on_gpu(2).fill_(1).view(2, 1)[:, 0],
    "like another": lambda: torch.randn_like(on_gpu(2)),
    "new": lambda: on_gpu(2).new_zeros(3),
    "the type alone": lambda: on_gpu(2).double(),
    "as another": lambda: torch.ones(2).to(on_gpu(1)),
    "through numpy": lambda: torch.from_numpy(on_gpu(2).cpu().numpy()).to("cuda"),
    "a copy": lambda: copy.deepcopy(nn.Linear(2, 2).to("cuda")).weight,
    "a generator of its own": lambda: torch.rand(2, device="cuda", generator=torch.Generator("cuda")),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_cuda_allows_is_allowed(case: str, seen: Seen) -> None:
    found = ALLOWED[case]()
    assert found.device == torch.device("cuda:0") and found.is_cuda and not found.is_cpu


def test_a_training_step_is_that_of_the_cpu_to_the_bit() -> None:
    def step(device: str) -> list[Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.randn(4, 3).to(device)).square().mean().backward()
            optimizer.step()
        assert all(p.grad is not None and p.grad.device.type == device for p in network.parameters())
        return [value.cpu() for value in network.state_dict().values()]

    with pretend_cuda() as seen:
        there = step("cuda")
    assert all(map(torch.equal, step("cpu"), there))
    assert seen.launches["_fused_adamw_"] == 3 and seen.launches["addmm"] == 6
    assert sum(seen.copies.values()) == 3 + 6 + 3, "batches, parameters, and statistics with their count"


def test_gradients_go_back_over_a_move(seen: Seen) -> None:
    start = torch.ones(2, requires_grad=True)
    (start.to("cuda") * 3).sum().backward()
    assert start.grad is not None and start.grad.device.type == "cpu" and start.grad.tolist() == [3, 3]


def test_a_file_says_where_its_tensors_were() -> None:
    file = io.BytesIO()
    with pretend_cuda():
        torch.save({"a": on_gpu(2), "b": torch.ones(2)}, file)
        file.seek(0)
        found = torch.load(file, weights_only=True)
        assert (found["a"].device.type, found["b"].device.type) == ("cuda", "cpu")
        file.seek(0)
        assert torch.load(file, map_location="cpu", weights_only=True)["a"].numpy().sum() == 0
    file.seek(0)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(file, weights_only=True)


def test_who_waits_and_what_is_copied_are_counted_by_line(seen: Seen) -> None:
    values = torch.ones(3).pin_memory().to("cuda", non_blocking=True)
    assert not seen.copies, "pinned"
    float(values.sum())
    values.cpu()
    assert sum(seen.waits.values()) == 2 and all("test_pretend_cuda.py" in where for where in seen.waits)
    with torch.autocast("cpu", torch.bfloat16):
        pass
    assert len(seen.notes) == 1
    with torch.autocast("cuda", torch.bfloat16):
        assert (on_gpu(2, 2) @ on_gpu(2, 2)).dtype == torch.bfloat16
    assert len(seen.notes) == 1


def test_torch_is_as_it_was_afterwards() -> None:
    def names() -> list[Any]:
        own = [torch.zeros, torch.Generator, torch.autocast, torch.cuda.is_available, Tensor.to, Tensor.numpy]
        return [*own, vars(Tensor).get("device"), list(torch.serialization._package_registry)]

    before = names()
    with pretend_cuda():
        assert names() != before
    assert names() == before
