"""A local sweep takes the GPUs that it was given, as many a cell as it wants, and none for cells on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.launch import gpus, local
from benchmark.launch.gpus import card_number, environment_of, gpus_for, visible_gpus
from benchmark.launch.local import rooms, slots
from benchmark.launch.profile import load_profile
from benchmark.launch.sweep_file import Entry
from benchmark.pretrain.processes import Group
from benchmark.system.errors import ConfigError
from tests.pretend_cuda import pretend_cuda

UUID = "GPU-8f3a2b1c-0000-1111-2222-333344445555"
SMI = f"#!/bin/sh\necho '0, GPU-00000000-aaaa'\necho '5, {UUID}'\n"


def entry(device: str = "auto", processes: int = 1) -> Entry:
    return Entry("a/b", {}, Path("r"), Path("w"), "hash", "group", device, processes)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Of eight cards for torch and EGL, and an nvidia-smi that lists two."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(gpus, "_counted", [8])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "seen", "expected"),
    [
        (None, 2, ("0", "1")),
        ("2,3", 2, ("2", "3")),
        (f"{UUID}, 1", 2, (UUID, "1")),
        ("MIG-1,MIG-2", 2, ("MIG-1", "MIG-2")),
        ("2,-1,3", 1, ("2",)),
        ("", 0, ()),
    ],
)
def test_a_sweep_stays_on_the_gpus_of_its_parent(given: Any, seen: int, expected: Any, machine: Any) -> None:
    """seen: how many of them torch counts; CUDA ends its list at the first that is no device."""
    machine.setattr(torch.cuda, "device_count", lambda: seen)
    if given is not None:
        machine.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == expected


def test_cells_share_gpus_one_on_each_first(machine: Any) -> None:
    assert rooms(("2", "3"), 1, 1) == [("2",), ("3",)]
    assert rooms(("2", "3"), 1, 2) == [("2",), ("3",), ("2",), ("3",)]
    assert rooms(("0", "1", "2", "3", "4"), 2, 1) == [("0", "1"), ("2", "3")], "one GPU of five is left over"
    assert [slot.gpus for slot in slots(None, 0.01, rooms(("2", "3"), 1, 2))] == [("2",), ("3",)] * 2
    assert [slot.gpus for slot in slots(3, 0.01, rooms(("2", "3"), 1, 1))] == [("2",), ("3",), ("2",)]
    assert load_profile("local", {"cells_per_gpu": 3})["cells_per_gpu"] == 3
    with pytest.raises(ConfigError, match="launcher.cells_per_gpu=0 is not allowed"):
        load_profile("local", {"cells_per_gpu": 0})


def test_cells_on_the_cpu_take_no_gpu(machine: Any) -> None:
    assert gpus_for([entry("cpu"), entry("cpu")]) == ((), 1)
    assert len(gpus_for([entry("cpu"), entry("auto")])[0]) == 8
    assert environment_of((), {}) == {}, "and see what their parent sees"


def test_a_pretraining_of_two_processes_takes_two_gpus(machine: Any) -> None:
    names, each = gpus_for([entry("cuda", processes=2)])
    assert each == 2 and slots(1, 0.01, rooms(names, each, 1))[0].gpus == ("0", "1")
    machine.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="--processes 2: one a GPU, and this machine has 1"):
        gpus_for([entry("cuda", processes=2)])
    assert gpus_for([entry("cpu", processes=2)]) == ((), 1)
    machine.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpus_for([entry("auto", processes=2)]) == ((), 2), "two processes on the CPU"


def test_a_process_without_a_gpu_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pretend_cuda(gpus=1), pytest.raises(ConfigError, match="--processes 2: one a GPU, and this process sees 1"):
        Group.join(torch.device("cuda"))


def test_a_gpu_by_its_number_is_no_gpu_of_a_cell(machine: Any) -> None:
    with pytest.raises(ConfigError, match="--device cuda:3: .* CUDA_VISIBLE_DEVICES=3"):
        gpus_for([entry("auto"), entry("cuda:3")])


def test_the_renderer_takes_the_same_card(machine: Any) -> None:
    assert environment_of(("3",), {}) == {
        "CUDA_VISIBLE_DEVICES": "3",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "MUJOCO_EGL_DEVICE_ID": "3",
    }
    told = {"CUDA_VISIBLE_DEVICES": "3,4", "MUJOCO_EGL_DEVICE_ID": "0"}
    assert environment_of(("3",), told) == {"CUDA_VISIBLE_DEVICES": "3"}, "what the user says stays"
    assert card_number(UUID) == card_number(UUID[:12]) == 5
    assert environment_of((UUID,), told | {"MUJOCO_EGL_DEVICE_ID": "0"}) == {"CUDA_VISIBLE_DEVICES": UUID}
    assert "MUJOCO_EGL_DEVICE_ID" not in environment_of(("MIG-1",), {}), "nobody knows which card that is a part of"
    machine.setattr(gpus, "_counted", [1])
    assert "MUJOCO_EGL_DEVICE_ID" not in environment_of(("3",), {}), "EGL has one device, which draws in software"


def test_a_cells_process_gets_it(machine: Any, tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    class Process:
        pid = 0

        def __init__(self, command: list[str], **how: Any) -> None:
            found.update(how["env"])

    machine.setattr(local.subprocess, "Popen", Process)
    machine.setattr(os, "sched_setaffinity", lambda *_: None)

    class Sweep:
        folder = tmp_path

        def log(self, number: int, kind: str) -> Path:
            return tmp_path / "log"

    local.spawn(Sweep(), "run", 0, local.Slot((0,), ("6",)))  # type: ignore[arg-type]
    assert found["CUDA_VISIBLE_DEVICES"] == "6" and found["MUJOCO_EGL_DEVICE_ID"] == "6"


@pytest.mark.slow
@pytest.mark.gl
def test_egl_is_asked_how_many_devices_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_counted", [])
    count = gpus.egl_devices()
    assert count == gpus.egl_devices() and count >= (os.environ.get("MUJOCO_GL") == "egl")
