"""docker/rlbench/Containerfile: nothing of anybody's is fetched before its licences are accepted, CoppeliaSim never."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from envs.rlbench.facts import PYREP_COMMIT, RLBENCH_COMMIT

FILE = Path(__file__).resolve().parents[2] / "docker" / "rlbench" / "Containerfile"


def instructions() -> list[str]:
    joined = FILE.read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_the_first_thing_that_is_run_asks_for_the_licences() -> None:
    first = next(line for line in instructions() if line.startswith(("RUN", "COPY", "ADD")))
    command = first.removeprefix("RUN ")
    for said, accepted in (("yes", True), ("no", False), ("", False)):
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env={"ACCEPT_LICENCES": said})
        assert (done.returncode == 0) == accepted
        assert accepted or "no commercial use" in done.stderr
    assert "ARG ACCEPT_LICENCES=no" in instructions(), "nobody accepts by saying nothing"


def test_coppeliasim_comes_from_the_users_own_folder() -> None:
    text = "\n".join(instructions())
    assert not re.search(r"curl|wget|\bADD\b|coppeliarobotics\.com/files", text)
    assert "COPY --from=coppeliasim" in text


def test_commits_are_those_that_are_meant() -> None:
    text = FILE.read_text()
    assert f"PyRep.git@{PYREP_COMMIT}" in text and f"RLBench.git@{RLBENCH_COMMIT}" in text
