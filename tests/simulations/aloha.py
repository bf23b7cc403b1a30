"""How often the ALOHA experts succeed on seeds that nobody has looked at: `python -m tests.simulations.aloha`.

Markdown, a row a task: successes with a 95 % interval; of the first episodes, how often the task is still done two
seconds after the hands have let go and are home again; steps to success; CPU seconds a demonstration (reset, plan and
physics, no images). Less than an hour for all on a core of its own; `--tasks`, `--episodes` and `--first` take less.
`--options '{"noise": 0.02}'` measures with options of the simulator.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from benchmark.report.statistics.intervals import wilson
from envs.aloha.env import Aloha
from envs.aloha.experts.episode import play
from envs.options import options_of, set_options
from envs.registry import make
from envs.spec import ObservationRequest

HOLD = 100
"""Steps: 2 s."""
LOOKED_AT = 50
"""Of the last so many steps one has to be a success: objects that lean tremble about the speed that counts as none."""


def measure(env: Any, seeds: range, held: int) -> dict[str, Any]:
    """held: how many of the episodes go on for two seconds."""
    won, kept, steps, seconds, odd = 0, 0, [], [], []
    for number, seed in enumerate(seeds):
        log: list[str] = []
        start = time.process_time()
        episode = play(env, seed, HOLD if number < held else None, log)
        spent = time.process_time() - start
        if episode.success.any():
            won += 1
            steps.append(int(np.argmax(episode.success)) + 1)
        if number < held:
            kept += bool(episode.success[-LOOKED_AT:].any())
        else:
            seconds.append(spent)
        if log:
            odd.append(f"{seed}: {'; '.join(log)}")
        print(f"  {env.task} {seed} {steps[-1] if episode.success.any() else 'failed'} {spent:.1f} s {log}", flush=True)
    return {"won": won, "kept": kept, "steps": steps, "seconds": seconds, "odd": odd}


def share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count}/{of} [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(Aloha.tasks))
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--held", type=int, default=20, help="of them, how many go on for two seconds")
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--options", type=json.loads, default={}, help="of the simulator, as JSON")
    given = parser.parse_args()
    set_options("aloha", given.options)
    print(f"{Aloha.version}; options {options_of('aloha')}; seeds {given.first} to {given.first + given.episodes - 1}")
    rows = [
        "| task | success, % | two seconds later, % | steps to success: median (range) | CPU, s |",
        "|" + " --- |" * 5,
    ]
    for task in given.tasks:
        env: Any = make("aloha", task, ObservationRequest(("proprio",)))
        found = measure(env, range(given.first, given.first + given.episodes), given.held)
        env.close()
        steps = found["steps"]
        spread = f"{np.median(steps):.0f} ({min(steps)}-{max(steps)})" if steps else "-"
        cpu = f"{np.median(found['seconds']):.1f}" if found["seconds"] else "-"
        later = share(found["kept"], given.held) if given.held else "-"
        rows.append(f"| {task} | {share(found['won'], given.episodes)} | {later} | {spread} | {cpu} |")
        print(rows[-1], flush=True)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
