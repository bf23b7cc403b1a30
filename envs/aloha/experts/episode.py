"""From a seed to an expert's episode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from envs.aloha.experts.bowl import bowl_to_rack
from envs.aloha.experts.drawer import open_drawer
from envs.aloha.experts.forces import Servo
from envs.aloha.experts.habits import HABITS
from envs.aloha.experts.level import banana_to_bowl, pen_to_plate
from envs.aloha.experts.long_objects import can_opener, pen, screwdriver
from envs.aloha.experts.mug import mug_to_plate
from envs.aloha.experts.pilot import GaveUp, Over, Pilot
from envs.aloha.experts.plate import plate_to_rack
from envs.aloha.experts.push import close_drawer
from envs.aloha.experts.variety import Style
from envs.aloha.places import STEP
from envs.base import ExpertEpisode

LONGEST = 1500
"""Steps: 30 s. The suite's horizon; an expert that needs more has failed."""
AFTER = 25
"""Steps that a demonstration goes on after the first success; a suite can keep fewer (`stop_after_success`)."""


EXPERTS: dict[str, Callable[[Pilot], None]] = {
    "drawer-open": open_drawer,
    "mug-on-plate": mug_to_plate,
    "pen-in-container": pen,
    "screwdriver-in-caddy": screwdriver,
    "can-opener-in-caddy": can_opener,
    "plate-on-rack": plate_to_rack,
    "screwdriver-in-left-compartment": partial(screwdriver, compartment="left"),
    "can-opener-in-right-compartment": partial(can_opener, compartment="right"),
    "banana-in-bowl": banana_to_bowl,
    "pen-on-plate": pen_to_plate,
    "bowl-on-rack": bowl_to_rack,
    "middle-drawer-open": partial(open_drawer, drawer="middle"),
    "top-drawer-open": partial(open_drawer, drawer="top"),
    "bottom-drawer-close": close_drawer,
}


def play(env: Any, seed: int, hold: int | None = None, log: list[str] | None = None) -> ExpertEpisode:
    """env: `envs.aloha.env.Aloha`. hold: steps that it waits when it has let go and is home again; None: the episode
    ends `AFTER` steps after the first success, wherever the arms are then.

    failed: it gave up, or has not succeeded within `LONGEST` steps. log: gets what went other than planned.
    """
    env.reset(seed)
    if env.servo is None:
        env.servo = Servo(env.assets)
    habit = HABITS[env.task] if env.options.habit else None
    style = Style(np.random.default_rng([seed, 7]), env.options.variety, env.options.noise, habit)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("actions", "states", *env.told())}

    def keep(label: np.ndarray) -> None:
        columns["actions"].append(label)
        columns["states"].append(env.state())
        for name, value in env.told().items():
            columns[name].append(value)

    pilot = Pilot(env, env.servo, style, keep, LONGEST, AFTER if hold is None else LONGEST)
    try:
        EXPERTS[env.task](pilot)
        for _ in range(hold if hold is not None else AFTER):
            pilot.wait(STEP)
    except GaveUp as why:
        pilot.log.append(str(why))
    except Over:
        if pilot.first_success is None:
            pilot.log.append(f"more than {LONGEST} steps")
    if log is not None:
        log += pilot.log
    arrays = {name: np.stack(column) for name, column in columns.items()}
    success = np.array(pilot.done)
    observations = {name: array for name, array in arrays.items() if name not in ("actions", "states")}
    return ExpertEpisode(
        observations,
        arrays["actions"],
        success.astype(np.float32),
        success,
        arrays["states"],
        failed=not success.any(),
    )
