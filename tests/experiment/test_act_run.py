"""ACT from the command line to the record: two arms, two cameras, episodes of different lengths; killed, audited,
exported.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.experiment import work_folder
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.launch.cell_spec import specs_of
from benchmark.records.actions import read_actions, retest_actions
from benchmark.records.audit import audit
from benchmark.records.paths import Paths
from benchmark.records.read import read
from benchmark.records.record import Record
from benchmark.records.replay_actions import Simulator
from benchmark.settings.load import load_settings, policy_named
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from benchmark.system.errors import ConfigError
from benchmark.training.trainer import Trainer
from envs.errors import SpecMismatch
from methods.errors import BadMethod, WeightsMissing
from tests.conftest import TOY
from tests.experiment.test_bimanual import CAMERAS, ENV, RULES
from tests.policy.test_own_policy import REPLAYED
from tests.settings.test_user_files import PROTOCOL, SUITE
from tests.test_cli import here

pytestmark = pytest.mark.slow

SMALL = ("policy.size=small", "policy.chunk=8")
BATCHES = "{2d: 16, 3d: 16}"
SHORT = {
    "train_demos": 4,
    "valid_demos": 1,
    "rollouts": 1,
    "retest_rollouts": 1,
    "steps": 12,
    "evaluate_every": 12,
    "batch_size": "{2d: 8, 3d: 8}",
}


def settings(head: str | None, *said: str, **protocol: Any) -> Settings:
    numbers = [f"protocol.{name}={value}" for name, value in {**SHORT, **protocol}.items()]
    found = load_settings("metaworld-15", "quick", head, [*numbers, "runtime.workers=1", *SMALL, *said])
    seen = {"cameras": list(CAMERAS), "height": 32, "width": 48, "render": "fast"}
    suite = Suite("two-arms", "two arms", ENV, "none", {"all": ("touch-two",)}, seen, rules=RULES)
    return dataclasses.replace(found, suite=suite)


def whole(*said: str, **protocol: Any) -> Cell:
    played = ("policy.ensemble=-1", "policy.execute=4")
    (cell,) = make_cells(settings(None, *played, *said, **protocol), None, ["act"], [0], "random")
    return cell


def over(method: str, *said: str, **protocol: Any) -> Cell:
    (cell,) = make_cells(settings("act", *said, **protocol), None, [method], [0])
    return cell


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, Paths, Record]:
    folder = tmp_path_factory.mktemp("act")
    cell, paths = whole(), Paths(folder / "runs", folder / "data")
    return cell, paths, run_cell(cell, paths, "test")[0]


@pytest.mark.gl
def test_its_record_names_what_it_is_and_holds(made: tuple[Cell, Paths, Record]) -> None:
    cell, paths, record = made
    assert (record.method, record.head) == ("act+size=small+weights=random", "whole+chunk=8,ensemble=-1.0,execute=4")
    assert cell.request.fields == ("rgb", "proprio") and record.errors == 0
    assert record.identity["head"] == {
        "name": record.head,
        "chunk": 8,
        "lead": 0,
        "execute": 4,
        "obs_steps": 1,
        "pad_after": -1,
        "ensemble": -1.0,
    }
    assert record.identity["method"]["version"] == 1 and record.identity["method"]["options"] == {"size": "small"}
    assert set(record.training["loss_terms"]) == {"l1", "kl"}
    assert record.training["samples"] == sum(record.demos["train_lengths"]), "every frame, up to an episode's last"
    assert len(set(record.demos["train_lengths"])) > 1
    path = cell.record(paths)
    assert read(path) == record
    assert audit(record, path, Simulator(2, files=(record.env,))).word == "holds"


class Killed(BaseException):
    pass


@pytest.mark.gl
def test_killed_and_started_again_it_ends_with_the_same_bits(
    made: tuple[Cell, Paths, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, paths, record = made
    monkeypatch.setattr(work_folder, "SAVE_EVERY", 0.0)
    monkeypatch.setattr("benchmark.training.trainer.PART", 2)
    real: Callable[..., int] = Trainer.advance

    def dying(trainer: Trainer, samples: Any) -> int:
        if trainer.steps == 8:
            raise Killed
        return real(trainer, samples)

    again = Paths(tmp_path / "runs", paths.data)
    monkeypatch.setattr(Trainer, "advance", dying)
    with pytest.raises(Killed):
        run_cell(cell, again, "test")
    monkeypatch.setattr(Trainer, "advance", real)
    resumed, _ = run_cell(cell, again, "test")
    assert resumed.evaluations == record.evaluations, "hashes of weights and actions, losses and outcomes"
    assert resumed.training == record.training


@pytest.mark.gl
def test_exported_it_acts_to_the_bit(made: tuple[Cell, Paths, Record], tmp_path: Path) -> None:
    from envs.registry import make

    cell, paths, record = made
    policy = load_policy(export_policy(record, cell, paths, tmp_path / "bundle"))
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    seed = record.retest.episodes[0][0]
    env = make(ENV, "touch-two", cell.request)
    observation = env.reset(seed)
    policy.reset(seed=seed)
    for step in range(12):  # more than a chunk: what is averaged comes and goes
        sent = policy.act(observation)
        assert np.array_equal(sent, kept[str(seed)][step])
        observation = env.step(sent).observation
    env.close()


def test_over_a_representation_it_learns(tmp_path: Path) -> None:
    """Errors in deviations, means over 60 steps each: 0.8 is what the mean of all actions has."""
    cell = over("state", "policy.rate=0.001", train_demos=12, steps=120, evaluate_every=60)
    record, _ = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert (record.method, record.head) == ("state", "act-head+chunk=8,rate=0.001,size=small")
    said = {"name": "act-head", "code": {"version": 1}, "options": {"rate": "0.001", "size": "small"}}
    assert record.identity["head"]["policy"] == said
    first, last = record.training["loss_terms"]["l1"]
    assert last < 0.3 and last < 0.75 * first


@pytest.mark.parametrize("method", ["proprio-only", "dp3"])
def test_over_others_it_runs(method: str, tmp_path: Path) -> None:
    if method == "dp3":
        pytest.importorskip("mujoco")
    cell = over(method, "policy.ensemble=-1", "policy.execute=4", steps=2, evaluate_every=2)
    record, _ = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert record.identity["head"]["execute"] == 4 and record.errors == 0
    trained, everything = (record.training[f"parameters_{one}"] for one in ("trained", "total"))
    assert trained == everything


def test_tokens_of_a_representation_are_what_it_sees_where_they_are_asked_for() -> None:
    asked = settings("act", "policy.condition=tokens")
    (cell,) = make_cells(asked, None, ["clar-small"], [0], "random")
    assert cell.cards[-1].token_sets == ("tokens",)  # type: ignore[attr-defined]
    with pytest.raises(SpecMismatch, match="dp3 keeps no tokens, which act-head looks at"):
        make_cells(asked, None, ["dp3"], [0])
    torch.manual_seed(0)
    specs = cell.specs()
    policy = cell.build_policy(cell.build(specs)).eval()
    assert policy.sets == ("tokens",) and policy.condition == "tokens"
    from methods.testing import random_observations

    inputs = random_observations(specs, 2)
    seen, places = policy._seen(inputs)  # type: ignore[attr-defined]
    assert seen.shape[1] == len(places) > 1
    assert policy.plan(inputs, [1, 2]).shape == (2, 8, 14)


def test_the_words_that_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    for group, name, text in (("protocol", "short", PROTOCOL), ("suite", "mine", SUITE)):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(text)
    what = ["--suite", "mine", "--protocol", "short", "--dry-run"]
    small = ["policy.size=small", "policy.chunk=4"]
    for words in (["--method", "state", "--head", "act"], ["--method", "state", "--policy", "act"]):
        code, out, err = here("run", *what, *words, *small)
        assert code == 0 and "state/act-head+chunk=4,size=small-s0" in out, err
    played = ["policy.ensemble=-1", "policy.execute=4"]
    code, out, err = here("run", *what[:-1], "--method", "state", "--head", "act", *small, *played)
    assert code == 0 and "state/act-head+chunk=4,ensemble=-1.0,execute=4,size=small-s0.json" in out, err
    code, out, err = here("audit", "act-head", "--simulator", TOY, "--json")
    assert code == 0 and REPLAYED in json.loads(out)["records"][0]["settings"], (out, err)
    aloha = ["--suite", "aloha-6", "--tasks", "drawer-open", "--method", "act", "--weights", "random", "--dry-run"]
    for words, said in (
        (
            ["--method", "state", "--head", "act", "policy.chunk=500"],
            "a chunk of 500 actions is longer than an episode",
        ),
        (["--method", "state", "--head", "act", "policy.execute=5"], "looks again at every step: it takes execute=1"),
        (["--method", "state", "--head", "act", "policy.size=tiny"], "policy.size=tiny is none of act, small"),
        (["--method", "state", "--head", "act", "policy.backbone_rate=1"], "unknown option 'backbone_rate' of act"),
        (["--method", "state", "--head", "act", "head.width=5"], "takes policy.KEY=VALUE"),
        (
            ["--method", "act", "--head", "act", "--weights", "random"],
            "act is a whole policy, over which act-head cannot stand",
        ),
        (["--method", "act-head"], "act-head is a policy over a representation: give it as --policy"),
        (["--policy", "act-head"], "stands over a representation: name it with --method"),
        (["--method", "act", "--weights", "random"], "observes ['rgb'], which toy cannot give"),
    ):
        code, _, err = here("run", *what, *words)
        assert code == 2 and said in err and len(err.strip().splitlines()) == 1, (words, err)
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "none"))
    code, _, err = here("run", *aloha[:6], "--dry-run")
    assert code == 2 and "bench weights act --fetch" in err and len(err.strip().splitlines()) <= 2, err
    shown = here("show", "act")[1]
    assert "(whole policy)" in shown and "resnet18-f37072fd.pth: not on" in shown and "policy.ensemble=0.01" in shown
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "act.yaml").write_text("kind: mlp\n")
    with pytest.raises(ConfigError, match="act.yaml is called as the policy act is"):
        policy_named("act")


def test_a_chunk_may_be_as_long_as_the_suites_episodes() -> None:
    """RULES have episodes of 60 steps where the protocol has 200."""
    for chunk in (8, 60):
        assert over("state", f"policy.chunk={chunk}").settings.head.chunk == chunk  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="a chunk of 61 actions is longer than an episode, which has 60 at most"):
        over("state", "policy.chunk=61")
    long = settings("act", "policy.chunk=300")
    rules = {"touch-two": TaskRules(horizon=400)}
    long = dataclasses.replace(long, suite=dataclasses.replace(long.suite, task_rules=rules))
    assert make_cells(long, None, ["state"], [0])


def test_a_sweeps_cell_is_the_same_cell() -> None:
    words = ["protocol.train_demos=2", *SMALL]
    for head, method in (("act", "state"), (None, "act")):
        weights = "random" if method == "act" else None
        ((spec, cell),) = specs_of("metaworld-15", "quick", head, words, ["reach"], [method], [0], weights)
        assert type(spec).from_dict(spec.as_dict()).cell().identity() == cell.identity()


def test_weights_that_are_not_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsMissing, match="resnet18-f37072fd.pth"):
        make_cells(settings(None), None, ["act"], [0])


def test_a_protocol_that_scores_parts_is_refused_before_any_work() -> None:
    with pytest.raises(BadMethod, match="cannot take protocol.action_loss"):
        over("state", "protocol.action_loss='mse(joint) + mse(gripper)'")


@pytest.mark.gl
def test_from_demonstrations_alone_it_touches_both_balls(tmp_path: Path) -> None:
    """Over the true state, both within 3 cm, in some of the episodes it has not seen: 500 steps are few."""
    said = {"train_demos": 100, "valid_demos": 2, "steps": 500, "evaluate_every": 500, "retest_rollouts": 20}
    cell = over("state", "policy.chunk=20", "policy.rate=0.001", **said, batch_size=BATCHES)
    record, _ = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert record.retest.tally.k >= 2
