"""CLAMP's Tables III and IV from records: each variation's difference to the whole, reported beside measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.record import Record
from benchmark.report.statistics.outcomes import align, scope_of, successes
from benchmark.report.statistics.questions import about_checkpoints, about_methods
from benchmark.report.tables.clamp_1 import OTHER_DEMONSTRATIONS, policy_of
from benchmark.report.tables.clar_2 import failures
from benchmark.report.tables.measured_cells import MISSING, three_lines
from benchmark.report.tables.only_printed import ROMAN
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.clamp_ablation import FULL, OPTIONS_OF_METHOD, OPTIONS_OF_POLICY, VARIANTS, ClampVariant
from benchmark.settings.suite import Suite
from envs.aloha.options import BY_JOINTS, control_in

DIFFERENCE_NOTE = (
    "difference: of the retest to that of ALOHA Unleashed with CLAMP on the episodes that both played, in points; its "
    "95 % interval is over training seeds where both have two or more, else of these checkpoints alone. Printed are "
    "differences of the best* of three seeds, which the paper rounds now up, now down."
)


def clamp_ablation_table(
    records: Sequence[Record], suite: Suite, protocol: str, method: str, number: int
) -> tuple[Table, list[str]]:
    """Table III or IV. method: `clamp`, or `clamp-small`. A record belongs to the row that its options and the
    pre-trainings of its weights say; what was left out comes beside the table.
    """
    name = f"Table {ROMAN[number]}"
    printed = {(one.method, one.column): one.value for one in reported("clamp", name)}
    absolute = {(one.method, one.column): one.value for one in reported("clamp", "Table I")}
    tasks = [task for task in suite.task_names if any(column == task for _, column in printed)]
    of_table = {FULL.row, *(variant.row for variant in VARIANTS if variant.table == number)}
    here = [
        r
        for r in records
        if (r.suite, r.protocol, r.card["name"]) == (suite.name, protocol, method) and r.task in tasks
    ]
    chosen = choose(here, lambda record: row if (row := row_of(record)) in of_table else None, changed=_changed)
    groups = [[task] for task in tasks]
    whole = list(chosen.rows.get(FULL.row, {}).values())

    def as_printed(row: str) -> Line:
        if row == FULL.row:
            return (row, "Table I", *[f"{absolute[row, task]:g}" for task in tasks])
        cells = [f"{printed[row, task]:+g}" if (row, task) in printed else "–" for task in tasks]
        return (row, "reported", *cells)

    def measured(label: str, found: Members) -> list[Line]:
        lines = three_lines(label, found.records, groups, [False] * len(groups))
        alone = len(whole) == 1 and found is not whole[0]
        cells = [_difference(found.records, whole[0].records, task) if alone else MISSING for task in tasks]
        return [*lines, *([(label, "difference", *cells)] if set(cells) != {MISSING} else [])]

    body = lay_out(chosen, groups, [FULL.row, *dict.fromkeys(row for row, _ in printed)], as_printed, measured)
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    notes = [f"({mark}) {erratum.text}." for mark, erratum in enumerate(errata("clamp", name), start=1)]
    if len(whole) > 1:
        notes.append(f"{len(whole)} kinds of records are {FULL.row}: no difference is taken to any of them.")
    notes += [DIFFERENCE_NOTE, *([OTHER_DEMONSTRATIONS] if chosen.kept else [])]
    if method != "clamp":
        notes.append(f"measured with {method}, which is not the paper's size.")
    notes += [*shared_notes(chosen, of_kind, groups), *failures(chosen.kept), *chosen.apart]
    title = f"CLAMP {name}, reported: difference in points, protocol {protocol}, encoders {method}"
    return table(title, tuple(tasks), body, notes, of_kind, groups), chosen.apart


def row_of(record: Record) -> str | None:
    """The row of a record; None where its policy was not pre-trained, or more than one thing is otherwise."""
    variant = _variant_of(record)
    return variant.row if variant is not None else None


def _changed(record: Record) -> tuple[str, ...]:
    """What its row is about: its views' layout; what its actions say, in its demonstrations, too."""
    variant = _variant_of(record)
    if variant is None:
        return ()
    views = (
        ("observation.views", "observation.virtual_cameras", "observation.layout") if "layout" in variant.method else ()
    )
    return (*views, *(("env.version control", "demonstrations") if variant.control != BY_JOINTS else ()))


def _variant_of(record: Record) -> ClampVariant | None:
    policy = policy_of(record)
    if policy is None or not record.weights.get("policy", {}).get("pretraining"):
        return None
    untrained = bool(record.weights.get("untrained"))
    variant = "none" if untrained else record.weights.get("pretraining", {}).get("variant")
    own = _told(record.identity["method"].get("options", {}), OPTIONS_OF_METHOD)
    of_policy = _told(record.identity["head"]["policy"].get("options", {}), OPTIONS_OF_POLICY)
    control = control_in(record.identity["env"]["version"])
    for one in VARIANTS:
        told = one.trained, one.method, one.policy, one.beside, one.control
        if told == (variant, own, of_policy, policy, control):
            return one
    return None


def _told(options: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: options[name] for name in names if name in options}


def _difference(these: Mapping[str, Sequence[Record]], those: Mapping[str, Sequence[Record]], task: str) -> str:
    """Of two rows' retests of a task, in points, with its 95 % interval."""
    if not these.get(task) or not those.get(task):
        return MISSING
    arms = [{task: {r.seed: successes(r.retest) for r in found[task]}} for found in (these, those)]
    scope = scope_of([*these[task], *those[task]])
    data = align(arms, [task], scope)
    if not data.tasks:
        return MISSING
    found = about_methods(data, scope) or about_checkpoints(data, scope)
    return f"{100 * found.difference:+.1f} [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"
