"""Success over epochs and over cameras of one cell, and the losses of a pre-training, as images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.records.record import Evaluation, Record, Tally
from benchmark.report.statistics.intervals import wilson
from benchmark.system.files import write_atomically
from envs.camera import Orbit, parse_camera


def plot_cell(record: Record, path: Path) -> None:
    """Evaluations with their Wilson bands, the selected one starred, the retest and its interval as a level."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = dict(enumerate(record.training.get("evaluated_at_steps", ()), start=1))  # of training by steps
    epochs = [steps.get(e.epoch, e.epoch) for e in record.evaluations]
    rates = [100 * e.tally.rate for e in record.evaluations]
    bands = [wilson(e.tally.k, e.tally.n) for e in record.evaluations]
    axes.fill_between(
        epochs, [100 * b[0] for b in bands], [100 * b[1] for b in bands], color="#0072b2", alpha=0.15, linewidth=0
    )
    axes.plot(epochs, rates, "o-", color="#0072b2", markersize=4, label=f"evaluation, {record.best.n} rollouts each")
    best = record.best
    axes.plot(
        [steps.get(record.selected_epoch, record.selected_epoch)],
        [100 * best.rate],
        "*",
        color="#d55e00",
        markersize=15,
        label=f"best* {best.k}/{best.n}",
    )
    test = record.retest.tally
    low, high = wilson(test.k, test.n)
    axes.axhspan(100 * low, 100 * high, color="#009e73", alpha=0.12, linewidth=0)
    axes.axhline(
        100 * test.rate,
        color="#009e73",
        linestyle="--",
        label=f"retest {test.k}/{test.n} [{100 * low:.0f}, {100 * high:.0f}], of this training seed",
    )
    axes.set(
        xlabel="optimiser step" if steps else "epoch",
        ylabel="success, %",
        ylim=(-3, 103),
        xlim=(0, epochs[-1] * 1.02),
        title=f"{record.task}, {record.method}, {record.head}, seed {record.seed} ({record.protocol})",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)
    _save(figure, path)


def plot_shifts(record: Record, found: dict[str, Evaluation], path: Path) -> None:
    """Retest success over each axis along which a camera was moved, with Wilson bands; unmoved, it is the retest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = shift_curves(record, found)
    if not curves:
        return
    figure = Figure(figsize=(4.6 * len(curves), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{record.task}, {record.method}, {record.head}, seed {record.seed}: camera moved", fontsize=10)
    for axes, ((camera, axis), points) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        places = [place for place, _ in points]
        bands = [wilson(tally.k, tally.n) for _, tally in points]
        axes.fill_between(
            places,
            [100 * low for low, _ in bands],
            [100 * high for _, high in bands],
            color="#0072b2",
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(places, [100 * tally.rate for _, tally in points], "o-", color="#0072b2", markersize=4)
        axes.axvline(1.0 if axis == "distance" else 0.0, color="#888888", linestyle=":", linewidth=1)
        unit = "times as far" if axis == "distance" else "degrees"
        axes.set(xlabel=f"{axis} of {camera}, {unit}", ylabel="success, %", ylim=(-3, 103))
        axes.grid(alpha=0.3)
    _save(figure, path)


def shift_curves(record: Record, found: dict[str, Evaluation]) -> dict[tuple[str, str], list[tuple[float, Tally]]]:
    """(camera, axis) -> (value, retest) in rising order, the unmoved camera among them. Only axes moved alone."""
    curves: dict[tuple[str, str], list[tuple[float, Tally]]] = {}
    for name, evaluation in found.items():
        camera, orbit = parse_camera(name)
        moved = (
            {}
            if orbit is None
            else {
                axis: getattr(orbit, axis)
                for axis in ("azimuth", "elevation", "distance")
                if getattr(orbit, axis) != getattr(Orbit(), axis)
            }
        )
        if len(moved) == 1:
            ((axis, value),) = moved.items()
            still = (getattr(Orbit(), axis), record.retest.tally)
            curves.setdefault((camera, axis), [still]).append((value, evaluation.tally))
    return {key: sorted(points, key=lambda point: point[0]) for key, points in curves.items()}


def plot_pretraining(card: dict[str, Any], trained: Sequence[str], path: Path) -> None:
    """Each trained term over epochs, on its own logarithmic axis: training, and held-out frames."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter, MaxNLocator

    history = card["history"]
    terms = [name for name in history[-1]["train"] if name in trained]
    figure = Figure(figsize=(4.2 * len(terms), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{card['method']}, {card['label']}", fontsize=10)
    epochs = [entry["epoch"] for entry in history]
    for axes, name in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
        axes.plot(epochs, [entry["train"][name] for entry in history], color="#0072b2", label="training")
        if name in history[-1]["valid"]:
            held_out = [entry["valid"][name] for entry in history]
            axes.plot(epochs, held_out, color="#d55e00", linestyle="--", label="held-out frames")
        positive = min(entry["train"][name] for entry in history) > 0
        axes.set(xlabel="epoch", title=name, yscale="log" if positive else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if positive:  # 3 and not 3 x 10^0
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))
