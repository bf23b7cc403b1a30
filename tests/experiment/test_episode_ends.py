"""Episodes that end by success, by time or by a failed action, of tasks with rules of their own: from the expert to
the record, and to its audit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.data.collect_demos import ExpertFails, load_or_collect
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.rollout import rollout
from benchmark.experiment.run_cell import run_cell
from benchmark.experiment.task_data import demo_file, load_demos
from benchmark.experiment.work_folder import WorkFolder
from benchmark.policy.episode_memory import Memory
from benchmark.records.actions import read_actions, retest_actions, write_actions
from benchmark.records.audit import audit
from benchmark.records.joint_tasks import by_task
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.records.record import Record
from benchmark.records.replay_actions import Simulator
from benchmark.report.comparisons.comparable import comparable
from benchmark.settings.instructions import Language
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from envs.pool import EnvConfig, Pool
from envs.spec import Observation, ObservationRequest
from envs.testing import EnvContract
from tests.toy_episodes import EDGE

FILE = Path(__file__).parents[1] / "toy_episodes.py"
FENCED, FORGETFUL, PLANNER, UNSTEADY = (f"{FILE}:{name}" for name in ("Fenced", "Forgetful", "Planner", "Unsteady"))
RULES = TaskRules(horizon=50, min_success_steps=1, stop_after_success=2)


@pytest.mark.slow
class TestFencedKeepsTheContract(EnvContract):
    env, task, fields, cameras, steps = FENCED, "near", ("proprio", "ground_truth"), ("front",), 40


@pytest.mark.slow
class TestForgetfulKeepsTheContract(EnvContract):
    env, task, fields, cameras = FORGETFUL, "near", ("proprio", "points", "points_valid"), ("front",)


@pytest.mark.slow
class TestPlannerKeepsTheContract(EnvContract):
    env, task, fields, cameras = PLANNER, "near", ("proprio", "ground_truth"), ("front",)


def settings_of(env: str, settings: Settings, **suite: Any) -> Settings:
    said: dict[str, Any] = {"tasks": {"all": ("near", "far")}, "rules": RULES, **suite}
    return dataclasses.replace(
        settings, suite=Suite("ends", "ends", env, "none", observation={"cameras": ["front"]}, **said)
    )


def joint(settings: Settings) -> Settings:
    """One policy for two tasks of other horizons and success rules, in a simulator that ends episodes."""
    language = Language("hash", 0, {"near": ("go near",), "far": ("walk far",)})
    rules = {"far": TaskRules(horizon=70, success="last-step")}
    return settings_of(FENCED, settings, joint=True, language=language, task_rules=rules)


def record_of(settings: Settings, root: Path, method: str = "state", task: str | None = "near") -> tuple[Record, Path]:
    (cell,) = make_cells(settings, [task] if task else None, [method], [0])
    paths = Paths(root / "runs", root / "data")
    record, _ = run_cell(cell, paths, "x")
    return record, cell.record(paths)


def judged(record: Record, path: Path) -> Any:
    return audit(record, path, Simulator(2, files=(record.env,)))


def alike(record: Record) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(record).items() if k not in ("timings", "provenance", "seal")}


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **changes, "seal": ""}))


@pytest.mark.slow
def test_a_failed_action_is_a_failure_and_no_error() -> None:
    """The policy walks to the goal; where the way leads over the edge the episode ends there."""

    def walk(observations: Observation, memories: Sequence[Memory]) -> np.ndarray:
        return (10 * (observations["ground_truth"][:, 2:] - observations["ground_truth"][:, :2])).astype(np.float32)

    config = EnvConfig(FENCED, "far", ObservationRequest(("ground_truth",), ("front",)))
    found = {}
    for rule in ("any-step", "last-step"):
        with Pool(config, 2) as pool:
            found[rule] = rollout(pool, walk, range(12), 60, rule)
    assert all(episode.error is None for episodes in found.values() for episode in episodes)
    for some, every in zip(*found.values(), strict=True):
        assert (some.ended is None) == (some.success or some.steps == 60)
        assert some.success >= every.success == (every.ended is None), "on the way over the edge may lie the goal"
        if some.ended:
            assert (some.ended, some.success) == ("no path to the target", False) and len(some.actions) == some.steps
    assert {episode.ended is None for episode in found["any-step"]} == {True, False}
    assert all(e.steps == 60 for e in found["last-step"] if e.success), "success does not end it under this rule"


@pytest.mark.slow
def test_mixed_horizons_and_failed_actions_in_one_policy(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = joint(toy_settings)
    record, path = record_of(settings, tmp_path / "whole", task=None)
    assert (record.horizon, record.success_rule, record.longest) == (70, "mixed", 70)
    near, far = by_task(record)
    assert (near.horizon, near.success_rule, far.horizon, far.success_rule) == (50, "any-step", 70, "last-step")
    assert max(row[2] for row in near.retest.episodes) <= 50 < max(row[2] for row in far.retest.episodes) <= 70
    assert record.failed_actions == near.failed_actions + far.failed_actions > 0 and record.errors == 0
    assert "ended by a failed action: no path to the target" in capfd.readouterr().err
    assert record.training["samples"] == sum(record.demos["train_lengths"])
    assert read(path) == record, "what is written is what is read, and agrees with itself"
    assert judged(record, path).word == "holds"
    assert by_task(read(path))[1].retest.ended == far.retest.ended

    added, real = list[Any](), WorkFolder.add

    def stop(folder: WorkFolder, evaluation: Any) -> None:
        real(folder, evaluation)
        added.append(evaluation)
        if len(added) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(WorkFolder, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        record_of(settings, tmp_path / "killed", task=None)
    again, _ = record_of(settings, tmp_path / "killed", task=None)
    assert alike(again) == alike(record) and len(added) == 2

    ended = [list(one) for one in record.retest.ended]
    chained = {"retest": {**json.loads(path.read_text())["retest"]}}
    for changed in ([], [*ended, [12345, "no path to the target"]], [[ended[0][0], "lost"], *ended[1:]]):
        edit(path, retest={**chained["retest"], "ended": changed})
        with pytest.raises(BadRecord, match="before the|could have ended|chained hash"):
            read(path)


@pytest.mark.slow
def test_an_episode_that_does_not_end_as_recorded_is_a_contradiction(tmp_path: Path, toy_settings: Settings) -> None:
    record, path = record_of(joint(toy_settings), tmp_path, task=None)
    (seed, _), rows = record.retest.ended[0], record.retest.episodes
    later = tuple((s, "another reason" if s == seed else why) for s, why in record.retest.ended)
    forged = dataclasses.replace(record, retest=dataclasses.replace(record.retest, ended=later))
    assert "ended by 'another reason' in the record, and ended by 'no path" in str(judged(forged, path).contradictions)
    actions = read_actions(retest_actions(path), 70)
    longer = {**actions, str(seed): np.concatenate([actions[str(seed)], np.zeros((1, 2), np.float32)])}
    write_actions(retest_actions(path), longer)
    more = tuple((s, k, n + (s == seed), e) for s, k, n, e in rows)
    forged = dataclasses.replace(record, retest=dataclasses.replace(record.retest, episodes=more, actions=None))
    (steps,) = (n for s, _, n, _ in rows if s == seed)
    assert f"after {steps} of its {steps + 1} actions" in str(judged(forged, path).contradictions)


@pytest.mark.slow
def test_an_expert_whose_action_fails_gives_no_demonstration(tmp_path: Path, toy_settings: Settings) -> None:
    (cell,) = make_cells(settings_of(FENCED, toy_settings), ["far"], ["state"], [0])
    (demos,) = load_demos(cell, Paths(tmp_path, tmp_path), 2)
    assert demos.attempts > len(demos.seeds) == 5 and not demos.episodes.equal
    assert np.abs(demos.arrays["proprio"][:, 0]).max() <= EDGE + 1e-6
    assert all(flags[-3] and not flags[:-3].any() for flags in demos.of_each("success"))
    far = settings_of(FENCED, toy_settings).of_task("far")
    with pytest.raises(ExpertFails, match="failed 1 times in a row"):
        load_or_collect(tmp_path, "ends", FENCED, "far", dataclasses.replace(far, max_expert_failures=0), 2)


@pytest.mark.slow
def test_what_was_seen_is_stored_where_no_state_can_be_restored(tmp_path: Path, toy_settings: Settings) -> None:
    settings = settings_of(FORGETFUL, toy_settings)
    record, path = record_of(settings, tmp_path)
    cells = make_cells(settings, ["near"], ["state", "dp3"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    files = [demo_file(cell, paths, "near") for cell in cells]
    assert files[0] != files[1], "another observation needs other demonstrations"
    with h5py.File(files[0]) as file:
        assert set(file["data/demo_0"]) == {"actions", "rewards", "success", "dones", "obs"}
        assert set(file["data/demo_0/obs"]) == {"ground_truth", "proprio"}
    (demos,) = load_demos(cells[0], paths, 1)
    assert record.demo_hash == demos.content_hash and demos.sensors is not None
    assert [len(demos.sensors.read(n)["ground_truth"]) for n in range(5)] == list(demos.episodes.lengths)
    assert judged(record, path).word == "holds"
    twin, _ = record_of(settings_of(f"{FILE.parent / 'toy_env.py'}:Toy", toy_settings), tmp_path / "twin")
    assert twin.evaluations[0].train_loss == record.evaluations[0].train_loss, "the same frames, stored or drawn"
    with h5py.File(files[0], "r+") as file:
        file["data/demo_1/obs/ground_truth"][2, 0] += 1e-3
    (again,) = load_demos(cells[0], paths, 1)
    assert again.content_hash == demos.content_hash and files[0].with_suffix(".damaged").exists()


@pytest.mark.slow
def test_methods_that_observe_otherwise_learn_from_the_same_stored_demonstrations(
    tmp_path: Path, toy_settings: Settings
) -> None:
    seen = ("ground_truth", "points", "points_valid")
    settings = settings_of(FORGETFUL, toy_settings, stores=seen)
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    cells = make_cells(settings, ["near"], ["state", "random-features"], [0])
    records = [run_cell(cell, paths, "x")[0] for cell in cells]
    assert demo_file(cells[0], paths, "near") == demo_file(cells[1], paths, "near")
    assert comparable(records)[1] == [], "they stand in one table"
    with pytest.raises(SpecMismatch, match="stores ground_truth, proprio .* other demonstrations would be needed"):
        make_cells(settings_of(FORGETFUL, toy_settings, stores=("ground_truth",)), ["near"], ["dp3"], [0])


@pytest.mark.slow
def test_an_audit_says_that_an_episode_may_play_otherwise(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, path = record_of(settings_of(UNSTEADY, toy_settings), tmp_path)
    assert record.retest.tally.k and judged(record, path).word == "holds"
    monkeypatch.setenv("TOY_DRIFT", "5")
    found = judged(record, path)
    assert found.word == "not checked" and "restores no state, and may play otherwise" in str(found.not_checked)


@pytest.mark.slow
def test_an_expert_that_plans_a_whole_episode(tmp_path: Path, toy_settings: Settings) -> None:
    settings = settings_of(PLANNER, toy_settings, rules=TaskRules(horizon=50, min_success_steps=1))
    record, path = record_of(settings, tmp_path)
    (demos,) = load_demos(make_cells(settings, ["near"], ["state"], [0])[0], Paths(path, tmp_path / "data"), 1)
    assert all(flags[-1] and not flags[:-1].any() for flags in demos.of_each("success"))
    assert not any(seed % 5 == 0 for seed in demos.seeds), "an episode without a plan is none"
    assert judged(record, path).word == "holds"


SUITE = f"""
name: fenced
title: fenced
source: me
env: "{FENCED}"
tasks:
  all: [near, far]
