"""A real Slurm for the tests of this folder, started by cluster.sh and ended with the session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "cluster.sh"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """The cluster's script. Skipped by name where no Slurm can be had."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a test cluster needs Linux and root")
    if shutil.which("slurmctld") is None and shutil.which("apt-get") is None:
        pytest.skip("Slurm is not installed, and there is no apt-get to install it")
    folder = os.environ.setdefault("SLURM_TEST_DIR", "/tmp/repbench-slurm-tests")
    os.environ["SLURM_CONF"] = f"{folder}/etc/slurm.conf"
    done = subprocess.run([str(SCRIPT), "up"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no test cluster: {done.stderr.strip().splitlines()[-1]}")
    yield SCRIPT
    subprocess.run([str(SCRIPT), "down"], check=True)


@pytest.fixture
def calm_cluster(cluster: Path) -> Path:
    """The cluster with an empty queue and every node idle, whatever the last test has done to it."""
    subprocess.run(["scancel", "--me"], check=False)
    subprocess.run([str(cluster), "up"], check=True, capture_output=True)
    return cluster
