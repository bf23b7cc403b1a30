"""`bench compare --looks`: two methods at the numbers of training seeds that were declared beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.records.record import Record
from benchmark.report.comparisons.comparable import comparable, reference_notes
from benchmark.report.comparisons.compare import Cells, cells_of, paired_cells
from benchmark.report.comparisons.compare_table import p_text
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.declared_looks import LOOKS, Look, decided_at, next_look
from benchmark.report.statistics.family import holm
from benchmark.report.statistics.outcomes import scope_of
from benchmark.report.statistics.questions import METHODS, Answer, about_methods
from benchmark.report.tables.table import Table
from benchmark.settings.labels import base_of


@dataclass(frozen=True)
class Looked:
    """better: the method that a look decided for; None as long as none did.

    seeds: that both have in every task. train: method -> the training seeds with which the next look can be made, those
    that are there included; empty once it is decided, and after the last look.
    """

    first: str
    second: str
    tasks: tuple[str, ...]
    seeds: int
    looks: tuple[Look, ...]
    better: str | None
    decided_at: int | None
    train: Mapping[str, tuple[int, ...]]


def look_at(records: Sequence[Record], methods: Sequence[str], head: str) -> tuple[list[Looked], list[str]]:
    """All pairs. Each look is of the first 3, 5 and 10 seeds of each cell by their numbers, however many there are, or
    a look between the declared ones would be smuggled in. Raises `NothingInCommon`."""
    chosen, notes = comparable([r for r in records if r.method in methods and r.head == head])
    notes += reference_notes(chosen)
    cells, scope = cells_of(chosen), scope_of(chosen)
    pairs = list(combinations(methods, 2))
    seeds = []
    for first, second in pairs:
        data, more = paired_cells(cells, first, second, head, scope)
        seeds.append((data.tasks, data.fewest))
        notes += more
    answers: list[list[Answer | None]] = [[] for _ in pairs]
    adjusted: list[list[float]] = [[] for _ in pairs]
    for count, _ in LOOKS:
        of_look = [
            _at(cells, first, second, head, scope, count) if fewest >= count else None
            for (first, second), (_, fewest) in zip(pairs, seeds, strict=True)
        ]
        # a pair that is not there yet belongs to the family all the same
        values = holm([1.0 if one is None else one.p for one in of_look])
        for i, (one, p) in enumerate(zip(of_look, values, strict=True)):
            answers[i].append(one)
            adjusted[i].append(p)
    return [_looked(pair, *seeds[i], answers[i], adjusted[i], cells) for i, pair in enumerate(pairs)], list(
        dict.fromkeys(notes)
    )


def _at(cells: Cells, first: str, second: str, head: str, scope: Scope, count: int) -> Answer | None:
    some = {
        name: {task: {seed: of[seed] for seed in sorted(of)[:count]} for task, of in cells[name].items()}
        for name in (first, second)
    }
    return about_methods(paired_cells(some, first, second, head, scope)[0], scope)


def _looked(
    pair: tuple[str, str],
    tasks: tuple[str, ...],
    fewest: int,
    answers: Sequence[Answer | None],
    adjusted: Sequence[float],
    cells: Cells,
) -> Looked:
    looks = tuple(
        Look(count, level, answer is not None, None if answer is None else p)
        for (count, level), answer, p in zip(LOOKS, answers, adjusted, strict=True)
    )
    decided = decided_at(looks)
    better = None
    if decided is not None:
        answer = answers[looks.index(decided)]
        better = None if answer is None else pair[0] if answer.difference > 0 else pair[1]
    coming = next_look(fewest)
    train = {}
    if decided is None and coming is not None:
        train = {name: _seeds_up_to([set(cells[name][task]) for task in tasks], coming[0]) for name in pair}
    return Looked(*pair, tasks, fewest, looks, better, decided.seeds if decided else None, train)


def _seeds_up_to(of_tasks: Sequence[set[int]], count: int) -> tuple[int, ...]:
    """`count` seeds: those that are there, and the lowest further numbers."""
    found = sorted(set().union(*of_tasks))
    further = (number for number in range(count + max(found) + 1) if number not in found)
    while len(found) < count:
        found.append(next(further))
    return tuple(sorted(found[:count]))


def looks_table(found: Sequence[Looked], notes: Sequence[str], title: str, commands: Sequence[str]) -> Table:
    rows = []
    for one in found:
        cells = [
            "not yet" if look.p is None else f"{p_text(look.p)}{'  decides' if look.decides else ''}"
            for look in one.looks
        ]
        if one.better is not None:
            verdict = f"{one.better} is better"
        else:
            verdict = "undecided, more seeds" if one.train else "undecided after the last look"
        rows.append((f"{one.first} - {one.second}", f"{len(one.tasks)} x {one.seeds}", *cells, verdict))
    columns = ("pair", "tasks x seeds", *(f"{count} seeds, p <= {level:g}" for count, level in LOOKS), "decided")
    own = [
        f"{METHODS}: p at exactly these numbers of training seeds, adjusted for all pairs (Holm); the levels sum to "
        "5 %, so all looks together raise false alarms in at most 5 %. A look at another number of seeds "
        "is none of them.",
    ]
    own += [f"next: {command}" for command in commands]
    return Table(title, columns, tuple(rows), (*own, *notes), text_columns=1)


def run_command(
    label: str, seeds: Sequence[int], suite: str, protocol: str, head: str, tasks: Sequence[str] | None, out: str
) -> str:
    """The `bench run` that trains what is missing of these seeds. label: of a method, as tables name it.

    tasks: None for all of the suite. Weights of a file are named, and where the file is the user has to say; so are the
    numbers that a protocol's or a head's label says were changed.
    """
    name, *options = label.split("+")
    words = ["bench run", f"--suite {suite}", f"--method {name}", f"--head {base_of(head)}"]
    words.append(f"--protocol {base_of(protocol)}")
    words += [f"KEY=VALUE_AS_IN_{said}" for said in (protocol, head) if said != base_of(said)]
    if tasks is not None:
        words.append(f"--tasks {','.join(tasks)}")
    words.append(f"--seeds {','.join(map(str, seeds))}")
    for option in options:
        key, _, value = option.partition("=")
        if key == "weights":
            words.append("--weights random" if value == "random" else f"--weights FILE_OF_{value}")
        else:
            words.append(f"--text {value}" if key == "text" else f"method.{key}={value}")
    return " ".join([*words, *([f"--out {out}"] if out != "runs" else [])])
