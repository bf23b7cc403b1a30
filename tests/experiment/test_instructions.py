"""Instructions: which are heard, what they become, and one policy for several tasks that is told by them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.samples import Joined
from benchmark.experiment.cell import Cell
from benchmark.experiment.finished_cell import play_further
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.experiment.until_decided import finished_cells, until_decided
from benchmark.launch.cell_spec import CellSpec, specs_of
from benchmark.policy.build import make_head
from benchmark.records.audit import audit
from benchmark.records.joint_tasks import by_task, of_rows
from benchmark.records.paths import Paths, record_path
from benchmark.records.read import BadRecord, read
from benchmark.records.record import Record
from benchmark.records.replay_actions import Simulator
from benchmark.records.shifted_retests import read_shifts, write_shifts
from benchmark.records.write import write
from benchmark.report.comparisons.compare import compare
from benchmark.report.tables.clar_3 import clar_table_3
from benchmark.report.tables.forms import FORMATS, render
from benchmark.settings import seeds
from benchmark.settings.instructions import HELD_OUT, SEEN, SHUFFLED, InstructionFeatures, Language
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from envs.registry import UnknownName
from methods.errors import WeightsMissing
from methods.hashed_text import hashed_text
from methods.networks.clip_tokens import Tokenizer
from methods.text import CARD, ClipText
from tests.made_records import agreeing
from tests.methods import tiny_clip
from tests.report.test_tables import GOLDEN, record

MULTITASK = load_settings("metaworld-multitask", "clar", "mlp", ["suite.language.text=hash"])
TASKS = ["button-press", "reach", "lever-pull"]
JOINT = "+".join(TASKS)


def language(**changes: Any) -> Language:
    told = {"near": ("go near", "walk near", "run near"), "far": ("go far", "walk far", "run far")}
    return Language(**{"text": "hash", "held_out": 1, "instructions": told, **changes})


# -- the suite ---------------------------------------------------------------------------------------------------------


def test_the_suite_is_the_papers_with_18_instructions_that_are_all_different() -> None:
    suite = MULTITASK.suite
    assert suite.task_names == TASKS and suite.joint and suite.language is not None
    assert {task: len(texts) for task, texts in suite.language.instructions.items()} == dict.fromkeys(TASKS, 6)
    assert len({text.lower() for texts in suite.language.instructions.values() for text in texts}) == 18
    assert suite.observation == load_settings("metaworld-15", "clar", "mlp").suite.observation
    assert suite.shift == ("instructions=held-out", "instructions=shuffled")


def test_no_episode_of_one_task_is_called_as_one_of_another() -> None:
    protocol = MULTITASK.protocol
    chosen = seeds.retest_seeds("metaworld-multitask", JOINT, 10 * protocol.retest_rollouts)
    for number in range(len(protocol.evaluation_epochs)):
        chosen += seeds.selection_seeds("metaworld-multitask", JOINT, number, protocol.rollouts)
    assert len(set(chosen)) == len(chosen), "the kept actions are found by their seed"
    alone = seeds.retest_seeds("metaworld-multitask", "reach", 5)
    assert seeds.retest_seeds("metaworld-multitask", JOINT, 5)[5:10] == alone


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": "bert"}, "--text bert is none of clip, hash"),
        ({"held_out": 3}, "leaves nothing to train on"),
        ({"held_out": -1}, "held_out=-1 is not allowed"),
        ({"instructions": {"near": ("go",), "far": ("Go ",)}, "held_out": 0}, "'go' is said twice"),
    ],
)
def test_bad_instructions_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        language(**changes)


def test_a_joint_suite_needs_instructions_for_each_task() -> None:
    with pytest.raises(ConfigError, match="has none for far"):
        Suite("s", "", "toy", "", {"all": ("near", "far")}, language=language(instructions={"near": ("a", "b")}))
    with pytest.raises(ConfigError, match="cannot know which task"):
        Suite("s", "", "toy", "", {"all": ("near", "far")}, joint=True)
    with pytest.raises(ConfigError, match="instructions=foo cannot be played here; there are instructions=held-out"):
        dataclasses.replace(MULTITASK.suite, shift=("instructions=foo",))
    with pytest.raises(ConfigError, match="instructions=held-out cannot be played"):
        load_settings("metaworld-multitask", "clar", "mlp", ["suite.language.held_out=0"])
    with pytest.raises(UnknownName, match="raech"):
        MULTITASK.suite.cells(["raech"])
    assert MULTITASK.suite.cells(None) == [JOINT] == MULTITASK.suite.cells(["lever-pull+reach", "button-press"])
    assert MULTITASK.suite.cells(["reach"]) == ["reach"]


# -- who hears what ----------------------------------------------------------------------------------------------------


def test_what_is_held_out_is_never_trained_on_and_each_other_equally_often() -> None:
    told = MULTITASK.suite.language
    assert told is not None
    for task in TASKS:
        heard = Counter(told.of_demonstration(task, number) for number in range(24))
        assert set(heard.values()) == {6} and not set(heard) & set(told.instructions[task][-2:])
        assert {told.of_episode(task, seed) for seed in range(200)} == set(told.seen(task))
        assert {told.of_episode(task, seed, HELD_OUT) for seed in range(200)} == set(told.instructions[task][-2:])
        others = {text for other in TASKS if other != task for text in told.seen(other)}
        assert {told.of_episode(task, seed, SHUFFLED) for seed in range(300)} == others
    assert told.of_episode("reach", 7) == told.of_episode("reach", 7)


def test_hashed_words_are_the_same_everywhere_and_alike_where_words_are_shared() -> None:
    a, b, c, again = hashed_text(["pull the lever up", "Pull  the lever, UP!", "press a button", "pull the lever up"])
    assert a.shape == (512,) and a.dtype == np.float32
    np.testing.assert_array_equal(a, again)
    np.testing.assert_array_equal(a, b)
    assert float(a @ a) == pytest.approx(512, rel=1e-5) and abs(float(a @ c)) / 512 < 0.2
    near = hashed_text(["pull up the lever arm"])[0]
    assert float(a @ near) / 512 > 0.8
    np.testing.assert_array_equal(np.sign(hashed_text(["button"])[0, :8]), [-1, -1, -1, -1, 1, 1, -1, -1])
    assert not hashed_text(["!"]).any()


def test_demonstrations_and_episodes_get_their_sentence() -> None:
    instruction_features = InstructionFeatures(language(), Path())
    told = instruction_features.of_demonstrations("far", [5] * 3)
    assert told.shape == (15, 512)
    wanted = hashed_text(["go far", "walk far", "go far"])
    np.testing.assert_array_equal(told[::5], wanted)
    np.testing.assert_array_equal(told[4], wanted[0])
    np.testing.assert_array_equal(instruction_features.of_episode("far", 3, HELD_OUT), hashed_text(["run far"])[0])


def test_clips_text_tower_is_asked_for_before_any_work_and_the_way_without_it_is_named(tmp_path: Path) -> None:
    settings = load_settings("metaworld-multitask", "quick", "mlp", [f"runtime.weights_dir={tmp_path}"])
    with pytest.raises(WeightsMissing, match=r"bench weights clip-text --fetch(.|\n)*--text hash"):
        make_cells(settings, None, ["dp3"], [0])


@pytest.mark.slow
def test_clips_features_of_the_instructions_are_what_a_policy_hears(
    tmp_path: Path, joint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From files in OpenAI's layout to the record, which names them; another file is another cell."""
    small = tiny_clip.config(context=77)
    card = dataclasses.replace(CARD, weights=tuple(dataclasses.replace(f, sha256=None) for f in CARD.weights))
    load = ClipText.load
    monkeypatch.setattr("methods.text.CARD", card)
    monkeypatch.setattr(ClipText, "load", lambda folder: load(folder, small, card))
    (tmp_path / "weights").mkdir()
    tower = tiny_clip.write_files(tmp_path / "weights", small)
    told = language(text="clip")
    instruction_features = InstructionFeatures(told, tmp_path / "weights")
    words = Tokenizer.from_file(tmp_path / "weights/bpe_simple_vocab_16e6.txt.gz", small.vocabulary, small.context)
    with torch.no_grad():
        wanted = tower(words([told.of_episode("far", 7)]))[0].numpy()
    np.testing.assert_allclose(instruction_features.of_episode("far", 7, SEEN), wanted, rtol=1e-5, atol=1e-6)

    settings = dataclasses.replace(
        joint,
        suite=dataclasses.replace(joint.suite, language=told, shift=()),
        runtime=dataclasses.replace(joint.runtime, weights_dir=str(tmp_path / "weights")),
    )
    cell = only(settings)
    assert cell.method_name == "state", "as the paper has it: nothing is added to the name"
    found, _ = run_cell(cell, Paths(tmp_path / "out", tmp_path / "data"), "x")
    assert found.weights["text"]["encoder"] == "clip" and len(found.weights["text"]["weights"]) == 2
    (tmp_path / "weights/ViT-B-32.pt").write_bytes(b"another")
    assert only(settings).identity_hash() != cell.identity_hash()


