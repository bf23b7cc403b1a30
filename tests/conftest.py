"""What can be run here is decided by name: a test that is skipped says which thing is missing."""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer.testing

import envs.process
from baselines import BASELINES, POLICIES
from baselines.hub import FAMILIES
from baselines.hub.packages import mend_torchvision
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from envs.render import GLMissing, choose_backend
from methods import registry
from tests import WORKER
from tests.warm_workers import FRESH, fresh_start, warm_start

registry.add(BASELINES | POLICIES)
registry.add_families(FAMILIES)
# of scripts/test_tools.sh; by its last name it is installed code, and not a user's own
TIMM = Path(__file__).resolve().parents[1] / ".tools" / "timm" / "site-packages"
if importlib.util.find_spec("timm") is None and TIMM.is_dir():
    sys.path.append(str(TIMM))
mend_torchvision()  # before transformers looks for it
with contextlib.suppress(GLMissing):
    choose_backend()  # before any test imports mujoco
envs.process.start = warm_start
# What thousands of tests would do again and again. `bench`'s commands are made of their functions once; and these
# processes wait for no disk: tests kill processes, not machines.
typer.testing._get_command = functools.cache(typer.testing._get_command)
os.fsync = lambda _: None
np.memmap.flush = lambda _: None  # type: ignore[method-assign]
TOY = f"{Path(__file__).parent / 'toy_env.py'}:Toy"
LONGEST = (
    "methods/test_certificates.py",
    "records/test_measured_aloha.py",
    "test_cli.py",
    "envs/test_metaworld.py",
    "test_pretrain_run.py",
    "experiment/test_act_run.py",
    "launch/test_local.py",
    "perf/test_perf.py",
    "records/test_measured.py",
    "methods/test_contract.py",
    "test_hostile_options.py",
    "experiment/test_checkpoint_damage.py",
    "envs/test_rlbench_port.py",
    "records/test_hostile_records.py",
    "training/test_training.py",
    "experiment/test_retest_shifted.py",
    "data/test_read_only_data.py",
    "report/test_browser.py",
    "experiment/test_instructions.py",
    "pretrain/test_retrieval.py",
    "repbench/test_notebook.py",
    "policy/test_act.py",
)
"""Files that take longest, in that order, by the CPU time of all their tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    assert not WORKER or torch.get_num_threads() == 1, "torch was imported before tests/__init__.py chose a core"
    no_gl = not any(ctypes.util.find_library(name) for name in ("EGL", "OSMesa"))
    for item in items:
        if no_gl and item.get_closest_marker("gl"):
            item.add_marker(pytest.mark.skip(reason="no libEGL or libOSMesa: sudo apt-get install -y libegl1"))
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))
    items.sort(key=lambda item: 2 * bool(item.get_closest_marker("slow")) + bool(item.get_closest_marker("gl")))
    if WORKER:
        # whole files are handed out in this order: what takes minutes first, or one process ends with it alone
        places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
        assert all(path.is_file() for path in places), "a file of LONGEST has moved"
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: (places.get(item.path, len(places)), -slow[item.path]))


@pytest.fixture(autouse=True)
def _fresh_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.path.name in FRESH:
        monkeypatch.setattr("envs.process.start", fresh_start)


@pytest.fixture
def toy() -> str:
    return TOY


@pytest.fixture
def toy_settings(toy_settings_once: Settings) -> Settings:
    return toy_settings_once


@pytest.fixture(scope="session")
def toy_settings_once() -> Settings:
    """A whole experiment on the toy simulator that takes seconds."""
    import dataclasses

    settings = load_settings(
        "metaworld-15",
        "quick",
        "mlp",
        [
            "protocol.train_demos=4",
            "protocol.valid_demos=1",
            "protocol.horizon=60",
            "protocol.epochs=4",
            "protocol.evaluate_every=2",
            "protocol.rollouts=4",
            "protocol.retest_rollouts=6",
            "runtime.workers=2",
        ],
    )
    suite = Suite("toy-suite", "toy", TOY, "none", {"easy": ("near", "far")}, {"cameras": ["front"]})
    return dataclasses.replace(settings, suite=suite)
