"""What is around a method computes what its version says, and a change of it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.settings import seeds
from benchmark.settings.load import choices
from benchmark.training import harness

pytestmark = pytest.mark.slow


def test_the_harness_computes_what_its_version_says() -> None:
    there = json.loads(harness.CERTIFICATE.read_text())
    here = harness.certify()
    assert set(there["heads"]) == set(choices("head"))
    assert here["version"] == there["version"], "write the certificate: python -m benchmark.training.harness"
    assert not harness.renamed(here, there), "write these heads' figures: python -m benchmark.training.harness"
    assert not harness.departures(here, there), (
        "if that is meant, raise HARNESS in benchmark/settings/harness_version.py and run "
        "python -m benchmark.training.harness"
    )


def other_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seeds, "training_seed", lambda seed, purpose, index=0: 7 + index)


def other_norm(patch: pytest.MonkeyPatch) -> None:
    original = torch.nn.functional.selu
    patch.setattr(torch.nn.functional, "selu", lambda x, *a, **k: 1.02 * original(x, *a, **k))


@pytest.mark.parametrize("change", [other_order, other_norm])
def test_a_change_is_found_and_not_written_without_a_new_version(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = json.loads(harness.CERTIFICATE.read_text())
    copy = tmp_path / "harness.json"
    copy.write_text(json.dumps(there))
    monkeypatch.setattr(harness, "CERTIFICATE", copy)
    monkeypatch.setattr(harness, "choices", lambda group: ["mlp"])
    change(monkeypatch)
    assert any("head mlp by" in text for text in harness.departures(harness.certify(), there))
    assert harness.main([]) == 1 and json.loads(copy.read_text()) == there
    monkeypatch.setattr(harness, "HARNESS", there["version"] + 1)
    assert harness.main([]) == 0 and json.loads(copy.read_text())["version"] == there["version"] + 1


def test_a_head_of_other_settings_has_other_names_and_needs_no_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its line is written anew; the others stay, and may not change meanwhile."""
    there = json.loads(harness.CERTIFICATE.read_text())
    there["settings"]["mlp"]["hidden"] = [7]
    there["heads"]["mlp"]["losses"] = [7.0, 7.0]
    copy = tmp_path / "harness.json"
    copy.write_text(json.dumps(there))
    monkeypatch.setattr(harness, "CERTIFICATE", copy)
    monkeypatch.setattr(harness, "choices", lambda group: ["mlp", "bnmlp"])
    assert harness.renamed(harness.certify(), there) == ["diffusion", "diffusion-50", "dp3", "mlp"]
    with monkeypatch.context() as patch:
        other_order(patch)
        assert harness.main([]) == 1 and json.loads(copy.read_text()) == there
    assert harness.main([]) == 0
    written = json.loads(copy.read_text())
    assert written["settings"]["mlp"]["hidden"] == [256, 256, 256]
    assert written["heads"]["mlp"]["losses"] != [7.0, 7.0]
    assert written["heads"]["bnmlp"] == there["heads"]["bnmlp"]