def test_a_cell_says_what_it_was_told_and_with_what() -> None:
    (cell,) = make_cells(MULTITASK, None, ["dp3"], [0])
    assert cell.label == f"metaworld-multitask/{JOINT}/dp3+text=hash/mlp-s0"
    assert cell.tasks == TASKS
    told = cell.identity()["suite"]["language"]
    assert told["text"] == "hash" and told["held_out"] == 2 and len(told["instructions"]["reach"]) == 6
    other = dataclasses.replace(MULTITASK.suite.language, held_out=1)  # type: ignore[type-var]
    changed = dataclasses.replace(MULTITASK, suite=dataclasses.replace(MULTITASK.suite, language=other))
    assert make_cells(changed, None, ["dp3"], [0])[0].identity_hash() != cell.identity_hash()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mlp", "bnmlp", "diffusion", "dp3"])
def test_every_head_listens(head: str) -> None:
    small = ["head.channels=[32,64]"] if head == "dp3" else []
    config = load_settings("metaworld-15", "clar", head, small).head
    torch.manual_seed(0)
    made = make_head(config, 16, 4, 4, 512).eval()
    shape = (2, made.obs_steps) if made.obs_steps > 1 else (2,)
    condition, proprio = torch.randn(*shape, 16), torch.randn(*shape, 4)
    told = torch.randn(2, 512, requires_grad=True)
    made.loss(condition, proprio, torch.randn(2, made.chunk, 4).squeeze(1), told).backward()
    assert told.grad is not None and told.grad.abs().sum() > 0
    one, other = (made.plan(condition, proprio, [1, 2], torch.randn(2, 512)) for _ in range(2))
    assert one.shape == (2, made.chunk, 4) and not torch.equal(one, other)


