"""Rows that all tables of the paper share: printed, measured, missing, apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.report.tables.measured_cells import MISSING, three_lines
from benchmark.report.tables.skeleton import Members, choose, lay_out
from tests.report.made import one, place

GROUPS = [["reach"], ["hammer"], ["reach", "hammer"], []]


def lines(label: str, found: Members) -> list[tuple[str, ...]]:
    return three_lines(label, found.records, GROUPS, [False] * len(GROUPS))


def test_rows_stand_below_what_is_printed_and_own_methods_after_them() -> None:
    records = [one("reach", "dp3"), one("hammer", "dp3"), one("reach", "proprio-only")]
    odd = dataclasses.replace(one("reach", "dp3", seed=4), identity={**records[0].identity, "precision": "bf16"})
    chosen = choose([*records, odd], lambda r: "DP3" if r.method == "dp3" else "own")
    body = lay_out(chosen, GROUPS, ["R3M", "DP3"], lambda name: (name, "reported", "1", "2", "3", "4"), lines)
    assert [row[:2] for row in body.rows] == [
        ("R3M", "reported"),
        ("", "retest"),
        ("DP3", "reported"),
        *[("dp3, mlp", number) for number in ("best*", "retest", "last")],
        *[("proprio-only, mlp", number) for number in ("best*", "retest", "last")],
        ("dp3, mlp s4, reach", "excluded"),
    ]
    assert body.rows[1] == ("", "retest", *[MISSING] * 4)
    assert all(row[5] == MISSING for row in body.rows if row[1] not in ("reported",)), "no tasks, no number"
    assert body.rules == {2, 6, 9} and body.partial
    assert len(chosen.apart) == 1 and chosen.kept == records


def test_labels_are_sorted_by_method_then_head() -> None:
    """A method with an option stands after the method itself."""
    plain = one("reach", "dp3")
    other = dataclasses.replace(plain, method="dp3+norm=workspace", seed=0)
    chosen = choose([other, plain, one("reach", "dp3", head="bnmlp")], lambda _: "DP3")
    assert list(chosen.rows["DP3"]) == ["dp3, bnmlp", "dp3, mlp", "dp3+norm=workspace, mlp"]


def test_a_damaged_file_of_shifts_is_named_and_its_record_stays(tmp_path: Path) -> None:
    path, record = place(one("reach", "dp3"), tmp_path)
    path.with_suffix(".shifts.json").write_text("{}")
    chosen = choose([record], paths={id(record): path})
    assert len(chosen.apart) == 1 and "holds no shifts" in chosen.apart[0]
    (members,) = chosen.by_label().values()
    assert members.retested() == {"reach": [(record, record.retest)]}
    assert members.retested("corner2") == {"reach": [(record, None)]}
