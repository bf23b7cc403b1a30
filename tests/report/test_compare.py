"""`bench compare`, `plan` and `spread`: two questions, and which of them is answered."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.gather import MEASURED
from benchmark.records.paths import record_path
from benchmark.records.record import Evaluation, Record, Tally
from benchmark.records.write import write
from benchmark.report.comparisons.compare import NothingInCommon, compare
from benchmark.report.comparisons.compare_at_looks import look_at, run_command
from benchmark.report.comparisons.compare_table import comparison_table
from benchmark.report.comparisons.power import plan
from benchmark.report.comparisons.seed_spreads import Assumed, assumed, spreads
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.family import holm
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.questions import CHECKPOINTS, METHODS
from benchmark.report.tables.forms import render
from benchmark.settings.load import load_settings
from tests.made_records import agreeing
from tests.report.test_tables import record
from tests.simulations.policies import play

TASKS = load_settings("metaworld-15", "clar", "mlp").suite.task_names


def played(task: str, method: str, outcomes: list[int], seed: int = 0, errors: tuple[int, ...] = ()) -> Record:
    rows = tuple((1000 + i, s, 50, "lost" if i in errors else None) for i, s in enumerate(outcomes))
    kept = [s for i, s in enumerate(outcomes) if i not in errors]
    retest = Evaluation(10, Tally(sum(kept), len(kept), len(errors)), rows)
    return record(task, method, (1, 1, 1), retest=retest, seed=seed)


def trained(rates: dict[str, float], tasks: list[str], seeds: dict[str, range], spread: float = 0.04) -> list[Record]:
    """Records of methods whose training seeds differ and whose episodes are the same."""
    most = max(max(of) + 1 for of in seeds.values())
    means = np.repeat(np.array(list(rates.values()))[:, None], len(tasks), 1)
    made, _ = play(np.random.default_rng(1), 1, means, most, spread, 0.2)
    return [
        played(task, method, made[m][t][0, seed].tolist(), seed)
        for m, method in enumerate(rates)
        for t, task in enumerate(tasks)
        for seed in seeds[method]
    ]


def test_every_seed_of_each_is_used_and_what_cannot_be_compared_is_named() -> None:
    first = [
        played("reach", "dp3", [1, 1, 1, 0, 1], errors=(4,)),
        played("hammer", "dp3", [1, 0]),
        played("reach", "dp3", [1, 1, 0, 0, 1], seed=1),
        played("assembly", "dp3", [1, 1]),
    ]
    second = [played("reach", "pointnet", [0, 1, 0, 1, 0], seed=7), played("hammer", "pointnet", [0, 0])]
    (one,), notes = compare([*first, *second], ["dp3", "pointnet"], "mlp")
    assert one.tasks == ("hammer", "reach")
    assert one.first_seeds == {"hammer": (0,), "reach": (0, 1)} and one.second_seeds["reach"] == (7,)
    assert one.these_checkpoints.difference == pytest.approx((1 / 2 + (5 / 8 - 2 / 4)) / 2)
    assert one.methods_retrained is None and one.why_not_methods == ONE_SEED
    assert any("only one of them has assembly" in note for note in notes)
    assert any("reach 1" in note and "left out for all" in note for note in notes), "the episode with an error"
    text = render(comparison_table([one], notes, "x"), "terminal", 180)
    assert "+31.2" in text and ONE_SEED in text and CHECKPOINTS in text and METHODS in text


def test_one_method_is_compared_under_two_heads() -> None:
    first = [played("reach", "dp3", [1, 1, 1, 0]), played("reach", "state", [0, 0, 0, 0])]
    second = [dataclasses.replace(one, head="diffusion") for one in (played("reach", "dp3", [0, 1, 0, 1]), first[1])]
    pairs, _ = compare([*first, *second], ["dp3", "dp3/diffusion", "state/diffusion"], "mlp")
    assert [(one.first, one.second, one.only_one) for one in pairs] == [
        ("dp3", "dp3/diffusion", (2, 1)),
        ("dp3", "state/diffusion", (3, 0)),
        ("dp3/diffusion", "state/diffusion", (2, 0)),
    ]
    (again,), _ = compare([*first, *second], ["dp3/diffusion", "dp3/mlp"], "bnmlp")
    assert again.these_checkpoints.difference == pytest.approx(-pairs[0].these_checkpoints.difference)
    with pytest.raises(NothingInCommon, match="dp3/diffusion and state/bnmlp have no cell of the same task; there are"):
        compare([*first, *second], ["dp3/diffusion", "state/bnmlp"], "mlp")


def test_one_seed_each_is_mcnemars_test_and_says_what_it_cannot() -> None:
    records = trained({"dp3": 0.8, "pointnet": 0.5}, ["reach"], {"dp3": range(1), "pointnet": range(1)})
    (one,), notes = compare(records, ["dp3", "pointnet"], "mlp")
    assert one.only_one is not None and one.methods_retrained is None
    b, c = one.only_one
    assert one.these_checkpoints.p == pytest.approx(stats.binomtest(b, b + c, 0.5).pvalue)
    assert one.tipping_spread is not None and 0.05 < one.tipping_spread < 0.3
    text = render(comparison_table([one], notes, "x"), "terminal", 180)
    assert f"below {100 * one.tipping_spread:.1f} points" in text and "one seed: cannot say" in text


def test_eighty_columns_break_no_name_and_no_interval() -> None:
    names = {"proprio-only": 0.3, "dp3": 0.9}
    records = trained(names, list(TASKS), {"proprio-only": range(3), "dp3": range(2)})
    (one,), notes = compare(records, list(names), "mlp")
    text = render(comparison_table([one], notes, "x"), "terminal", 80)
    assert max(map(len, text.splitlines())) <= 80
    for whole in ("proprio-only", "checkpoints", "retrained", "episodes", "improves,"):
        assert whole in text
    assert one.methods_retrained is not None
    for answer in (one.these_checkpoints, one.methods_retrained):
        assert f"[{100 * answer.low:+.1f}, {100 * answer.high:+.1f}]" in text


def test_fifteen_separate_tasks_with_one_seed_answer_by_the_tasks() -> None:
    records = trained({"dp3": 0.6, "pointnet": 0.5}, list(TASKS), {"dp3": range(1), "pointnet": range(1)})
    (one,), _ = compare(records, ["dp3", "pointnet"], "mlp")
    assert one.methods_retrained is not None and "14 df" in one.methods_retrained.test
    assert one.methods_retrained.p > one.these_checkpoints.p
    joint = [dataclasses.replace(r, identity={**r.identity, "task": "+".join(TASKS)}) for r in records]
    (one,), _ = compare(joint, ["dp3", "pointnet"], "mlp")
    assert one.scope == Scope.JOINT.value and one.methods_retrained is None, "one policy is one seed"


def test_seeds_answer_about_methods_and_a_joint_policys_seed_is_one() -> None:
    seeds = {"dp3": range(4), "pointnet": range(3)}
    records = trained({"dp3": 0.6, "pointnet": 0.5}, list(TASKS[:5]), seeds)
    (one,), notes = compare(records, ["dp3", "pointnet"], "mlp")
    assert one.methods_retrained is not None and one.tipping_spread is None and one.only_one is None
    assert one.methods_retrained.p >= one.these_checkpoints.p
    assert one.methods_retrained.low <= one.these_checkpoints.low
    assert any(note.startswith("dp3: s0 ") and "(range" in note for note in notes), "each seed's rate"
    joint = [dataclasses.replace(r, identity={**r.identity, "task": "+".join(TASKS[:5])}) for r in records]
    (whole,), _ = compare(joint, ["dp3", "pointnet"], "mlp")
    assert whole.methods_retrained is not None and whole.these_checkpoints == one.these_checkpoints
    assert whole.methods_retrained.p != one.methods_retrained.p


def test_two_seeds_and_unequal_spreads_are_said() -> None:
    half = [1] * 50 + [0] * 50
    records = [played("reach", "dp3", half, 0), played("reach", "dp3", half[::-1], 1)]
    records += [
        played("reach", "pointnet", outcomes, seed) for seed, outcomes in enumerate(([1] * 90 + [0] * 10, [0] * 100))
    ]
    _, notes = compare(records, ["dp3", "pointnet"], "mlp")
    assert any("two seeds cannot decide" in note for note in notes)
    assert any("seed spreads differ" in note and "approximate" in note for note in notes)
    assert any("pointnet: s0 90.0, s1 0.0 (range 90.0)" in note for note in notes)


def test_records_under_other_conditions_are_not_compared() -> None:
    other = dataclasses.replace(played("reach", "pointnet", [0, 1]), success_rule="last-step")
    same = [played("reach", "dp3", [1, 1]), played("hammer", "dp3", [1, 0]), played("hammer", "pointnet", [1, 1])]
    (one,), notes = compare([*same, other], ["dp3", "pointnet"], "mlp")
    assert one.tasks == ("hammer",)
    assert any("reach/pointnet" in note for note in notes)
    with pytest.raises(NothingInCommon, match="no cell of the same task"):
        compare([played("reach", "dp3", [1]), played("hammer", "pointnet", [1])], ["dp3", "pointnet"], "mlp")


def test_the_family_is_adjusted_for_each_question() -> None:
    names = ["dp3", "pointnet", "pointnext"]
    records = trained(dict(zip(names, (0.9, 0.5, 0.5), strict=True)), ["reach"], dict.fromkeys(names, range(3)))
    found, _ = compare(records, names, "mlp")
    assert [(one.first, one.second) for one in found] == [
        ("dp3", "pointnet"),
        ("dp3", "pointnext"),
        ("pointnet", "pointnext"),
    ]
    assert [one.these_checkpoints.holm for one in found] == pytest.approx(holm([o.these_checkpoints.p for o in found]))
    retrained = [one.methods_retrained for one in found]
    assert [a.holm for a in retrained if a] == pytest.approx(holm([a.p for a in retrained if a]))


def test_looks_are_of_the_declared_seeds_and_say_what_to_train() -> None:
    """Four seeds are the look at three."""
    rates = {"dp3": 0.6, "pointnet": 0.5}
    three = trained(rates, ["reach"], dict.fromkeys(rates, range(4)))
    (one,), _ = look_at(three, list(rates), "mlp")
    (fewer,), _ = look_at([r for r in three if r.seed < 3], list(rates), "mlp")
    assert one.looks[0].p == fewer.looks[0].p and [look.reached for look in one.looks] == [True, False, False]
    assert one.better is None and one.train == dict.fromkeys(rates, (0, 1, 2, 3, 4))
    apart = trained({"dp3": 0.9, "pointnet": 0.2}, ["reach"], dict.fromkeys(rates, range(5)), 0.02)
    (one,), _ = look_at(apart, list(rates), "mlp")
    assert one.better == "dp3" and one.decided_at == 3 and not one.train
    (one,), _ = look_at([r for r in three if r.seed in (0, 3)], list(rates), "mlp")
    assert one.train["dp3"] == (0, 1, 3) and not any(look.reached for look in one.looks)
    command = run_command("clip+weights=random+text=hash+compat=lift3d", (0, 1), "s", "clar", "mlp", ["reach"], "runs")
    assert command == (
        "bench run --suite s --method clip --head mlp --protocol clar --tasks reach --seeds 0,1 "
        "--weights random --text hash method.compat=lift3d"
    )
    command = run_command("dp3", (0,), "s", "clar+epochs=20", "mlp", None, "runs")
    assert "--protocol clar KEY=VALUE_AS_IN_clar+epochs=20 --seeds 0" in command


def test_the_spread_that_a_plan_takes_is_the_measured_one() -> None:
    names = {"dp3": 0.6, "pointnet": 0.5}
    records = trained(names, list(TASKS), {"dp3": range(5), "pointnet": range(1)}, 0.06)
    found, _ = spreads(records)
    by_name = {one.method: one for one in found}
    assert by_name["pointnet"].spread is None
    spread = by_name["dp3"].spread
    assert spread is not None and spread.df == 60 and spread.low < 0.06 < spread.high
    assert by_name["dp3"].rates["reach"][2] == next(
        r.retest.tally.rate for r in records if (r.task, r.seed, r.method) == ("reach", 2, "dp3")
    )
    taken = assumed(found, Scope.PER_TASK, "here")
    assert (
        taken.value == pytest.approx(spread.deviation) and "dp3 (mlp)" in taken.source and "60 degrees" in taken.source
    )
    none = assumed(found, Scope.JOINT, "here")
    assert none.value == 0.06 and "no method on here has two training seeds" in none.source


@pytest.mark.slow
def test_a_plan_counts_cells_rollouts_and_hours() -> None:
    settings = load_settings("metaworld-15", "clar", "mlp")
    timed = dataclasses.replace(
        record("reach", "dp3", (1, 1, 1)),
        timings={"training": 1000.0, "rollouts": 500.0},
        provenance={"machine": {"cpu": "a CPU"}},
        retest=Evaluation(10, Tally(0, 100, 0), tuple((i, 0, 1, None) for i in range(100))),
    )
    found = plan(settings, [timed], 0.05, 0.8, 0.05, Assumed(0.06, "as asked", None), 0.3, 0.15)
    row = next(row for row in found["plans"] if row["retest_rollouts"] == 100)
    assert row["cells"] == 2 * 15 * row["seeds"] and row["power"]["3"] < row["power"]["5"]
    assert row["rollouts"] == row["cells"] * (15 * 25 + 100)
    assert row["hours"] == pytest.approx(row["cells"] * (1000 + 475 * 5) / 3600)
    assert plan(settings, [], 0.05, 0.8, 0.05, Assumed(0.06, "", None), 0.3, 0.15)["plans"][0]["hours"] is None


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rates = {"dp3": 0.6, "pointnet": 0.5}
    for one in trained(rates, ["reach"], dict.fromkeys(rates, range(3))):
        write(agreeing(one), record_path(tmp_path, one.protocol, one.suite, one.task, one.method, one.head, one.seed))

    def bench(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--records", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.stdout

    (pair,) = json.loads(bench("compare", "dp3", "pointnet", "--json"))["pairs"]
    assert pair["these_checkpoints"]["p"] <= pair["methods_retrained"]["p"] and pair["why_not_methods"] is None
    looks = bench("compare", "dp3", "pointnet", "--looks")
    assert (
        "undecided, more seeds" in looks
        and "--method dp3 --head mlp --protocol clar --tasks reach --seeds 0,1,2,3,4" in looks
    )
    assert "2 degrees of freedom" in bench("spread", "dp3")
    assert "measured on metaworld-15, clar, dp3 (mlp), pointnet (mlp)" in bench("plan")
    assert "as asked" in bench("plan", "--spread", "3")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "dp3"], "two or more"),
        (["compare", "dp3", "dp3"], "different"),
        (["compare", "dp3", "clip"], "no record of clip"),
        (["compare", "dp3", "dp3/act"], "dp3 and dp3/act-head have no cell of the same task"),
        (["compare", "dp3", "dp3/mlp"], "two of dp3, dp3/mlp are the same"),
        (["compare", "dp3/mlp", "state", "--looks"], "all have one head"),
        (["plan", "--detect", "0"], "'--detect': '0' is not allowed"),
        (["plan", "--spread", "-1"], "'--spread': '-1' is not allowed"),
        (["plan", "--spread", "60"], "more discordant pairs"),
        (["compare", "dp3", "proprio-only", "--looks", "--until-decided"], "one by one"),
        (["spread", "clip"], "no record of clip"),
    ],
)
def test_bad_questions(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path), "--with-reference"])
    assert done.exit_code == 2 and message in done.output


@pytest.mark.slow
def test_the_measured_records_compare() -> None:
    command = ["compare", "dp3", "proprio-only", "--json", "--records", str(MEASURED)]
    (one,) = json.loads(CliRunner().invoke(app, command).stdout)["pairs"]
    assert one["tasks"] == ["box-close", "hammer", "reach"] and one["methods_retrained"] is None
    assert one["these_checkpoints"]["p"] < 1e-20 and 0.4 < one["these_checkpoints"]["difference"] < 0.7


ALOHA = MEASURED.parent / "measured-aloha"
CLAMP = ["--suite", "aloha-6", "--protocol", "clamp-small+6-changes-a9046a47", "--head", "chunk-mlp+condition=tokens"]


def test_tasks_choose_what_is_compared_and_a_refusal_says_what_was_set_apart() -> None:
    """The commands of docs/clamp.md: drawer-open was recorded under other options than the other two tasks."""
    found = [f"clamp-small+weights={name}" for name in ("measured", "without-text", "random")]
    words = ["compare", *found, *CLAMP, "--records", str(ALOHA)]
    refused = CliRunner().invoke(app, words)
    said = " ".join(refused.output.split())
    assert (
        refused.exit_code == 2 and "excluded because made under other conditions" in said and "--tasks chooses" in said
    )
    done = CliRunner().invoke(app, [*words, "--tasks", "drawer-open", "--json"])
    assert done.exit_code == 0 and "drawer-open" in done.output
    absent = CliRunner().invoke(app, [*words, "--tasks", "drawer-opn"])
    assert absent.exit_code == 2 and "no record of the task drawer-opn" in absent.output