def test_parts_end_to_end_read_like_one_tensor() -> None:
    parts = [torch.arange(6.0).view(3, 2), torch.arange(6.0, 16.0).view(5, 2)]
    whole, joined = torch.cat(parts), Joined(parts)
    assert len(joined) == 8
    for rows in (torch.tensor([7, 0, 3, 2, 2]), torch.tensor([[1, 4], [6, 0]])):
        torch.testing.assert_close(joined[rows], whole[rows])


# -- one policy for two tasks, from nothing ----------------------------------------------------------------------------


@pytest.fixture
def joint(toy_settings: Settings) -> Settings:
    suite = dataclasses.replace(
        toy_settings.suite, joint=True, language=language(), shift=("instructions=held-out", "instructions=shuffled")
    )
    return dataclasses.replace(toy_settings, suite=suite)


def only(settings: Settings, method: str = "state") -> Cell:
    (cell,) = make_cells(settings, None, [method], [0])
    return cell


def named(record: Record) -> Simulator:
    """The record's own simulator, which is a file and so has to be named."""
    return Simulator(2, files=(record.env,))


def without_clock(record: Record) -> dict[str, Any]:
    data = dataclasses.asdict(record)
    del data["timings"], data["provenance"], data["seal"]  # the seal is of all of the file, these two as well
    return data


