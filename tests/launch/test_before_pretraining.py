"""`bench suite clamp-ablation` refuses before its pre-trainings what its cells would be refused for after them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.make_cells import make_cells
from benchmark.settings.catalog import register_baselines
from benchmark.settings.clamp_ablation import SUITE
from benchmark.settings.load import load_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy's weights, as a pre-training leaves them."""
    register_baselines()
    settings = load_settings("aloha-pretrain", "clamp-small", None, ["policy.size=small"])
    (cell, *_) = make_cells(settings, ["banana-in-bowl"], ["aloha-unleashed"], [0], "random")
    path = tmp_path_factory.mktemp("begins") / "policy.pt"
    torch.save(cell.build_policy(None).state_dict(), path)
    return path


def suite(policy: Path, out: Path, *words: str, data: str = "aloha-pretrain", size: str = "small") -> tuple[int, str]:
    found = CliRunner().invoke(
        app,
        [
            *("suite", SUITE, "--method", "clamp-small", "--protocol", "clamp-small", "--pretrain-data", data),
            *("--policy-weights", str(policy), "--out", str(out), f"policy.size={size}", *words),
        ],
    )
    assert not (out / "sweeps").exists() and not (out / "pretrain").exists(), found.output
    return found.exit_code, " ".join(found.output.split())


def test_what_can_be_done_is_listed(policy: Path, tmp_path: Path) -> None:
    code, said = suite(policy, tmp_path, "--dry-run", "--variants", "full,standard-views,dome,dp3,pooled")
    assert code == 0 and "then: 5 variants" in said, said
    for variant in ("full", "orthogonal", "dome", "dp3"):
        assert f"aloha-pretrain-{variant}" in said, said


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["suite.observation.height=240"], "would be pre-trained on views that are drawn otherwise than this policy's"),
        (
            ["pretrain.aloha-pretrain.suite=aloha-6", "pretrain.aloha-pretrain.tasks=[mug-on-plate]"],
            "clamp-small's aloha-pretrain-full would be pre-trained on demonstrations of mug-on-plate",
        ),
        (["suite.observation.cameras=[front-left]"], "is a policy with 2 cameras, and this suite has 1"),
    ],
    ids=["views", "seen", "cameras"],
)
def test_what_its_cells_would_be_refused_for(
    words: list[str], why: str, dry: list[str], policy: Path, tmp_path: Path
) -> None:
    code, said = suite(policy, tmp_path, "--variants", "full", *words, *dry)
    assert code == 2 and why in said, said


def test_another_size_another_robot_and_a_broken_file(policy: Path, tmp_path: Path) -> None:
    code, said = suite(policy, tmp_path, "--variants", "full", data="metaworld-34")
    assert code == 2 and "actions of metaworld-34 have 4 numbers, and this encoder reads 14" in said, said
    code, said = suite(policy, tmp_path, "--variants", "full", size="paper")
    assert code == 2 and "policy.pt is a policy of size=small" in said, said
    (broken := tmp_path / "broken.pt").write_bytes(policy.read_bytes()[:1000])
    code, said = suite(broken, tmp_path, "--variants", "full")
    assert code == 2 and f"{broken} cannot be read" in said, said
