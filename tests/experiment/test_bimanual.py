"""Two arms, 14 joint targets, two cameras, demonstrations of different lengths: from the expert to the record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.audit import audit
from benchmark.records.consistency import contradictions
from benchmark.records.hash_chain import linked
from benchmark.records.joint_tasks import of_rows
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.records.record import Record
from benchmark.records.replay_actions import Simulator
from benchmark.records.shifted_retests import read_shifts, shifts_path, write_shifts
from benchmark.report.page.facts import slug
from benchmark.report.page.film import film, filmed
from benchmark.settings.load import load_settings
from benchmark.settings.seeds import TRAINED_ON, derive
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from benchmark.system.errors import ConfigError
from envs.expert import expert_episode
from envs.registry import make
from envs.spec import ObservationRequest
from envs.testing import EnvContract
from tests.depth_by_rays import depth_errors

ENV = f"{Path(__file__).parents[1] / 'toy_bimanual.py'}:Bimanual"
CAMERAS = ("front-left", "back-right")
RULES = TaskRules(horizon=60, min_success_steps=1, stop_after_success=3)
pytestmark = pytest.mark.gl


@pytest.mark.slow
class TestBimanualKeepsTheContract(EnvContract):
    env, task, cameras, steps = ENV, "touch-two", CAMERAS, 3
    fields = ("rgb", "depth", "extrinsics", "points", "points_valid", "views", "views_valid", "proprio", "ground_truth")


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Record], dict[str, Path]]:
    root = tmp_path_factory.mktemp("bimanual")
    suite = Suite(
        "two-arms",
        "two arms",
        ENV,
        "none",
        {"all": ("touch-two",)},
        {"cameras": list(CAMERAS), "height": 32, "width": 48, "render": "fast"},
        rules=RULES,
        shift=(TRAINED_ON,),
    )
    short = {"train_demos": 3, "valid_demos": 1, "epochs": 1, "evaluate_every": 1, "rollouts": 2, "retest_rollouts": 3}
    said = [f"protocol.{name}={value}" for name, value in short.items()]
    settings = load_settings("metaworld-15", "quick", "mlp", [*said, "runtime.workers=1"])
    settings = dataclasses.replace(settings, suite=suite)
    paths, records, files = Paths(root / "runs", root / "data"), {}, {}
    for cell in make_cells(settings, None, ["state", "dp3"], [0]):
        record, _ = run_cell(cell, paths, "x")
        records[record.method], files[record.method] = record, cell.record(paths)
    thin = dataclasses.replace(suite, rules=dataclasses.replace(RULES, frame_every=4))
    (cell,) = make_cells(dataclasses.replace(settings, suite=thin), None, ["dp3"], [0])
    elsewhere = Paths(root / "thin", root / "data")
    records["thin"], _ = run_cell(cell, elsewhere, "x")
    files["thin"] = cell.record(elsewhere)
    return records, files


@pytest.mark.slow
def test_of_every_fourth_frame_a_record_says_so_and_holds(recorded: Any) -> None:
    record, whole = recorded[0]["thin"], recorded[0]["dp3"]
    assert record.identity["suite"]["rules"]["frame_every"] == 4
    assert record.identity_hash != whole.identity_hash and record.demo_hash == whole.demo_hash
    assert record.training["samples"] == sum(-(-length // 4) for length in whole.demos["train_lengths"])
    assert read(recorded[1]["thin"]) == record, "and what its settings give is what it says"
    forged = dataclasses.replace(record, training={**record.training, "samples": whole.training["samples"]})
    assert any("training.samples" in said for said in contradictions(forged))


@pytest.mark.slow
def test_success_on_the_training_episodes_is_beside_the_record(recorded: Any) -> None:
    """Told from a hard task, what was not learnt; its seeds are those of the demonstrations, or it is refused."""
    record, path = recorded[0]["state"], recorded[1]["state"]
    found = read_shifts(path, record)[TRAINED_ON]
    own = [derive("two-arms", "touch-two", "demo", index) for index in range(record.demos["attempts"])]
    assert [row[0] for row in found.episodes] == own[:3], "the expert of this task never fails"
    report = audit(record, path, Simulator(2, files=(record.env,)))
    (part,) = (part for part in report.parts if part.name == TRAINED_ON)
    assert report.word == "holds" and part.replayed == len(found.episodes) == 3
    shifts, kept = shifts_path(path), shifts_path(path).read_text()
    try:
        for wrong in ([*own[:2], own[0]], own[2::-1], [own[0], own[1], own[0] + 4], own[:2]):
            rows = [(seed, *row[1:]) for seed, row in zip(wrong, found.episodes, strict=False)]
            forged = dataclasses.replace(of_rows(found.epoch, rows), checkpoint=found.checkpoint, actions=found.actions)
            forged = linked(record.retest.link, forged, TRAINED_ON)
            write_shifts(path, record.identity_hash, record.selected_epoch, {TRAINED_ON: forged})
            with pytest.raises(BadRecord, match="not run on the protocol's episodes"):
                read_shifts(path, record)
    finally:
        shifts.write_text(kept)


def test_a_head_that_looks_back_wants_every_frame() -> None:
    settings = load_settings("metaworld-15", "quick", "dp3", ["protocol.frame_every=2"])
    with pytest.raises(ConfigError, match=r"last 2 observations.* one step in 2 is there: protocol\.frame_every=1"):
        make_cells(settings, ["reach"], ["state"], [0])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["state", "dp3"])
def test_from_demonstrations_to_a_record_that_holds(recorded: Any, method: str) -> None:
    record, path = recorded[0][method], recorded[1][method]
    assert read(path) == record and record.errors == 0
    lengths = record.demos["train_lengths"]
    assert len(set(lengths)) > 1, "demonstrations of different lengths"
    assert max(lengths) < 60 and record.training["samples"] == sum(lengths)
    assert audit(record, path, Simulator(2, files=(record.env,))).word == "holds"


def test_replayed_actions_end_as_the_expert_did() -> None:
    env = make(ENV, "touch-two", ObservationRequest(("proprio",)))
    for seed in (1, 8):
        kept = expert_episode(env, seed, 60, 3)
        env.reset(seed)
        flags = [env.step(action).success for action in kept["actions"]]
        assert flags == kept["success"].tolist() and flags[-1]


@pytest.fixture(scope="module")
def seeing() -> Iterator[Any]:
    request = ObservationRequest(("depth", "intrinsics", "extrinsics"), CAMERAS, 60, 80, render="fast")
    env = make(ENV, "touch-two", request)
    env.reset(4)
    yield env
    env.close()


def test_depth_is_what_rays_hit(seeing: Any) -> None:
    errors = depth_errors(mujoco, seeing.model, seeing.data, seeing.observe())
    assert np.median(errors) < 1e-4
    assert np.quantile(errors, 0.95) < 1e-3


@pytest.mark.slow
def test_a_video_shows_both_cameras_and_is_made_again_if_an_earlier_version_made_it(
    recorded: Any, tmp_path: Path
) -> None:
    av = pytest.importorskip("av", reason="no PyAV")
    record, path = recorded[0]["state"], recorded[1]["state"]
    assert film([(path, record)], tmp_path, [ENV]) == []
    found = filmed(record, path, tmp_path)
    assert found is not None and len(found["films"]) == 3 and found["note"] == ""
    with av.open(str(tmp_path / found["films"][0]["file"])) as video:
        assert (video.streams.video[0].height, video.streams.video[0].width) == (224, 448)
    assert all(one["label"].endswith("steps, 20 steps a second") for one in found["films"])
    earlier = tmp_path / f"{slug(record)}.json"
    earlier.write_text(json.dumps({key: value for key, value in found.items() if key != "pace"}))
    assert film([(path, record)], tmp_path, [ENV]) == []
    assert filmed(record, path, tmp_path) == found
