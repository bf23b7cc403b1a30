"""A method is tried on two made-up observations before a cell's work begins.

What breaks the contract of `methods.base.Representation` is one line after a second, not a matrix product's message
after the demonstrations are collected, and not a number under a false name. Nothing of it reaches the work: the states
of every global random generator are as they were.
"""

from __future__ import annotations

import copy
import os
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

from benchmark.experiment import probe_rules
from benchmark.experiment.cell import Cell
from benchmark.experiment.probe_rules import Probed
from benchmark.settings import seeds
from benchmark.settings.head import DiffusionConfig
from benchmark.settings.machine import resolve_device
from benchmark.system.progress import say
from envs.spec import FieldSpec
from methods.base import Representation
from methods.code import imports_so_far, refuse_unnamed
from methods.errors import BadMethod, BadWeights, WeightsMissing, is_machines, passed_through, raised
from methods.frozen import count_parameters
from methods.testing import random_observations

LARGE = 20_000_000
"""Parameters from which an encoder is built once: it takes seconds."""
ROWS = 2
SLOW = 30.0
"""Seconds after which a probe that goes on is worth a line."""
FITTED, FIT_BYTES = 64, 64 * 2**20
"""Made-up rows that `fit` gets, and how many bytes they may have."""


class Built:
    """A representation as `Cell.build` gives it after the seed of the cell's weights, to be taken once.

    state: torch's generator after it was built.
    """

    def __init__(self, representation: Representation, state: torch.Tensor) -> None:
        self._representation: Representation | None = representation
        self._state = state

    def take(self) -> Representation | None:
        """The representation, with torch's generator where building it would have left it; None the second time."""
        found, self._representation = self._representation, None
        if found is not None:
            torch.set_rng_state(self._state)
        return found


def probe(cell: Cell) -> Built | None:
    """Try the cell's method, and its policy where that is somebody's own; what is large enough to be worth keeping
    comes back, untouched, for the cell's own use.

    Raises `BadMethod` naming the method, what was found, what is expected and the mend; what is wrong with weights or
    specs is raised as it is.
    """
    built = None if cell.whole else _probe_representation(cell)
    if cell.policy is not None:
        from benchmark.experiment.probe_policy import probe_policy

        device, before = resolve_device(cell.settings.runtime), imports_so_far()
        target = cell.settings.head.policy  # type: ignore[union-attr]
        with _patient(target), undisturbed(device), _in_place(cell):
            probe_policy(cell, device)
        refuse_unnamed(target, before)
    return built


def _probe_representation(cell: Cell) -> Built | None:
    device, before = resolve_device(cell.settings.runtime), imports_so_far()
    with _patient(cell.method), undisturbed(device), _in_place(cell), _blamed(cell):
        specs = cell.specs()
        torch.manual_seed(seeds.training_seed(cell.seed, "init"))
        representation = _build(cell)
        built = _keep(representation)
        subject = Probed(cell.method, cell.representation, representation, cell.options, device)
        observations = random_observations(specs, ROWS)
        probe_rules.interface(subject)
        probe_rules.fitting(subject, random_observations(specs, _rows_to_fit(specs)))
        representation.freeze_as_card_says()
        representation.to(device)
        observations = {name: value.to(device) for name, value in observations.items()}
        probe_rules.evaluation(subject, observations)
        head = cell.settings.head
        if isinstance(head, DiffusionConfig) and head.condition == "tokens":
            probe_rules.tokens(subject, observations)
        probe_rules.training(subject, observations)
    refuse_unnamed(cell.method, before)
    return built


def _rows_to_fit(specs: Mapping[str, FieldSpec]) -> int:
    """Enough for statistics and clusters, where a row is not as large as CLAMP's views."""
    return max(ROWS, min(FITTED, FIT_BYTES // max(1, sum(spec.nbytes for spec in specs.values()))))


def _build(cell: Cell) -> Representation:
    try:
        found = cell.build(cell.specs())
        assert found is not None
        return found
    except (BadWeights, WeightsMissing):
        raise
    except BaseException as error:
        if is_machines(error):
            raise  # not the method's
        raise BadMethod(
            f"{cell.method}: its constructor or load_weights raised {probe_rules.told(cell.representation, error)}; "
            "the constructor takes the specs of what the card observes, and the card's options as keywords"
        ) from error


def _keep(representation: Representation) -> Built | None:
    """A copy that the probe cannot touch, or what is frozen itself: the probe makes sure that it does not move."""
    if count_parameters(representation) < LARGE:
        return None
    state = torch.get_rng_state()
    if representation.card.frozen and type(representation).fit is Representation.fit:
        return Built(representation, state)
    try:
        return Built(copy.deepcopy(representation), state)
    except Exception:  # some modules cannot be copied; they are built a second time
        return None


@contextmanager
def _patient(method: str) -> Iterator[None]:
    """Say so where two observations take long: it may never end, and each frame of the work will take as long."""
    timer = threading.Timer(
        SLOW,
        say,
        [
            f"{method} is still busy with two made-up observations after {SLOW:.0f} s; each frame of the "
            "demonstrations and each step of a rollout will take about as long (Ctrl-C stops)"
        ],
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _in_place(cell: Cell) -> Iterator[None]:
    """The working directory is the user's: a method that changes it would have records written somewhere else."""
    cwd = os.getcwd()
    try:
        yield
    finally:
        changed = os.getcwd() != cwd
        os.chdir(cwd)
    if changed:
        raise BadMethod(
            f"{cell.method}: it changes the working directory (os.chdir); files beside it are found by "
            "Path(__file__).parent"
        )


@contextmanager
def _blamed(cell: Cell) -> Iterator[None]:
    """What comes out of the method's own file where no rule looks, such as an attribute that is computed."""
    try:
        yield
    except (BadMethod, BadWeights, WeightsMissing):
        raise
    except BaseException as error:
        file = probe_rules.file_of(cell.kind)
        if is_machines(error) or not passed_through(error, file):
            raise
        raise BadMethod(f"{cell.method}: it raised {raised(error, file)} when it was tried") from error


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """The global generators of torch, numpy and Python, and torch's switch for gradients, are put back afterwards."""
    cuda = device.type == "cuda"
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate(), torch.is_grad_enabled()
    on_gpu = torch.cuda.get_rng_state(device) if cuda else None
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
        torch.set_grad_enabled(kept[3])
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, device)
