"""CLAMP's Table I: six bimanual tasks, and beside each method's numbers how it did where its demonstrations began."""

from __future__ import annotations

import re
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
from envs.aloha.options import BY_JOINTS, control_in, options_in

ALOHA = "aloha-6"
PRE_TRAINED = ("ACT", "ALOHA Unleashed")
"""Rows of policies that have another row, "Pretrained ...", with weights that were trained on other tasks."""
SMALL = "small"
"""Size of a policy that is made for two cores and is not the paper's."""
RACK = "plate-on-rack"
OTHER_DEMONSTRATIONS = (
    "demonstrations are of this benchmark's scripted experts, the paper's of a vision-language-action model that is "
    "not public: measured numbers compare with each other, not with the reported ones (docs/aloha.md)."
)
OTHER_RENDERER = (
    "images are MuJoCo's, with a field of view of 60 degrees; the paper names neither renderer nor field of view."
)
OTHER_RACK = f"{RACK}: objects and success rule are ours, since the paper's are not published."
STAND_INS = re.compile(r"stand-ins for ([\w ]+)")
"""In the simulator's version where visual meshes of aloha_sim were missing."""
MEAN_NOTE = "The mean of a reported row is computed here, from its six numbers; the paper gives none."
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
    """The paper's row, of a policy with pre-trained weights its other one; another size of a policy has its own row,
    and so have actions that are no joint targets.
    """
    if (control := control_in(record.identity["env"]["version"])) != BY_JOINTS:
        return f"own {row_name(record)}, control={control}"
    if row := _with_clamp(record):
        return row
    if record.identity.get("method", {}).get("options", {}).get("size") == SMALL:
        return f"own {record.method}"
    name = row_name(record)
    return f"Pretrained {name}" if name in PRE_TRAINED and record.weights.get("pretraining") else name


def printed_means(suite: Suite) -> dict[str, float]:
    """Row -> mean of its six numbers in the paper, in %; the paper prints none."""
    printed = {(n.method, n.column): n.value for n in reported("clamp", "Table I")}
    return {name: mean([printed[name, task] for task in suite.task_names]) for name, _ in printed}


def differences(records: Sequence[Record]) -> list[str]:
    """Footnotes: what is not the paper's in the experiment behind these records, as far as it is in any of them."""
    if not records:
        return []
    notes = [OTHER_DEMONSTRATIONS]
    if any(r.identity.get("observation", {}).get("cameras") for r in records):
        notes.append(OTHER_RENDERER)
    if any(r.task == RACK for r in records):
        notes.append(OTHER_RACK)
    versions = sorted({str(r.identity.get("env", {}).get("version", "")) for r in records})
    notes += [
        f"{', '.join(sorted({r.task for r in records if r.identity['env'].get('version') == version}))}: simulated and "
        f"demonstrated with {options} (docs/aloha.md)."
        for version in versions
        if (options := options_in(version))
    ]
    replaced = sorted({found[1].strip() for version in versions if (found := STAND_INS.search(version))})
    if replaced:
        notes.append(
            f"simulated without aloha_sim's visual meshes of {'; '.join(replaced)}: other shapes stand in their place, "
            "and the objects' masses differ."
        )
    return notes


def clamp_table_1(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """Printed beside measured; what was left out comes beside the table."""
    here = [(path, r) for path, r in records if r.suite == suite.name and r.protocol == protocol]
    chosen = choose([r for _, r in here], row_of, {id(r): path for path, r in here})
    printed = {(n.method, n.column): n.value for n in reported("clamp", "Table I")}
    means = printed_means(suite)
    groups = [[task] for task in suite.task_names] + [list(suite.task_names)]

    def as_printed(name: str) -> Line:
        cells = [printed[name, task] for task in suite.task_names]
        return (name, "reported", *[f"{value:g}" for value in cells], f"{means[name]:.1f}")

    def measured(label: str, found: Members) -> list[Line]:
        own = found.retested(TRAINED_ON)
        learnt = [_trained_on(own, tasks) for tasks in groups]
        return [
            *three_lines(label, found.records, groups, [*[False] * len(suite.task_names), True]),
            *([(label, "training episodes", *learnt)] if set(learnt) != {MISSING} else []),
        ]

    body = lay_out(chosen, groups, list(means), as_printed, measured)
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    notes = [f"({number}) {erratum.text}." for number, erratum in enumerate(errata("clamp", "Table I"), start=1)]
    notes += [*differences(chosen.kept), TRAINED_NOTE] if chosen.kept else []
    notes += [MEAN_NOTE]
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
