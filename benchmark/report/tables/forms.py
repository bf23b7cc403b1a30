"""A table as text: for terminals, Markdown, LaTeX, spreadsheets and pages."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import re

from benchmark.report.tables.table import Table
from benchmark.report.tables.terminal import terminal
from benchmark.system.errors import ConfigError
from benchmark.system.printable import one_line

FORMATS = ("terminal", "markdown", "latex", "csv", "html")


def render(table: Table, form: str, width: int | None = None) -> str:
    """The table in one of `FORMATS`. Raises `ConfigError` for another name.

    Whatever stands in a cell, it is one line and no control character: a table's text may come from anybody.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    table = dataclasses.replace(
        table,
        title=one_line(table.title),
        columns=tuple(map(one_line, table.columns)),
        rows=tuple(tuple(map(one_line, row)) for row in table.rows),
        notes=tuple(map(one_line, table.notes)),
    )
    forms = {"terminal": terminal, "markdown": _markdown, "latex": _latex, "csv": _csv, "html": _html}
    return forms[form](table, width)


def _markdown(table: Table, _: int | None) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(map(_escaped, cells)) + " |"

    align = tuple("---" if i < table.text_columns else "---:" for i in range(len(table.columns)))
    lines = [f"**{_escaped(table.title)}**", "", line(table.columns), "| " + " | ".join(align) + " |"]
    for index, row in enumerate(table.rows):
        text = line(tuple(f"\0{cell}\0" if (index, c) in table.bold else cell for c, cell in enumerate(row)))
        lines.append(text.replace("\0", "**"))
    if table.notes:
        lines += ["", *(f"- {_escaped(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Nothing of Markdown or HTML is left in it."""
    for sign, written in (("\\", "\\\\"), ("|", "\\|"), ("*", "\\*"), ("`", "\\`"), ("<", "&lt;"), ("](", "]\\(")):
        text = text.replace(sign, written)
    return text


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "†": r"\textdagger{}",
    "–": "--",
}


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
    """Lines that begin with # say what the table is: `pandas.read_csv(file, comment="#")` leaves them out."""
    from benchmark.report.tables.marks import marks

    facts = [("title", table.title), ("suite", table.suite), ("protocol", table.protocol)]
    facts += [("departs from the paper's protocol", text) for text in table.departs]
    meanings = marks(table)
    facts += [(f"mark {mark}", meaning) for mark, meaning in meanings.items()]
    facts += [("bold cell", f"row {row + 1}, {table.columns[column]}") for row, column in sorted(table.bold)]
    said = tuple(text.rstrip(".") for text in (*table.departs, *meanings.values()))
    facts += [("note", note) for note in table.notes if not note.rstrip(".").endswith(said)]
    stream = io.StringIO()
    stream.writelines(f"# {name}: {one_line(text)}\n" for name, text in facts if text)
    writer = csv.writer(stream, lineterminator="\n")
    lines = ([csv_cell(text) for text in row] for row in (table.columns, *table.rows))
    for line in lines:
        if any("#" in text for text in line):  # in quotes it begins no comment
            stream.write(",".join('"' + text.replace('"', '""') + '"' for text in line) + "\n")
        else:
            writer.writerow(line)
    return stream.getvalue()


def csv_cell(text: str) -> str:
    """A spreadsheet takes a cell that begins with = + - @ for a formula; behind an apostrophe it is text.

    Numbers, signs and intervals stay as they are.
    """
    text = one_line(text)
    risky = text[:1] in ("=", "@") or (text[:1] in ("+", "-") and re.search(r"[^\W\d_]|[=@!(]", _NUMBER.sub("", text)))
    return f"'{text}" if risky else text


_NUMBER = re.compile(r"[+-]?(\d[\d,.]*(e[+-]?\d+)?|nan|inf)", re.IGNORECASE)


def _html(table: Table, _: int | None) -> str:
    """A part of a page; the page brings the style."""
    kinds = [' class="word"' if i < table.text_columns else "" for i in range(len(table.columns))]
    head = "".join(f'<th scope="col"{kind}>{html.escape(c)}</th>' for kind, c in zip(kinds, table.columns, strict=True))
    lines = ['<div class="wide"><table class="paper">', f"<caption>{html.escape(table.title)}</caption>"]
    lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for index, row in enumerate(table.rows):
        cells = [
            f"<td{kind}><strong>{html.escape(cell)}</strong></td>"
            if (index, c) in table.bold
            else f"<td{kind}>{html.escape(cell)}</td>"
            for c, (kind, cell) in enumerate(zip(kinds, row, strict=True))
        ]
        rule = ' class="rule"' if index in table.rules else ""
        lines.append(f"<tr{rule}>{''.join(cells)}</tr>")
    lines += ["</tbody></table></div>"]
    if table.notes:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
        lines.append(f'<ul class="note">{notes}</ul>')
    return "\n".join(lines) + "\n"
