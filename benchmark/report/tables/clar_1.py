"""Tables from records: what was run, cell by cell, and CLAR's Table I.

Three numbers, always: best* is the paper's (the maximum over evaluations, which is optimistically biased), retest the
selected checkpoint on fresh episodes (the headline, with the interval of its rollouts), last the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.flat_rows import order
from benchmark.records.record import Record, Tally
from benchmark.report.comparisons.comparable import reference_mark, unequal
from benchmark.report.statistics.intervals import wilson
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.tables.best_note import best_note
from benchmark.report.tables.clar_2 import RLBENCH, RLBENCH_TASKS, failures
from benchmark.report.tables.marked_simulators import marked_simulators, simulator_of
from benchmark.report.tables.measured_cells import PARTIAL, mark, three_lines
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.protocol_note import for_rlbench
from benchmark.report.tables.short_labels import said_below, short_labels
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.suite import Suite

COLUMNS = ("easy", "medium", "hard", "mean", "rlbench")


def cells_table(records: Sequence[Record], title: str = "Cells") -> Table:
    """One row a cell."""
    rows = []
    ordered = sorted(records, key=order)
    short, some_failed = short_labels(r.protocol for r in ordered), any(r.failed_actions for r in ordered)
    simulators = marked_simulators(ordered)
    for r in ordered:
        rows.append(
            (
                r.task,
                r.method + reference_mark([r]) + simulators.marks.get(simulator_of(r), ""),
                f"{r.head} s{r.seed}",
                short.get(r.protocol, r.protocol),
                _count(r.best) + mark([r]),
                _count_interval(r.retest.tally) + mark([r]),
                _count(r.last) + mark([r]),
                str(r.errors),
                *([str(r.failed_actions)] if some_failed else []),
                f"{r.training['optimizer_steps']:,}",
            )
        )
    rules = {i for i in range(1, len(ordered)) if ordered[i].task != ordered[i - 1].task}
    failed = ("failed actions",) if some_failed else ()
    columns = ("task", "method", "head", "protocol", "best*", "retest", "last", "errors", *failed, "steps")
    notes = [best_note(records), f"[low, high]: 95 % interval of one cell's rollouts; {ONE_SEED}."]
    if any(r.errors for r in records):
        notes.append("errors: episodes that could not be run; they count as neither success nor failure.")
    if some_failed:
        notes.append("failed actions: failures that ended by an action which the simulator could not carry out.")
    notes += said_below(short) + simulators.notes
    return Table(title, columns, tuple(rows), tuple(notes), frozenset(rules), text_columns=4)


def clar_table_1(records: Sequence[Record], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """CLAR Table I from whatever records are there, and messages about records that were set apart.

    Records that were made under other conditions (success rule, demonstrations, observation, precision, protocol
    numbers) than most of a table's are named and left out, never averaged in.
    """
    metaworld = choose([r for r in records if r.suite == suite.name and r.protocol == protocol])
    keyframes = for_rlbench(protocol)
    rlbench = choose([r for r in records if r.suite == RLBENCH and r.protocol == keyframes])
    chosen = metaworld.beside(rlbench)
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table I")}
    marks, notes = _errata_notes()
    groups = [_tasks_of(suite, column) for column in COLUMNS[:-1]] + [list(RLBENCH_TASKS)]

    def as_printed(name: str) -> Line:
        cells = [f"{printed[name, c]:.1f}{marks.get((name, c), '')}" if (name, c) in printed else "–" for c in COLUMNS]
        return (name + marks.get((name, ""), ""), "reported", *cells)

    def measured(label: str, found: Members) -> list[Line]:
        return three_lines(label, found.records, groups, [True] * len(groups))

    body = lay_out(chosen, groups, list(dict.fromkeys(method for method, _ in printed)), as_printed, measured)
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    notes += [PARTIAL] if body.partial else []
    notes += shared_notes(metaworld, of_kind, groups)
    if rlbench.kept:
        notes += [f"RLBench: suite {RLBENCH}, protocol {keyframes}.", *unequal(rlbench.kept)]
    notes += failures(chosen.kept)
    notes += chosen.apart
    columns = ("easy (5)", "medium (5)", "hard (5)", "mean (15)", "RLBench (4)")
    title = f"CLAR Table I, success in %, protocol {protocol}"
    return table(title, columns, body, notes, of_kind, groups), chosen.apart


def _tasks_of(suite: Suite, column: str) -> list[str]:
    return list(suite.task_names) if column == "mean" else list(suite.tasks[column])


def _errata_notes() -> tuple[dict[tuple[str, str], str], list[str]]:
    """Footnote marks by (method, column) and the footnotes."""
    marks: dict[tuple[str, str], str] = {}
    notes = []
    for number, erratum in enumerate(errata("clar", "Table I"), start=1):
        if erratum.method:
            key = erratum.method, erratum.column
            marks[key] = marks.get(key, "") + f" ({number})"
        notes.append(f"({number}) {erratum.text}.")
    return marks, notes


def _count(tally: Tally) -> str:
    return f"{tally.k}/{tally.n}"


def _count_interval(tally: Tally) -> str:
    low, high = wilson(tally.k, tally.n)
    rate = f"{100 * tally.rate:.0f} %" if tally.n else "no rollouts"
    return f"{tally.k}/{tally.n} = {rate} [{100 * low:.0f}, {100 * high:.0f}]"
