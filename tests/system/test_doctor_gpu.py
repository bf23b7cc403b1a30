"""`bench doctor` runs kernels on the GPU, and says what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.settings.machine import resolve_device
from benchmark.settings.runtime import Runtime
from benchmark.system.doctor_gpu import check_gpu
from benchmark.system.errors import ConfigError
from benchmark.system.gpu import kind_of_device, pinned, use_repeatable_kernels
from tests.pretend_cuda import pretend_cuda


@pytest.fixture(autouse=True)
def _no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of the whole process."""
    monkeypatch.setattr("benchmark.system.doctor_gpu.use_repeatable_kernels", lambda: None)
    monkeypatch.setattr("benchmark.settings.machine.use_repeatable_kernels", lambda: None)


def test_every_gpu_computes_and_is_held_against_the_cpu() -> None:
    with pretend_cuda(gpus=2) as seen:
        found = check_gpu()
    assert found.verdict == "ok" and "cuda:0 pretended GPU 0: within 0e+00" in found.found and "cuda:1" in found.found
    assert seen.launches["convolution"] == 2 and seen.launches["convolution_backward"] == 2
    assert seen.launches["bmm"] + seen.launches["mm"] >= 2


def test_one_that_computes_otherwise_or_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.nn.functional.conv2d

    def rounded(picture: Any, kernel: Any) -> Any:
        """As TF32 does, with 10 bits of the mantissa."""
        return real(picture, kernel) * (1 + 1e-3) if picture.is_cuda else real(picture, kernel)

    monkeypatch.setattr(torch.nn.functional, "conv2d", rounded)
    with pretend_cuda():
        found = check_gpu()
    assert found.verdict == "fail" and "computes something else" in found.found and "--device cpu" in found.mend

    def no_kernel(*_: Any) -> Any:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with ...")

    monkeypatch.setattr(torch.nn.functional, "conv2d", no_kernel)
    with pretend_cuda():
        found = check_gpu()
    assert found.verdict == "fail" and "no kernel image" in found.found and "\n" not in found.found and found.mend


def test_without_one_there_is_nothing_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check_gpu().verdict == "ok"


def runtime(device: str) -> Runtime:
    return Runtime(device, "fp32", 1, 1, 60.0)


def test_a_gpu_that_is_not_there_is_refused_before_any_work() -> None:
    with pretend_cuda(gpus=2):
        assert resolve_device(runtime("cuda:1")) == torch.device("cuda:1")
        assert resolve_device(runtime("auto")).type == "cuda"
        with pytest.raises(ConfigError, match="--device cuda:9: torch sees 2, from cuda:0 on"):
            resolve_device(runtime("cuda:9"))
        with pytest.raises(ConfigError, match="cuda:2"):
            resolve_device(runtime("cuda:2"))


def test_a_cache_of_one_gpu_is_not_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert kind_of_device(cpu) == "cpu", "entries of a CPU keep their keys"
    with pretend_cuda(gpus=2):
        names = {kind_of_device(torch.device("cuda", number)) for number in range(2)}
    assert len(names) == 2 and all("CUDA" in name and "cuDNN" in name for name in names)


def test_what_is_pinned_is_copied_without_waiting() -> None:
    rows = {"a": torch.ones(3)}
    assert pinned(rows, torch.device("cpu"))["a"] is rows["a"]
    with pretend_cuda(gpus=2) as seen:
        there = pinned({**rows, "b": torch.ones(2, device="cuda:1")}, torch.device("cuda:1"))
        assert there["a"].is_pinned() and there["b"].is_cuda
        assert torch.cuda.current_device() == 1, "a thread begins with the first GPU, whoever else is on it"
        there["a"].to("cuda", non_blocking=True)
        assert not seen.copies


def test_the_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        use_repeatable_kernels()
        assert torch.is_deterministic_algorithms_warn_only_enabled() and torch.backends.cudnn.deterministic
        assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
