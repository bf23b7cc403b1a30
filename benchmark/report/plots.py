"""Success over epochs of one cell, as a picture."""

from __future__ import annotations

import io
from pathlib import Path

from benchmark.report.record import Record
from benchmark.report.stats import wilson
from benchmark.storage import write_atomically


def plot_cell(record: Record, path: Path) -> None:
    """Evaluations with their Wilson bands, the selected one starred, the retest and its interval as a level."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    epochs = [e.epoch for e in record.evaluations]
    rates = [100 * e.tally.rate for e in record.evaluations]
    bands = [wilson(e.tally.k, e.tally.n) for e in record.evaluations]
    axes.fill_between(
        epochs, [100 * b[0] for b in bands], [100 * b[1] for b in bands], color="#0072b2", alpha=0.15, linewidth=0
    )
    axes.plot(epochs, rates, "o-", color="#0072b2", markersize=4, label=f"evaluation, {record.best.n} rollouts each")
    best = record.best
    axes.plot(
        [record.selected_epoch], [100 * best.rate], "*", color="#d55e00", markersize=15,
        label=f"best* {best.k}/{best.n}",
    )  # fmt: skip
    test = record.retest.tally
    low, high = wilson(test.k, test.n)
    axes.axhspan(100 * low, 100 * high, color="#009e73", alpha=0.12, linewidth=0)
    axes.axhline(
        100 * test.rate, color="#009e73", linestyle="--",
        label=f"retest {test.k}/{test.n} [{100 * low:.0f}, {100 * high:.0f}]",
    )  # fmt: skip
    axes.set(
        xlabel="epoch", ylabel="success, %", ylim=(-3, 103), xlim=(0, epochs[-1] * 1.02),
        title=f"{record.task}, {record.method}, {record.head}, seed {record.seed} ({record.protocol})",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))
