"""Any table of the two papers, from whatever records are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.records.record import Record
from benchmark.report.comparisons.comparable import other_labels
from benchmark.report.tables.clamp_1 import ALOHA, clamp_table_1
from benchmark.report.tables.clamp_3 import clamp_ablation_table
from benchmark.report.tables.clar_1 import clar_table_1
from benchmark.report.tables.clar_2 import RLBENCH, clar_table_2
from benchmark.report.tables.clar_3 import clar_table_3
from benchmark.report.tables.clar_4 import clar_table_4
from benchmark.report.tables.clar_5 import clar_table_5
from benchmark.report.tables.only_printed import check_number, printed_table
from benchmark.report.tables.protocol_note import KEYFRAMES, PAPERS, named
from benchmark.report.tables.table import Table
from benchmark.settings.clamp_ablation import SUITE as CLAMP_ABLATION
from benchmark.settings.suite import Suite

SUITES = {
    ("clar", 1): "metaworld-15",
    ("clar", 2): RLBENCH,
    ("clar", 3): "metaworld-multitask",
    ("clar", 4): "metaworld-perspective",
    ("clar", 5): "clar-ablation",
    ("clamp", 1): ALOHA,
    ("clamp", 3): CLAMP_ABLATION,
    ("clamp", 4): CLAMP_ABLATION,
}
"""The suite whose records fill a table; the others are shown beside "not run"."""
PROTOCOLS = {("clar", 2): KEYFRAMES} | {("clamp", number): "clamp" for number in (1, 3, 4)}
"""The paper's protocol of a table, where it is not `clar`."""


def paper_table(
    paper: str,
    number: int,
    records: Sequence[tuple[Path, Record]],
    suite: Suite | None,
    protocol: str,
    method: str | None = None,
) -> Table:
    """records: task by task. suite: in place of the table's own, None for tables without. method: of ablations, CLAR's
    table 5 and CLAMP's 3 and 4; None for the paper's own.

    Raises `ConfigError` for a table that the paper does not have.
    """
    check_number(paper, number)
    method = method or paper
    if suite is None:
        return printed_table(paper, number)
    plain = [record for _, record in records]
    paper_protocol = PROTOCOLS.get((paper, number), PAPERS)
    if paper == "clamp" and number != 1:
        table, _ = clamp_ablation_table(plain, suite, protocol, method, number)
    elif paper == "clamp":
        table, _ = clamp_table_1(records, suite, protocol)
    elif number == 2:
        table, _ = clar_table_2(plain, suite, protocol)
    elif number == 3:
        table, _ = clar_table_3(records, suite, protocol)
    elif number == 4:
        table, _ = clar_table_4(records, suite, protocol)
    elif number == 5:
        table, _ = clar_table_5(plain, suite, protocol, method)
    else:
        table, _ = clar_table_1(plain, suite, protocol)
    table = named(table, suite.name, protocol, paper_protocol, plain)
    return dataclasses.replace(table, notes=(*table.departs, *table.notes, *other_labels(plain, suite.name, protocol)))
