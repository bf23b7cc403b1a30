"""A table for a terminal: what is wider than that is laid out anew, word by word."""

from __future__ import annotations

import dataclasses
import io
import re
import textwrap
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.report.tables.table import Table
from benchmark.system.wrapped import wrapped

BLANK = "\ue000"
"""A blank at which no line ends, until the table is laid out: the library breaks at all that Unicode has."""
_TOGETHER = re.compile(r"(?<=\d) (?=%)|(?<=,) (?=[^\[\] ]+\])")
"""The blanks within `45 %` and `[31, 60]`."""
NARROWEST = 5
"""Columns of a terminal below which no column of a table is cut."""


def terminal(table: Table, width: int | None) -> str:
    """In `width` columns, 120 if nothing says how many there are; notes below, their further lines further in."""
    width = width or 120
    narrow, table = _laid_out(table, width)
    rich = RichTable(
        title=table.title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        title_style="none",
        header_style="none",
        padding=(0, 1) if narrow is None else (0, 0, 0, narrow[1]),
    )
    for index, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "left" if index < table.text_columns else "right"
        rich.add_column(column, justify=justify, overflow="fold", width=narrow and narrow[0][index])
    for index, row in enumerate(table.rows):
        cells = [Text(cell, style="bold" if (index, c) in table.bold else "") for c, cell in enumerate(row)]
        rich.add_row(*cells, end_section=index + 1 in table.rules)
    stream = io.StringIO()  # bold is the only escape sequence in it; `typer.echo` drops it where no terminal reads
    console = Console(
        file=stream,
        width=width,
        highlight=False,
        markup=False,
        no_color=True,
        force_terminal=True,
        color_system="standard",
        emoji=False,
        _environ={},
    )
    console.print(rich)
    lines = (wrapped(note, width, "  ", "    ") + "\n" for note in table.notes)
    return stream.getvalue().replace(BLANK, " ") + "".join(lines)


def _laid_out(table: Table, width: int) -> tuple[tuple[list[int], int] | None, Table]:
    """As `_narrow`, for the table with every interval and percentage held together by `BLANK`; with plain blanks where
    that would cut one of them."""
    rows = tuple(tuple(_TOGETHER.sub(BLANK, cell) for cell in row) for row in table.rows)
    held = dataclasses.replace(table, rows=rows)
    found = _narrow(held, width)
    if found is None or not _cuts(held, found[0]):
        return found, held
    return _narrow(table, width), table


def _cuts(table: Table, widths: list[int]) -> bool:
    """Whether a column is less wide than something in it that is held together."""
    return any(
        BLANK in word and cell_len(word) > width
        for cells, width in zip(zip(*table.rows, strict=True), widths, strict=True)
        for cell in cells
        for word in cell.split()
    )


def _narrow(table: Table, width: int) -> tuple[list[int], int] | None:
    """For a table that is too wide: widths of columns that break no word if that can be, and the blanks of padding
    between two of them (0 or 1, beside the one of the box). None where it fits as it is, or where nothing fits.

    Each column begins as wide as its longest word. Where that is too much, the widest give; what is left goes, one by
    one, to the column that has the most lines in one of its cells.
    """
    columns = list(zip(table.columns, *table.rows, strict=True))
    whole = [max(map(cell_len, cells)) for cells in columns]
    if sum(whole) + 3 * len(columns) - 1 <= width:  # as rich lays it out: two of padding and one of the box
        return None
    found = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    padding = int(sum(found) + 2 * len(columns) <= width)
    room = width - (1 + padding) * len(columns) - (1 - padding)
    while sum(found) > room:
        widest = max(found)
        if widest <= NARROWEST:
            return None
        found[found.index(widest)] -= 1
    while sum(found) < room:
        cut = zip(columns, found, whole, strict=True)
        lines = [max(_lines(cell, at) for cell in cells) if at < full else 0 for cells, at, full in cut]
        if not max(lines):
            break
        found[lines.index(max(lines))] += 1
    return found, padding


def _lines(text: str, width: int) -> int:
    return len(textwrap.wrap(text, width, break_on_hyphens=False)) or 1
