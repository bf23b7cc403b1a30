"""What is printed bold, and that what is printed for LaTeX is LaTeX."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmark.records.record import Evaluation, Record, Tally
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.tables.bold import bold_cells, bold_notes, groups_of, not_below_best, retests
from benchmark.report.tables.clar_1 import cells_table, clar_table_1
from benchmark.report.tables.forms import render
from benchmark.report.tables.table import Table
from benchmark.settings.load import load_settings
from tests.report.test_tables import GOLDEN, record

SUITE = load_settings("metaworld-15", "clar", "mlp").suite


def played(task: str, method: str, outcomes: np.ndarray, seed: int = 0) -> Record:
    rows = tuple((number, int(won), 50, None) for number, won in enumerate(outcomes))
    test = Evaluation(10, Tally(int(outcomes.sum()), len(rows), 0), rows)
    return dataclasses.replace(record(task, method, (1, 1, 1)), retest=test, seed=seed)


def first(count: int, of: int = 100) -> np.ndarray:
    return np.arange(of) < count


def test_who_cannot_be_told_from_the_best_is_bold_and_who_can_is_not() -> None:
    methods = {
        "best": {"reach": [played("reach", "dp3", first(80))]},
        "close": {"reach": [played("reach", "dp3", first(76))]},  # 4 : 0, p = 0.125
        "far": {"reach": [played("reach", "dp3", first(60))]},  # 20 : 0
    }
    runs = {name: retests(by_task) for name, by_task in methods.items()}
    assert not_below_best(runs, ["reach"]) == {"best", "close"}
    six = {"best": runs["best"], "six": retests({"reach": [played("reach", "dp3", first(74))]})}
    assert not_below_best(six, ["reach"]) == {"best"}, "6 : 0 alone is p = 0.03"
    assert not_below_best({"best": runs["best"]}, ["reach"]) == set(), "alone there is nothing to be better than"
    assert not_below_best(runs, ["reach", "hammer"]) == set(), "nobody has all tasks"


def test_holm_is_over_all_pairs_of_the_column() -> None:
    runs = {f"m{i}": retests({"reach": [played("reach", "dp3", first(80 - 6 * i))]}) for i in range(2)}
    assert not_below_best(runs, ["reach"]) == {"m0"}
    again = {**runs, "m2": retests({"reach": [played("reach", "dp3", first(79))]})}
    assert not_below_best(again, ["reach"]) == {"m0", "m1", "m2"}, "the same 6 : 0 among three is not enough"


def test_training_seeds_are_no_pairs_and_errors_are_left_out() -> None:
    """Seed 1 of one method has nothing to do with seed 1 of another: they are compared on their episodes."""
    other = retests({"reach": [played("reach", "dp3", first(79), seed=1)]})
    best = retests({"reach": [played("reach", "dp3", first(80))]})
    assert not_below_best({"best": best, "other": other}, ["reach"]) == {"best", "other"}
    empty = {"reach": [(record("reach", "dp3", (0, 0, 0)), Evaluation(1, Tally(0, 0, 3), ()))]}
    assert not_below_best({"best": best, "errors": empty}, ["reach"]) == set()
    moved = played("reach", "dp3", first(79))
    rows = tuple((row[0] + 1000, *row[1:]) for row in moved.retest.episodes)
    apart = retests({"reach": [dataclasses.replace(moved, retest=Evaluation(10, moved.retest.tally, rows))]})
    assert not_below_best({"best": best, "apart": apart}, ["reach"]) == {"best"}, "no episode to be compared on"


def test_with_seeds_the_question_is_of_the_methods_and_the_note_says_which() -> None:
    """Checkpoints that differ without doubt, and seeds that differ as much."""
    counts = {"a": (90, 50, 70), "b": (60, 20, 40)}
    runs = {
        name: retests({"reach": [played("reach", "dp3", first(count), seed) for seed, count in enumerate(of)]})
        for name, of in counts.items()
    }
    assert not_below_best(runs, ["reach"]) == {"a", "b"}
    (note,) = bold_notes([runs], [["reach"]])
    assert "would the method be better if all methods were trained again" in note and "checkpoints" not in note
    single = {name: {"reach": of["reach"][:1]} for name, of in runs.items()}
    assert not_below_best(single, ["reach"]) == {"a"}, "of these two checkpoints one is better"
    (note,) = bold_notes([single], [["reach"]])
    assert "are these checkpoints better" in note and ONE_SEED in note
    (note,) = bold_notes([{"a": runs["a"], "b": single["b"]}], [["reach"]])
    assert ONE_SEED in note, "one seed of one method is enough to know nothing of methods"
    assert bold_notes([{"a": runs["a"]}], [["reach"]]) == []
    many = {f"m{i}": runs["a"] for i in range(6)}
    assert any("three seeds cannot separate 6 or more" in note for note in bold_notes([many], [["reach"]]))


def test_bold_in_each_form() -> None:
    table = Table("T", ("method", "a*b"), (("x", "1 | 2"), ("y", "3_4")), bold=frozenset({(0, 1), (1, 1)}))
    assert r"| x | **1 \| 2** |" in render(table, "markdown")
    assert r"{}y & \textbf{3\_4} \\" in render(table, "latex")
    assert "\x1b[1m1 | 2\x1b[0m" in render(table, "terminal") and "x,1 | 2" in render(table, "csv").splitlines()
    plain = render(dataclasses.replace(table, bold=frozenset()), "terminal")
    assert "\x1b" not in plain


def test_columns_are_tasks_and_their_mean() -> None:
    rows = [("a", "retest", "", "", ""), ("b", "retest", "", "", ""), ("b", "last", "", "", "")]
    runs = {
        "a": retests({t: [played(t, "dp3", first(90))] for t in ("reach", "hammer")}),
        "b": retests({"reach": [played("reach", "dp3", first(89))], "hammer": [played("hammer", "dp3", first(10))]}),
    }
    groups = groups_of(["reach", "hammer"])
    assert bold_cells(rows, {"retest": runs}, groups) == {(0, 2), (1, 2), (0, 3), (0, 4)}
    assert bold_cells(rows, {"retest": runs}, [[], *groups]) == {(0, 3), (1, 3), (0, 4), (0, 5)}, "none without tasks"


def test_table_1_says_what_bold_means() -> None:
    easy = SUITE.tasks["easy"]
    made = [played(task, method, first(count)) for task in easy for method, count in (("dp3", 80), ("pointnet", 79))]
    table, _ = clar_table_1(made, SUITE, "clar")
    bold = {(table.rows[row][0], table.columns[column]) for row, column in table.bold}
    assert bold == {("dp3, mlp", "easy (5)"), ("pointnet, mlp", "easy (5)")}
    assert any(note.startswith("bold:") for note in table.notes)
    assert any(
        "equally many optimiser steps" in note
        for note in clar_table_1(
            [made[0], dataclasses.replace(made[1], training={"optimizer_steps": 3000})], SUITE, "clar"
        )[0].notes
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: sudo apt-get install texlive-latex-base")
def test_what_is_printed_for_latex_compiles(tmp_path: Path) -> None:
    parts = [(GOLDEN / f"clar-table-{n}.latex").read_text() for n in (1, 3, 4, 5)]
    parts.append(render(cells_table([record("reach", "dp3", (20, 76, 3))]), "latex"))
    odd = Table("50 % of \\x & {y}_z^2 ~ #1 $ † –", ("a", "b"), (("[first]", "*"), ("\\", "ok")), ("note & [x]",))
    parts.append(render(odd, "latex"))
    text = "\n".join(
        [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", *parts, r"\end{document}"]
    )
    (tmp_path / "all.tex").write_text(text)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 20_000
