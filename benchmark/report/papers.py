"""Any table of the two papers, from whatever records are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.protocol import Suite
from benchmark.report.ablation_table import clar_table_5
from benchmark.report.conditions import other_labels
from benchmark.report.departure import departure
from benchmark.report.multitask_table import clar_table_3
from benchmark.report.perspective_table import clar_table_4
from benchmark.report.printed_table import check_number, printed_table
from benchmark.report.record import Record
from benchmark.report.table import Table
from benchmark.report.tables import clar_table_1

SUITES = {("clar", 1): "metaworld-15", ("clar", 3): "metaworld-multitask", ("clar", 4): "metaworld-perspective",
          ("clar", 5): "clar-ablation"}  # fmt: skip
"""The suite whose records fill a table; the others are printed beside "missing"."""


def paper_table(paper: str, number: int, records: Sequence[tuple[Path, Record]], suite: Suite | None, protocol: str,
                method: str = "clar") -> Table:  # fmt: skip
    """records: task by task. suite: in place of the table's own, None for tables without. method: of table 5.

    Raises `ConfigError` for a table that the paper does not have.
    """
    check_number(paper, number)
    if suite is None:
        return printed_table(paper, number)
    plain = [record for _, record in records]
    if number == 3:
        table, _ = clar_table_3(records, suite, protocol)
    elif number == 4:
        table, _ = clar_table_4(records, suite, protocol)
    elif number == 5:
        table, _ = clar_table_5(plain, suite, protocol, method)
    else:
        table, _ = clar_table_1(plain, suite, protocol)
    return dataclasses.replace(
        table, notes=(*departure(protocol), *table.notes, *other_labels(plain, suite.name, protocol))
    )
