"""A table as data, and its forms."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

FORMATS = ("terminal", "markdown", "latex", "csv", "html")


@dataclass(frozen=True)
class Table:
    """Text cells under column names. `rules` are indices of rows that a rule is drawn above; notes go below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    rules: frozenset[int] = frozenset()
    text_columns: int = 1
    """How many columns from the left are words; the others are right-aligned."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of cells that stand out."""


def as_data(table: Table) -> dict[str, Any]:
    """The table for `--json`."""
    return {**dataclasses.asdict(table), "rules": sorted(table.rules), "bold": sorted(table.bold)}


def render(table: Table, form: str, width: int | None = None) -> str:
    """The table in one of `FORMATS`. Raises ValueError for another name."""
    if form not in FORMATS:
        raise ValueError(f"--format {form} is none of {', '.join(FORMATS)}")
    forms = {"terminal": _terminal, "markdown": _markdown, "latex": _latex, "csv": _csv, "html": _html}
    return forms[form](table, width)


def _terminal(table: Table, width: int | None) -> str:
    rich = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False,
                     title_style="none", header_style="none")  # fmt: skip
    for index, column in enumerate(table.columns):
        rich.add_column(column, justify="left" if index < table.text_columns else "right", overflow="fold")
    for index, row in enumerate(table.rows):
        cells = [Text(cell, style="bold" if (index, c) in table.bold else "") for c, cell in enumerate(row)]
        rich.add_row(*cells, end_section=index + 1 in table.rules)
    stream = io.StringIO()  # bold is the only escape sequence in it; `typer.echo` drops it where no terminal reads
    console = Console(file=stream, width=width or 120, highlight=False, markup=False, no_color=True,
                      force_terminal=True, color_system="standard")  # fmt: skip
    console.print(rich)
    for note in table.notes:
        console.print(f"  {note}")
    return stream.getvalue()


def _markdown(table: Table, _: int | None) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"

    align = tuple("---" if i < table.text_columns else "---:" for i in range(len(table.columns)))
    lines = [f"**{table.title}**", "", line(table.columns), "| " + " | ".join(align) + " |"]
    for index, row in enumerate(table.rows):
        text = line(tuple(f"\0{cell}\0" if (index, c) in table.bold else cell for c, cell in enumerate(row)))
        lines.append(text.replace("\0", "**"))
    if table.notes:
        lines += ["", *(f"- {note}".replace("*", "\\*") for note in table.notes)]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"\textdagger{}", "–": "--",
}  # fmt: skip


def _latex(table: Table, _: int | None) -> str:
    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    align = "l" * table.text_columns + "r" * (len(table.columns) - table.text_columns)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(table.title)}}}", rf"\begin{{tabular}}{{{align}}}"]
    lines += [r"\toprule", " & ".join(map(escape, table.columns)) + r" \\", r"\midrule"]
    for index, row in enumerate(table.rows):
        if index in table.rules and index:
            lines.append(r"\midrule")
        # a bracket at a row's start would be read as the optional argument of the line break before it
        cells = [
            rf"\textbf{{{escape(cell)}}}" if (index, c) in table.bold else escape(cell) for c, cell in enumerate(row)
        ]
        lines.append("{}" + " & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {escape(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _csv(table: Table, _: int | None) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return stream.getvalue()


def _html(table: Table, _: int | None) -> str:
    """A part of a page; the page brings the style."""
    kinds = [' class="word"' if i < table.text_columns else "" for i in range(len(table.columns))]
    head = "".join(f'<th scope="col"{kind}>{html.escape(c)}</th>' for kind, c in zip(kinds, table.columns, strict=True))
    lines = ['<div class="wide"><table class="paper">', f"<caption>{html.escape(table.title)}</caption>"]
    lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for index, row in enumerate(table.rows):
        cells = [
            f"<td{kind}><strong>{html.escape(cell)}</strong></td>" if (index, c) in table.bold
            else f"<td{kind}>{html.escape(cell)}</td>"
            for c, (kind, cell) in enumerate(zip(kinds, row, strict=True))
        ]  # fmt: skip
        rule = ' class="rule"' if index in table.rules else ""
        lines.append(f"<tr{rule}>{''.join(cells)}</tr>")
    lines += ["</tbody></table></div>"]
    if table.notes:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
        lines.append(f'<ul class="note">{notes}</ul>')
    return "\n".join(lines) + "\n"
