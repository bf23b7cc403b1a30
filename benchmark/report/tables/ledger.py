"""The ledger: for every row of CLAR's Tables I and II and CLAMP's Table I what the paper reports, what was reproduced,
and what was not run and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records.record import Record
from benchmark.records.shipped_methods import reported_as
from benchmark.report.comparisons.comparable import comparable, other_labels
from benchmark.report.tables import clamp_1
from benchmark.report.tables.clar_2 import RLBENCH
from benchmark.report.tables.mean_cells import interval_notes, rates_interval
from benchmark.report.tables.only_printed import ROMAN
from benchmark.report.tables.papers import PROTOCOLS, SUITES
from benchmark.report.tables.printed_numbers import reported
from benchmark.report.tables.protocol_note import PAPERS, departure
from benchmark.report.tables.table import Table
from benchmark.settings.labels import base_of
from benchmark.settings.load import DEFAULT_HEAD, load_settings
from benchmark.settings.policy import WHOLE
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from methods.card import MethodCard
from methods.policy_card import PolicyCard

WHERE = {("clar", 1): "MetaWorld", ("clar", 2): "RLBench", ("clamp", 1): "ALOHA"}
EVALUATIONS = {"clar": "best of 15 evaluations", "clamp": "best of 25 evaluations, mean of three training seeds"}
NO_METHOD = "not run: no method of ours"
PRE_TRAINING = "aloha-pretrain"
"""The suite of other tasks that a policy is trained on first, and the data of CLAMP's encoders."""
AS_PRE_TRAINED = "suite.observation.height=480 suite.observation.width=848 suite.observation.splat=3"
"""Views have to be drawn as those of the encoders' pre-training."""


def ledger(
    records: Sequence[Record], cards: Sequence[MethodCard], suite: Suite, protocol: str, paper: str = "clar"
) -> Table:
    """One row for each method that a row of the table can be reproduced with. Records of random weights where the
    method has pre-trained ones reproduce nothing and are left out.

    cards: of representations, and for CLAMP of whole policies. suite: of CLAR's, `rlbench-4` for Table II, else
        Table I. Raises `ConfigError` for a paper without a ledger, and for a suite of the other paper's tasks.
    """
    number = _table_of(paper, suite)
    name_of_table = f"Table {ROMAN[number]}"
    papers = PROTOCOLS.get((paper, number), PAPERS)
    printed = _printed(paper, name_of_table, suite)
    here = [r for r in records if r.suite == suite.name and r.protocol == protocol and not r.weights.get("untrained")]
    kept, apart = comparable(here)
    row_of = clamp_1.row_of if paper == "clamp" else reported_as
    shown: list[Record] = []
    rows: list[tuple[str, ...]] = []
    rules: set[int] = set()
    for name, value in printed.items():
        rules.add(len(rows))
        of_row = [r for r in kept if row_of(r) == name]
        played = {r.method for r in of_row}
        counts = [card for card in cards if _reproduces(card, name) or card.name in played]
        own = [_Method(card, suite, number, protocol, name) for card in counts]
        for method in own:
            of_method = [r for r in of_row if r.method == method.card.name]
            for head in sorted({r.head for r in of_method}) or [method.usual_head]:
                found = [r for r in of_method if r.head == head]
                shown += found
                status = method.status({r.task for r in found}, papers)
                label = method.label + ("" if head == method.usual_head else f", {head}")
                rows.append((name, f"{value:.1f}", label, _reproduced(found, suite), status, method.command(head)))
        if not own:
            rows.append((name, f"{value:.1f}", "–", "–", NO_METHOD, "–"))
    count = len(suite.task_names)
    notes = (
        *departure(protocol, papers, here),
        f"reported: {paper.upper()} {name_of_table}, mean over {count} {WHERE[paper, number]} tasks, "
        f"{EVALUATIONS[paper]}. reproduced: mean retest (the selected checkpoint on fresh episodes) of the tasks that "
        f"were run, in %, [95 % interval], tasks/all; comparable at {count}/{count} only.",
        *([clamp_1.MEAN_NOTE, *clamp_1.differences(shown)] if paper == "clamp" else []),
        *interval_notes(kept if paper == "clar" else shown),
        *(_in_no_row(kept, shown) if paper == "clamp" else []),
        *apart,
        *other_labels(records, suite.name, protocol),
    )
    columns = ("row", "reported", "method", "reproduced", "status", "command")
    title = f"Ledger of {paper.upper()} {name_of_table}"
    return Table(title, columns, tuple(rows), notes, frozenset(rules - {0}), text_columns=6)


def _table_of(paper: str, suite: Suite) -> int:
    if paper not in EVALUATIONS:
        raise ConfigError(f"--paper {paper} is none of {', '.join(EVALUATIONS)}")
    if paper == "clar":
        if suite.name == clamp_1.ALOHA:
            raise ConfigError(f"{suite.name} has the tasks of CLAMP's Table I: --paper clamp")
        return 2 if suite.name == RLBENCH else 1
    own = SUITES["clamp", 1]
    if suite.tasks != load_settings(own, "clamp", "mlp").suite.tasks:
        raise ConfigError(f"CLAMP's Table I has the tasks of {own}, which {suite.name} has not: --suite {own}")
    return 1


def _printed(paper: str, name_of_table: str, suite: Suite) -> dict[str, float]:
    """Row -> its mean in the paper, in %."""
    if paper == "clamp":
        return clamp_1.printed_means(suite)
    return {n.method: n.value for n in reported(paper, name_of_table) if n.column == "mean"}


