"""Methods through the whole protocol on the real simulator, as short as it gets: what no part alone can show."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from methods.registry import method_class

SHORT = [
    "protocol.train_demos=1",
    "protocol.valid_demos=1",
    "protocol.horizon=15",  # nobody succeeds so soon, the expert included
    "protocol.min_success_steps=0",
    "protocol.epochs=1",
    "protocol.evaluate_every=1",
    "protocol.rollouts=1",
    "protocol.retest_rollouts=1",
    "runtime.workers=1",
]
FAST = ["suite.observation.render=fast"]
"""Of images: a tenth of the time. tests/envs/test_metaworld.py looks at those that are rendered as in the paper."""


@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize("method", ["r3m-resnet18", "pointnext", "clar-small"])
def test_a_method_from_demonstrations_to_its_record(
    method: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One of each kind that takes seconds: images, points from scratch, a transformer on points."""
    card = method_class(method).card
    weights = "random" if card.weights else None
    (cell,) = make_cells(
        load_settings("metaworld-15", "quick", "mlp", [*SHORT, *FAST]), ["reach"], [method], [0], weights
    )
    record, new = run_cell(cell, Paths(tmp_path, tmp_path_factory.getbasetemp() / "demos"), "test")
    assert new
    assert record.method == card.name + ("+weights=random" if card.weights else "")
    assert record.weights["untrained"] == bool(card.weights)
    assert record.retest.tally.n == 1
    assert record.errors == 0
    assert record.training["train_loss"][0] > 0
    assert record.frozen["unchanged"] or not card.frozen
    again, new = run_cell(cell, Paths(tmp_path, tmp_path_factory.getbasetemp() / "demos"), "test")
    assert not new
    assert again == record