@pytest.mark.slow
def test_one_policy_for_two_tasks_and_its_record_task_by_task(tmp_path: Path, joint: Settings) -> None:
    cell, paths = only(joint), Paths(tmp_path / "out", tmp_path / "data")
    whole, new = run_cell(cell, paths, "bench run")
    path = tmp_path / "out/records" / joint.protocol.name / "toy-suite/near+far/state+text=hash/mlp-s0.json"
    assert joint.protocol.name.startswith("quick+") and new and path.exists() and whole.task == "near+far"
    assert whole.demos["train"] == 8 and whole.training["optimizer_steps"] == 4 * 8 * 60 / 16
    assert [len(e.episodes) for e in whole.evaluations] == [8, 8] and whole.retest.tally.n == 12
    assert whole.weights["text"] == {"encoder": "hash", "weights": []}
    assert {"demonstrations", "observations", "training", "rollouts"} <= set(whole.timings)
    near, far = by_task(whole)
    assert (near.task, far.task) == ("near", "far")
    assert near.retest.tally.k + far.retest.tally.k == whole.retest.tally.k and near.retest.tally.n == 6
    assert [row[0] for row in far.retest.episodes] == seeds.retest_seeds("toy-suite", "far", 6)
    assert near.selected_epoch == far.selected_epoch == whole.selected_epoch, "one policy, one checkpoint"
    shifts = read_shifts(path, whole)
    assert set(shifts) == {"instructions=held-out", "instructions=shuffled"}
    assert [row[0] for row in shifts["instructions=shuffled"].episodes] == [row[0] for row in whole.retest.episodes]
    assert read_shifts(path, far)["instructions=held-out"].tally.n == 6
    verdict = audit(whole, path, named(whole))
    assert verdict.word == "holds", (verdict.contradictions, verdict.not_checked)
    assert {part.name: part.replayed for part in verdict.parts} == {
        "retest": 12,
        "best*": 0,
        "last": 0,
        "instructions=held-out": 12,
        "instructions=shuffled": 12,
    }
    assert without_clock(run_cell(cell, paths, "bench run")[0]) == without_clock(whole)

    more = play_further(cell, paths, "bench compare", 3)
    assert [row[0] for row in more.episodes] == [
        seed for task in ("near", "far") for seed in seeds.retest_seeds("toy-suite", task, 9)[6:]
    ]
    more = play_further(cell, paths, "bench compare", 5)
    assert more.tally.n == 10
    verdict = audit(whole, path, named(whole))
    assert verdict.word == "holds" and verdict.parts[-1].name == "played on" and verdict.parts[-1].replayed == 10

    data = path.read_text()
    path.write_text(
        data.replace('"selected_epoch": 2', '"selected_epoch": 3').replace('"selected_epoch": 4', '"selected_epoch": 3')
    )
    with pytest.raises(BadRecord) as refused:
        read(path)
    assert any("was retested, but" in text for text in refused.value.wrong)


