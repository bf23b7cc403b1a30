"""docs/measured.png anew, from the committed records: `python scripts/readme_chart.py`.

Retest of each method on the tasks that all of them were measured on, and its mean over all tasks that it has. The
image carries its numbers, by which a test finds one that is out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import repbench
from benchmark.report.method_colours import colour_of
from benchmark.report.statistics.intervals import wilson

ROOT = Path(__file__).resolve().parents[1]
KEY = "numbers"
METHODS = {
    "state": "state (true object poses)",
    "dp3": "DP3 encoder (points)",
    "random-features": "frozen random network (points)",
    "proprio-only": "proprioception alone",
}
WIDTH = 0.84 / len(METHODS)
"""Of a bar and the gap beside it, where tasks are 1 apart."""


def numbers() -> dict[str, dict[str, list[int]]]:
    """Task -> method -> successes and episodes of the retest, for tasks that every method has, seed 0."""
    frame = repbench.load_records(ROOT / "results" / "measured")
    kept = frame[(frame.kind == "retest") & (frame.suite == "metaworld-15") & (frame.protocol == "clar")]
    kept = kept[(kept["head"] == "mlp") & (kept.seed == 0) & kept.method.isin(METHODS)]
    tasks = [task for task, own in kept.groupby("task") if set(own.method) == set(METHODS)]
    rows = kept[kept.task.isin(tasks)].set_index(["task", "method"])
    return {
        task: {method: [int(rows.loc[(task, method), "k"]), int(rows.loc[(task, method), "n"])] for method in METHODS}
        for task in tasks
    }


def main() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = numbers()
    figure = Figure(figsize=(7.2, 2.7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for place, (method, label) in enumerate(METHODS.items()):
        counts = [found[task][method] for task in found]
        rates = [100 * k / n for k, n in counts]
        ends = [wilson(k, n) for k, n in counts]
        errors = [
            [rate - 100 * low for rate, (low, _) in zip(rates, ends, strict=True)],
            [100 * high - rate for rate, (_, high) in zip(rates, ends, strict=True)],
        ]
        at = [i + (place - (len(METHODS) - 1) / 2) * WIDTH for i in range(len(found))]
        axes.bar(at, rates, 0.93 * WIDTH, yerr=errors, capsize=3, color=colour_of(method), label=label)
        for x, (k, n), (_, high) in zip(at, counts, ends, strict=True):
            axes.text(x, 100 * high + 2, f"{100 * k / n:.0f}", ha="center", fontsize=7)
    axes.set_xticks(range(len(found)), list(found))
    axes.set(ylabel="success, %", ylim=(0, 118), yticks=range(0, 101, 25))
    axes.set_title(
        "Fresh episodes of the selected checkpoint, protocol clar, one training seed, 95 % intervals", fontsize=8
    )
    axes.legend(
        fontsize=8, ncols=len(METHODS), columnspacing=1, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(ROOT / "docs" / "measured.png", metadata={"Software": None, KEY: json.dumps(found)})


if __name__ == "__main__":
    main()
