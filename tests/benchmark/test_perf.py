"""That `bench perf` measures what it says; how fast this machine is, no test may ask."""

from __future__ import annotations

import pytest

from benchmark.perf import measure, render_report


@pytest.mark.gl
@pytest.mark.slow
def test_every_measurement_has_a_floor_and_a_target() -> None:
    report = measure("reach", 0.4, naive=True)
    whats = [row["what"] for row in report["rows"]]
    for words in ("point-cloud rollouts, free policy", "render=fast", "render=paper", "training dp3", "share of a step",
                  "worker", "5,000 clouds", "naive loop"):  # fmt: skip
        assert any(words in what for what in whats), words
    for row in report["rows"]:
        assert row["ours"] > 0
        assert row["floor"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["floor"])
    text = render_report(report)
    assert report["machine"]["cpu"] in text
    assert len(text.splitlines()) == 4 + len(report["rows"])
