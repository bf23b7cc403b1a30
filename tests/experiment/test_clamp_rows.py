"""Rows of CLAMP's Tables III and IV with other views or another image encoder: pre-trained, then a cell, on two arms.

As `bench suite clamp-ablation --variants NAME` does them: the row's own pre-training and the row's own words for cells.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.experiment.cell_of_record import _suite_of
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.place_policy import place_policy
from benchmark.experiment.pretrain_policy import plan_policy_pretraining, pretrain_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.pretrain.ablation_jobs import ablation_jobs, cells_of, weights_of
from benchmark.pretrain.judge_retrieval import judge
from benchmark.pretrain.run import pretrain
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.report.tables.clamp_3 import row_of
from benchmark.settings.catalog import register_baselines
from benchmark.settings.clamp_ablation import choose_clamp
from benchmark.settings.load import load_settings
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from methods.clamp.encoder import EncoderConfig
from methods.clamp.representation import CLAMPSmall
from tests.experiment.test_beside_run import OF, UNLEASHED, settings
from tests.experiment.test_bimanual import ENV
from tests.pretrain import clamp_scenes

pytestmark = pytest.mark.gl
DATA = {
    "kind": ENV,
    "suite": "two-arms",
    "tasks": "[touch-again]",
    "demos": 3,
    "held_out": 1,
    "horizon": 60,
    "stop_after_success": 3,
    "height": 32,
    "width": 48,
    "splat": 1,
}
PRETRAINING = [f"aloha-pretrain.{name}={value}" for name, value in DATA.items()]
PRETRAINING += ["epochs=2", "warmup_epochs=1", "steps_per_epoch=2", "batch_size=2", "log_every=2", "context=96"]
TINY = EncoderConfig(width=32, heads=2, hidden=64, depth=1, patch=32, action_depth=1, feedforward=64)
ROWS = {
    "standard-views": ("orthogonal", (5, 224, 224, 4), 5 * 49),
    "dome": ("dome", (16, 96, 96, 4), 16 * 9),
    "dp3": ("five", (5, 224, 224, 4), 1),
}
"""Layout, views and their tokens."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Paths]:
    """A policy that learnt another task, and where demonstrations are."""
    register_baselines()
    folder = tmp_path_factory.mktemp("rows")
    paths = Paths(folder / "runs", folder / "data")
    task = settings(None, *OF[UNLEASHED], task="touch-again")
    job = plan_policy_pretraining(task, None, "aloha-unleashed", 0, None, "learnt")
    pretrain_policy(job, paths, "test")
    return job.weights(paths.out), paths


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_pretrained_and_its_cell_is_that_row(
    name: str, policy: tuple[Path, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CLAMPSmall, "config", TINY)
    monkeypatch.setattr(CLAMPSmall, "text_config", clamp_scenes.TEXT)
    begun, paths = policy
    layout, shape, tokens = ROWS[name]
    (variant,) = choose_clamp([name])
    runtime = Runtime("cpu", "fp32", 1, 1, 60.0, str(paths.out / "weights"))
    jobs = ablation_jobs([variant], "clamp-small", ["aloha-pretrain"], None, PRETRAINING)
    card, _ = pretrain(jobs[variant], paths, runtime, "test")
    assert np.isfinite(card["history"][-1]["train"]["total"])
    assert {source.get("layout", "five") for source in card["identity"]["data"]} == {layout}
    assert judge(jobs[variant].weights(paths.out), None, [], None, 1, 0, runtime, paths.data, "all")["trained_on_it"]

    weights = weights_of(variant, jobs, paths.out)
    head, said = cells_of(variant, None, {variant.beside: str(begun)})
    names, _ = place_policy(None, [UNLEASHED], None)
    assert names is not None
    (cell,) = make_cells(settings(head, *OF[UNLEASHED], *said), None, names, [0], weights)
    assert cell.specs()["views"].shape == shape and cell.identity()["method"]["options"] == dict(variant.method)
    assert cell.identity()["observation"].get("layout", "five") == layout
    record, _ = run_cell(cell, paths, "test")
    assert row_of(record) == variant.row and not record.errors and not list(contradictions(record))
    assert record.frozen["by_card"] and record.frozen["unchanged"]
    kept = {np.load(file, mmap_mode="r").shape[1:] for file in paths.data.rglob("feature.npy")}
    assert (tokens + 50, 32) in kept

    observed = _suite_of(record, load_settings("clamp-ablation", "clamp", "mlp").suite).observation
    assert observed["splat"] == 1, "which no record says, where the shipped suite has 3"

    (option,) = variant.method
    other = [text for text in said if not text.startswith(f"method.{option}=")]
    if option == "layout":  # before anything is drawn; of another encoder the file itself says it (test_clamp_options)
        with pytest.raises(ConfigError, match=f"was pre-trained with layout={layout}: give method.layout={layout}"):
            make_cells(settings(head, *OF[UNLEASHED], *other), None, names, [0], weights)
    drawn = dataclasses.replace(cell.settings.suite, observation={**cell.settings.suite.observation, "splat": 3})
    with pytest.raises(ConfigError, match=r"\(splat=3\): give suite.observation.splat=1"):
        make_cells(dataclasses.replace(cell.settings, suite=drawn), None, names, [0], weights)