def _reproduces(card: MethodCard, name: str) -> bool:
    """Whether a row of a table is this method's; of a whole policy the row with pre-trained weights is, too."""
    if name in BESIDE:
        return card.name == CLAMP
    if card.reported_as is None:
        return False
    return card.reported_as == name.removeprefix("Pretrained ") if _pre_trained(name) else card.reported_as == name


CLAMP = "clamp"
BESIDE = {row: policy for policy, row in clamp_1.WITH_CLAMP.items()}
"""Of rows with CLAMP's encoders the policy beside them, and whether it was pre-trained."""


def _pre_trained(name: str) -> bool:
    return name in {f"Pretrained {policy}" for policy in clamp_1.PRE_TRAINED}


@dataclass(frozen=True)
class _Method:
    """What reproduces a row of table `number`."""

    card: MethodCard
    suite: Suite
    number: int
    protocol: str
    name: str

    @property
    def usual_head(self) -> str:
        whole = isinstance(self.card, PolicyCard) and not self.card.representation
        return self.card.head or (WHOLE if whole else DEFAULT_HEAD)

    @property
    def label(self) -> str:
        return f"{BESIDE[self.name][0]}+{self.card.name}" if self.name in BESIDE else self.card.name

    def status(self, tasks: set[str], papers: str) -> str:
        """tasks: those that were run. papers: the paper's protocol."""
        if tasks and departure(self.protocol, papers):
            return f"not comparable: protocol {self.protocol} is not the paper's"
        if tasks == set(self.suite.task_names):
            return "done"
        if tasks:
            return f"partly: {', '.join(task for task in self.suite.task_names if task in tasks)}"
        if self.number == 2:
            return "not run: needs CoppeliaSim, which cannot be had where this was made (docs/rlbench.md)"
        if self.name in BESIDE:
            return "not run: nobody has published CLAMP's weights; bench pretrain makes them (docs/clamp.md), on a GPU"
        if any(file.url is None for file in self.card.weights):
            return "not run: nobody has published its weights; bench pretrain makes them (docs/clar.md), on a GPU"
        if self.suite.name == clamp_1.ALOHA:
            return f"not run: needs a GPU for the paper's {self._steps():,} steps a task (docs/policies.md)"
        if self.card.requires:
            return f"not run: needs the package {self.card.requires[0][0]} and its weights, which were not at hand"
        if self.card.weights:
            return "not run: its weights were not at hand (no internet where this was made)"
        return "not run: needs no weights, but a GPU: on two cores it takes hours a task (docs/measured.md)"

    def command(self, head: str) -> str:
        return self._beside(*BESIDE[self.name]) if self.name in BESIDE else self._alone(head)

    def _beside(self, policy: str, pre_trained: bool) -> str:
        """Of a policy beside CLAMP's encoders."""
        protocol, encoders = base_of(self.protocol), f"{PRE_TRAINING}-full"
        run = (
            f"bench run --suite {self.suite.name} --method {self.label} --protocol {protocol} --seeds 0:3 "
            f"--weights runs/pretrain/{self.card.name}/{encoders}/{encoders}.pt {AS_PRE_TRAINED} "
        )
        first = f"bench pretrain --method {self.card.name} --data {PRE_TRAINING}; "
        if not pre_trained:
            return f"{first}{run}--encoders-only"
        first += f"bench pretrain --policy {policy} --suite {PRE_TRAINING} --protocol {protocol}; "
        return f"{first}{run}policy.weights=runs/pretrain/{policy}/{PRE_TRAINING}/{PRE_TRAINING}.pt"

    def _alone(self, head: str) -> str:
        run = f"bench run --suite {self.suite.name} --method {self.card.name} --protocol {base_of(self.protocol)}"
        first = ""
        if self.suite.name == clamp_1.ALOHA:
            run += " --seeds 0:3"
        if _pre_trained(self.name):
            weights = f"runs/pretrain/{self.card.name}/{PRE_TRAINING}/{PRE_TRAINING}.pt"
            first = f"bench pretrain --policy {self.card.name} --suite {PRE_TRAINING} "
            first += f"--protocol {base_of(self.protocol)}; "
            run += f" --weights {weights}"
        run += "" if head == self.usual_head or base_of(head) == WHOLE else f" --head {base_of(head)}"
        return first + run + (" ..." if "+" in self.protocol + head else "")

    def _steps(self) -> int:
        return load_settings(self.suite.name, "clamp", "mlp").protocol.steps


def _in_no_row(kept: Sequence[Record], shown: Sequence[Record]) -> list[str]:
    """A footnote about records that reproduce no row: other methods, and policies in another size."""
    known = {id(r) for r in shown}
    names = sorted({f"{r.method}, {r.head}" for r in kept if id(r) not in known})
    table = "bench table 1 --paper clamp"
    return [f"in no row of the paper's ({table} shows them): {'; '.join(names)}."] if names else []


def _reproduced(found: Sequence[Record], suite: Suite) -> str:
    by_task = {task: [(r, r.retest) for r in found if r.task == task] for task in suite.task_names}
    by_task = {task: own for task, own in by_task.items() if any(e.tally.n for _, e in own)}
    if not by_task:
        return "–"
    rate, low, high, _ = rates_interval(by_task, suite.task_names)
    return f"{100 * rate:.1f} [{100 * low:.0f}, {100 * high:.0f}], {len(by_task)}/{len(suite.task_names)}"
