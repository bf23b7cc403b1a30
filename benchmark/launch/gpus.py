"""Which GPUs a sweep on this machine may use, and what the environment of a cell says about its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmark.launch.sweep_file import Entry
from benchmark.system.errors import ConfigError

EGL_DEVICES = "from mujoco.egl import egl_ext as egl; print(len(egl.eglQueryDevicesEXT()))"


def visible_gpus() -> tuple[str, ...]:
    """As CUDA_VISIBLE_DEVICES names them (numbers, UUIDs, MIG devices); without it 0 to n - 1. () for none.

    CUDA takes the list up to the first name that is no device, so that many of them are there.
    """
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(count)) if given is None else (name.strip() for name in given.split(","))
    return tuple(names)[:count]


def gpus_for(entries: Sequence[Entry]) -> tuple[tuple[str, ...], int]:
    """The GPUs that these cells are spread over, and how many of them each cell takes.

    None for cells that are computed on the CPU. Raises `ConfigError` where a cell wants more than there are, and for a
    GPU that is named by its number: in its process a cell sees its own GPUs alone.
    """
    numbered = next((entry.device for entry in entries if entry.device.startswith("cuda:")), None)
    if numbered is not None:
        number = numbered.removeprefix("cuda:")
        raise ConfigError(
            f"--device {numbered}: a sweep gives each cell its GPU. Give --device cuda, and for that GPU alone set "
            f"CUDA_VISIBLE_DEVICES={number}"
        )
    if all(entry.device == "cpu" for entry in entries):
        return (), 1
    gpus, each = visible_gpus(), max((entry.processes for entry in entries), default=1)
    if gpus and each > len(gpus):
        raise ConfigError(
            f"--processes {each}: one a GPU, and this machine has {len(gpus)}; give fewer, or --device cpu"
        )
    return gpus, each


def environment_of(gpus: Sequence[str], parent: Mapping[str, str]) -> dict[str, str]:
    """What a cell's process is told beside its parent's environment. gpus: as `visible_gpus` names them; () for none.

    EGL counts cards by itself, whatever CUDA_VISIBLE_DEVICES says, so the renderer is told the card's number, too, as
    long as EGL has so many devices (without NVIDIA's library it has one, which draws in software).
    """
    if not gpus:
        return {}
    found = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    if "CUDA_VISIBLE_DEVICES" not in parent and "CUDA_DEVICE_ORDER" not in parent:
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the numbers are ours: let them be nvidia-smi's and EGL's
    number = card_number(gpus[0])
    if "MUJOCO_EGL_DEVICE_ID" not in parent and number is not None and number < egl_devices():
        found["MUJOCO_EGL_DEVICE_ID"] = str(number)
    return found


def card_number(gpu: str) -> int | None:
    """Of a number or a UUID, the card's number on this machine. None where nobody knows, as for a part of a card."""
    if gpu.isdecimal():
        return int(gpu)
    try:
        command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    cards = re.findall(r"^\s*([0-9]+)\s*,\s*(\S+)", listed, re.MULTILINE)
    return next((int(number) for number, uuid in cards if uuid.startswith(gpu)), None)  # CUDA takes a UUID's beginning


_counted: list[int] = []


def egl_devices() -> int:
    """How many devices EGL can render on; 0 where MuJoCo has no EGL. Asked once, in another process."""
    if not _counted:
        environment = os.environ | {"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "egl"}
        try:
            command = [sys.executable, "-c", EGL_DEVICES]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
            _counted.append(int(done.stdout) if done.returncode == 0 else 0)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            _counted.append(0)
    return _counted[0]