@pytest.mark.slow
def test_neither_workers_nor_a_kill_change_a_joint_policy(
    tmp_path: Path, joint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run_cell(only(joint), Paths(tmp_path / "a", tmp_path / "data"), "x")
    alone = dataclasses.replace(joint, runtime=dataclasses.replace(joint.runtime, workers=1))
    same, _ = run_cell(only(alone), Paths(tmp_path / "b", tmp_path / "data"), "x")
    assert without_clock(same) == without_clock(whole)

    from benchmark.experiment.cell_run import CellRun

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    paths = Paths(tmp_path / "c", tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(CellRun, "_retest", killed)
        with pytest.raises(KeyboardInterrupt):
            run_cell(only(joint), paths, "x")
    resumed, _ = run_cell(only(joint), paths, "x")
    assert without_clock(resumed) == without_clock(whole)


@pytest.mark.slow
def test_a_policy_that_sees_only_itself_and_its_instruction_learns_to_listen(tmp_path: Path, joint: Settings) -> None:
    """Where nothing but the instruction tells the tasks apart, following it is what success shows."""
    from benchmark.experiment.prepare import prepare
    from benchmark.experiment.task_data import load_demos, open_task_data
    from benchmark.training.trainer import Trainer

    protocol = dataclasses.replace(joint.protocol, name="tiny", train_demos=8, epochs=30)
    settings = dataclasses.replace(joint, protocol=protocol)
    cell, paths = only(settings, "proprio-only"), Paths(tmp_path, tmp_path)
    from benchmark.experiment.cell_run import CellRun

    run = CellRun(cell, paths, tmp_path / "work", "x")
    with open_task_data(cell, load_demos(cell, paths, 2), 2) as task_data:
        prepared = prepare(cell, paths, task_data, run.instruction_features, run.device, False, run.clock)
    # the tasks' actions are made opposite: what is learned can only come from the instruction
    half = len(prepared.train) // 2
    prepared.train.actions[:half], prepared.train.actions[half:] = 1.0, -1.0
    trainer = Trainer(prepared.policy, settings.protocol, 0, 16, run.device, False)
    for _ in range(5):
        trainer.train_epoch(prepared.train)
    prepared.policy.eval()
    instruction_features, still = InstructionFeatures(language(), Path()), torch.zeros(1, 2)
    for task, wanted in (("near", 1.0), ("far", -1.0)):
        for kind in (SEEN, HELD_OUT):
            told = torch.from_numpy(instruction_features.of_episode(task, 0, kind)).unsqueeze(0)
            inputs = {"feature": torch.zeros(1, 0), "proprio": still, "language": told}
            assert prepared.policy.plan(inputs, [0])[0, 0, 0].item() == pytest.approx(wanted, abs=0.25), (task, kind)


def test_a_joint_cell_travels_to_another_process_and_back() -> None:
    words = ("metaworld-multitask", "quick", "mlp", ["suite.language.text=hash"], None, ["dp3"], [0, 1], None)
    for spec, cell in specs_of(*words):
        assert spec.task == JOINT
        assert CellSpec.from_dict(spec.as_dict()).cell().identity_hash() == cell.identity_hash()


@pytest.mark.slow
def test_a_joint_policy_is_compared_task_by_task_and_plays_on_as_a_whole(tmp_path: Path, joint: Settings) -> None:
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    placed = []
    for method in ("state", "proprio-only"):
        cell = only(joint, method)
        whole, _ = run_cell(cell, paths, "x")
        placed += [(cell.record(paths), part) for part in by_task(whole)]
    ((one,), _) = compare([r for _, r in placed], ["state+text=hash", "proprio-only+text=hash"], "mlp")
    assert one.tasks == ("far", "near") and one.episodes == 12
    cells = [finished_cells(joint, placed, f"{m}+text=hash", None, paths) for m in ("state", "proprio-only")]
    assert [list(found) for found in cells] == [[("near+far", 0)], [("near+far", 0)]]
    first, second = ([found["near+far", 0]] for found in cells)
    decision = until_decided(first, second, paths, 0.05, 2, 2, "x", lambda _: None)
    assert decision.episodes == 12 + 2 * 2 or decision.played == 0
    path = first[0].record(paths)
    assert audit(read(path), path, named(read(path))).word == "holds"


# -- Table III ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def placed(tmp_path: Path) -> list[tuple[Path, Record]]:
    found = []
    for method, best, retest in (("dp3", 60, 210), ("proprio-only", 20, 75)):
        chosen = seeds.retest_seeds("metaworld-multitask", JOINT, 100)
        rows = tuple((seed, int(i * 7 % 300 < retest), 50, None) for i, seed in enumerate(chosen))
        chosen = seeds.selection_seeds("metaworld-multitask", JOINT, 0, 25)
        early = tuple((seed, int(i * 7 % 75 < best), 50, None) for i, seed in enumerate(chosen))
        one = record(JOINT, method, (1, 1, 1), suite="metaworld-multitask")
        one = agreeing(
            dataclasses.replace(
                one, method=f"{method}+text=hash", evaluations=(of_rows(10, early),), retest=of_rows(10, rows)
            )
        )
        path = record_path(tmp_path, "clar", "metaworld-multitask", JOINT, one.method, "mlp", 0)
        write(one, path)
        kept = [(s, int(k and s % 3 > 0), n, e) for s, k, n, e in one.retest.episodes]
        worse = of_rows(10, [(s, k, n if k else one.horizon, e) for s, k, n, e in kept])
        write_shifts(path, one.identity_hash, 10, {"instructions=held-out": one.retest, "instructions=shuffled": worse})
        found += [(path, part) for part in by_task(one)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_table_3_is_the_golden_one(form: str, placed: list[tuple[Path, Record]]) -> None:
    table, apart = clar_table_3(placed, MULTITASK.suite, "clar")
    assert not apart
    golden = GOLDEN / f"clar-table-3.{form}"
    text = render(table, form, 140)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
