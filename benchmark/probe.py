"""A method is tried on two made-up observations before a cell's work begins.

What breaks the contract of `methods.base.Representation` is one line after a second, not a matrix product's message
after the demonstrations are collected, and not a number under a false name. Nothing of it reaches the work: the states
of every global random generator are as they were.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

from benchmark import probed, seeds
from benchmark.cell import Cell
from benchmark.probed import Probed
from benchmark.protocol import DiffusionConfig
from benchmark.runtime import resolve_device
from envs.spec import FieldSpec
from methods.base import Representation
from methods.code import imports_so_far, refuse_unnamed
from methods.errors import BadMethod, BadWeights, WeightsMissing
from methods.frozen import count_parameters
from methods.testing import random_observations

LARGE = 20_000_000
"""Parameters from which an encoder is built once: it takes seconds."""
ROWS = 2
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
    """Try the cell's method; what is large enough to be worth keeping comes back, untouched, for the cell's own use.

    Raises `BadMethod` naming the method, what was found, what is expected and the mend; what is wrong with weights or
    specs is raised as it is.
    """
    device, before = resolve_device(cell.settings.runtime), imports_so_far()
    with undisturbed(device):
        specs = cell.specs()
        torch.manual_seed(seeds.training_seed(cell.seed, "init"))
        representation = _build(cell)
        built = _keep(representation)
        subject = Probed(cell.method, cell.representation, representation, cell.options, device)
        observations = random_observations(specs, ROWS)
        probed.interface(subject)
        probed.fitting(subject, random_observations(specs, _rows_to_fit(specs)))
        representation.freeze_as_card_says()
        representation.to(device)
        observations = {name: value.to(device) for name, value in observations.items()}
        probed.evaluation(subject, observations)
        head = cell.settings.head
        if isinstance(head, DiffusionConfig) and head.condition == "tokens":
            probed.tokens(subject, observations)
        probed.training(subject, observations)
    refuse_unnamed(cell.method, before)
    return built


def _rows_to_fit(specs: Mapping[str, FieldSpec]) -> int:
    """Enough for statistics and clusters, where a row is not as large as CLAMP's views."""
    return max(ROWS, min(FITTED, FIT_BYTES // max(1, sum(spec.nbytes for spec in specs.values()))))


def _build(cell: Cell) -> Representation:
    try:
        return cell.build(cell.specs())
    except (BadWeights, WeightsMissing):
        raise
    except torch.OutOfMemoryError:
        raise  # the machine's, not the method's
    except (Exception, SystemExit) as error:
        raise BadMethod(
            f"{cell.method}: its constructor or load_weights raised {probed.told(cell.representation, error)}; the "
            "constructor takes the specs of what the card observes, and the card's options as keywords"
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
def undisturbed(device: torch.device) -> Iterator[None]:
    """The global generators of torch, numpy and Python, and torch's switch for gradients, are put back afterwards."""
    cuda = device.type == "cuda"
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate(), torch.is_grad_enabled()
    on_gpu = torch.cuda.get_rng_state_all() if cuda else []
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
        torch.set_grad_enabled(kept[3])
        if cuda:
            torch.cuda.set_rng_state_all(on_gpu)
