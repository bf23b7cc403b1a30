"""CLAMP's Table I: six bimanual tasks, and beside each method's numbers how it did where its demonstrations began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.records.record import Evaluation, Record
from benchmark.report.comparisons.comparable import row_name
from benchmark.report.statistics.intervals import mean
from benchmark.report.tables.clar_2 import failures
from benchmark.report.tables.measured_cells import MISSING, PARTIAL, three_lines
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.seeds import TRAINED_ON
from benchmark.settings.suite import Suite

ALOHA = "aloha-6"
PRE_TRAINED = ("ACT", "ALOHA Unleashed")
"""Rows of policies that have another row, "Pretrained ...", with weights that were trained on other tasks."""
SMALL = "small"
"""Size of a policy that is made for two cores and is not the paper's."""
OTHER_DEMONSTRATIONS = (
    "demonstrations are this benchmark's scripted experts', the paper's a vision-language-action model's that nobody "
    "has; plate-on-rack's objects and rule are ours (docs/aloha.md). Measured numbers compare with each other."
)
TRAINED_NOTE = (
    "training episodes: the re-evaluated checkpoint where its demonstrations began. A rate that is low there, too, "
    "says that the policy has not learnt, and not that the task is hard."
)


BESIDE = {"aloha-unleashed-beside": "aloha-unleashed", "act-beside": "act"}
"""Policies that stand beside an encoder, and the whole ones that they are."""
WITH_CLAMP = {
    ("aloha-unleashed", True): "ALOHA Unleashed with CLAMP",
    ("aloha-unleashed", False): "ALOHA Unleashed with CLAMP Encoders Only",
    ("act", False): "ACT with CLAMP Encoders Only",
}
"""By the policy, and whether it was pre-trained; a pre-trained ACT with CLAMP is in Table III alone."""


def policy_of(record: Record) -> str | None:
    """The whole policy that a record's policy beside an encoder is; None of others."""
    return BESIDE.get(record.identity["head"].get("policy", {}).get("name", ""))


def _with_clamp(record: Record) -> str | None:
    """The row of a policy beside CLAMP's encoders as the paper has it, both of its size, the encoders pre-trained."""
    policy, head = policy_of(record), record.identity["head"].get("policy", {})
    if policy is None or record.card["name"] != "clamp" or record.identity["method"].get("options"):
        return None
    odd = set(head.get("options", {})) & {"size", "condition", "crop", "begin"}
    variant = record.weights.get("pretraining", {}).get("variant")
    if odd or variant != "full" or record.weights.get("policy", {}).get("untrained"):
        return None
    return WITH_CLAMP.get((policy, bool(record.weights.get("policy", {}).get("pretraining"))))


def row_of(record: Record) -> str:
    """The paper's row, of a policy with pre-trained weights its other one; another size of a policy has its own row."""
    if row := _with_clamp(record):
        return row
    if record.identity.get("method", {}).get("options", {}).get("size") == SMALL:
        return f"own {record.method}"
    name = row_name(record)
    return f"Pretrained {name}" if name in PRE_TRAINED and record.weights.get("pretraining") else name


def clamp_table_1(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """Printed beside measured; what was left out comes beside the table."""
    here = [(path, r) for path, r in records if r.suite == suite.name and r.protocol == protocol]
    chosen = choose([r for _, r in here], row_of, {id(r): path for path, r in here})
    printed = {(n.method, n.column): n.value for n in reported("clamp", "Table I")}
    groups = [[task] for task in suite.task_names] + [list(suite.task_names)]
    names = list(dict.fromkeys(method for method, _ in printed))

    def as_printed(name: str) -> Line:
        cells = [printed[name, task] for task in suite.task_names]
        return (name, "printed", *[f"{value:g}" for value in cells], f"{mean(cells):.1f}")

    def measured(label: str, found: Members) -> list[Line]:
        own = found.retested(TRAINED_ON)
        learnt = [_trained_on(own, tasks) for tasks in groups]
        return [
            *three_lines(label, found.records, groups, [*[False] * len(suite.task_names), True]),
            *([(label, "training episodes", *learnt)] if set(learnt) != {MISSING} else []),
        ]

    body = lay_out(chosen, groups, names, as_printed, measured)
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    notes = [f"({number}) {erratum.text}." for number, erratum in enumerate(errata("clamp", "Table I"), start=1)]
    notes += [OTHER_DEMONSTRATIONS, TRAINED_NOTE] if chosen.kept else []
    notes += ["The mean of a printed row is ours, of its six numbers."]
    notes += [PARTIAL] if body.partial else []
    notes += [*shared_notes(chosen, of_kind, groups), *failures(chosen.kept), *chosen.apart]
    title = f"CLAMP Table I, success in %, protocol {protocol}"
    columns = (*suite.task_names, f"mean ({len(suite.task_names)})")
    return table(title, columns, body, notes, of_kind, groups), chosen.apart


def _trained_on(found: Mapping[str, Sequence[tuple[Record, Evaluation | None]]], tasks: Sequence[str]) -> str:
    """The mean over tasks of the rate where the demonstrations began."""
    rates = []
    for task in tasks:
        played = [one.tally for _, one in found.get(task, ()) if one is not None and one.tally.n]
        if played:
            rates.append(sum(tally.k for tally in played) / sum(tally.n for tally in played))
    if not rates:
        return MISSING
    text = f"{100 * mean(rates):.1f}"
    return text if len(rates) == len(tasks) else f"{text} † {len(rates)}/{len(tasks)}"