observation:
  cameras: [front]
rules: {{horizon: 50, min_success_steps: 1, stop_after_success: 2}}
task_rules:
  far: {{horizon: 70, success: last-step}}
"""
SMALL = [
    "protocol.train_demos=3",
    "protocol.valid_demos=1",
    "protocol.epochs=2",
    "protocol.evaluate_every=2",
    "protocol.rollouts=4",
    "protocol.retest_rollouts=8",
    "runtime.workers=2",
]


def bench(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "240"})


@pytest.mark.slow
def test_the_command_line_from_demonstrations_to_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fenced.yaml").write_text(SUITE)
    told = ("--suite", "fenced.yaml", "--protocol", "quick")
    collected = bench("collect", *told, "--json", *SMALL)
    assert collected.exit_code == 0 and [row["task"] for row in json.loads(collected.stdout)] == ["near", "far"]
    planned = bench("run", *told, "--method", "state", "--dry-run", "--json", *SMALL)
    assert all(row["there"] for row in json.loads(planned.stdout)["demonstrations"]), planned.output
    done = bench("run", *told, "--method", "state", "--json", *SMALL)
    assert done.exit_code == 0, done.output
    cells = json.loads(done.stdout)["cells"]
    assert [cell["task"] for cell in cells] == ["near", "far"] and sum(cell["failed_actions"] for cell in cells)
    table = bench("table", "1", "--suite", "fenced.yaml", "--protocol", cells[0]["protocol"], "--cells")
    assert table.exit_code == 0 and "failed actions" in table.stdout
    checked = bench("audit", "--records", "runs/records", "--simulator", FENCED)
    assert checked.exit_code == 0 and "2 holds" in checked.stdout, checked.output
    refused = bench("run", *told, "--method", "state", *SMALL, "protocol.horizon=30")
    assert refused.exit_code == 2 and "suite.rules.horizon is what to change" in refused.output
    Path("tasks.yaml").write_text(
        SUITE.replace("name: fenced", "name: tasks")
        .replace("rules: {horizon: 50, m", "rules: {m")
        .replace("  far:", "  near: {horizon: 40}\n  far:")
    )
    with pytest.raises(ConfigError, match=r"suite.task_rules.TASK.horizon is what to change"):
        load_settings("tasks.yaml", "quick", "mlp", ["protocol.horizon=30"])
    other = load_settings("fenced.yaml", "quick", "mlp", ["suite.rules.horizon=30"])
    assert other.protocol.name == "quick+rules.horizon=30" and other.of_task("near").horizon == 30
    assert other.of_task("far").horizon == 70, "the task has the last word"


@pytest.mark.slow
def test_demonstrations_that_hold_an_observation_are_collected_for_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fenced.yaml").write_text(SUITE.replace(FENCED, FORGETFUL))
    told = ("collect", "--suite", "fenced.yaml", "--protocol", "quick", "--tasks", "near", "--json", *SMALL)
    refused = bench(*told)
    assert refused.exit_code == 2 and "say which (--method)" in refused.output
    assert bench(*told, "--method", "state").exit_code == 0


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"task_rules": {"nowhere": TaskRules()}}, "nowhere is none of the suite's tasks"),
        ({"rules": TaskRules(horizon=3)}, "min_success_steps=5 is more than protocol.horizon=3"),
    ],
)
def test_rules_that_contradict_are_refused_before_any_work(
    rules: dict[str, Any], why: str, toy_settings: Settings
) -> None:
    with pytest.raises(ConfigError, match=why):
        settings_of(FENCED, toy_settings, **rules)
