"""A policy is tried on two made-up samples before a cell's work begins: its losses, its groups, its plan.

As `benchmark.experiment.probe` tries a representation. Nothing of it reaches the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmark.experiment.cell import Cell
from benchmark.experiment.probe_rules import ALONE, SAME, SAME_ON_GPU, told
from benchmark.training.loss_terms import checked
from benchmark.training.optimizer import BadGroups, make_optimization
from envs.spec import ActionSpec
from methods.errors import BadMethod, BadWeights, WeightsMissing, is_machines
from methods.hashed_text import DIM
from methods.policy import Policy, total
from methods.testing import random_observations

ROWS = 2
T = TypeVar("T")
SEEDS: Sequence[int] = (11, 12)


def probe_policy(cell: Cell, device: torch.device) -> None:
    """Raises `BadMethod` naming the policy, what was found, what is expected and the mend."""
    assert cell.policy is not None
    kind, head = cell.policy, cell.settings.head
    name = head.policy  # type: ignore[union-attr]
    specs, action = cell.specs(), cell.settings.simulator().action_spec
    torch.manual_seed(0)

    def call(what: str, function: Callable[[], T]) -> T:
        try:
            return function()
        except (BadMethod, BadWeights, WeightsMissing):
            raise
        except BaseException as error:
            if is_machines(error):
                raise  # not the policy's
            raise BadMethod(f"{name}: {what} raised {told(kind, error)}") from error

    for method in ("losses", "plan"):
        if getattr(kind, method) is getattr(Policy, method):
            raise BadMethod(f"{name}: it has no {method}; `methods.policy.Policy` says what it gets and gives")
    representation = cell.build(specs)
    language = DIM if cell.settings.suite.language else 0
    policy = call(
        "its constructor or load_weights (the constructor takes specs, representation and the card's options)",
        lambda: cell.build_policy(representation, language),
    ).to(device)
    flat = random_observations(specs, 4 * ROWS)
    if representation is not None:
        representation.fit(flat)
        representation.freeze_as_card_says()
    inputs = _inputs(policy, random_observations(specs, ROWS * policy.obs_steps), language, device)
    actions = _actions(action, ROWS * policy.chunk).to(device)
    targets = actions.view(ROWS, policy.chunk, action.size) if policy.chunk > 1 else actions
    call("fit", lambda: policy.fit(_actions(action, 4 * ROWS).to(device), flat["proprio"].to(device)))
    padded = torch.zeros(ROWS, policy.chunk, dtype=torch.bool, device=device)
    padded[0, 1:] = True
    _losses(name, policy, call, inputs, targets, padded)
    try:
        make_optimization(policy, cell.settings.protocol)
    except BadGroups as error:
        raise BadMethod(f"{name}: {error}") from error
    _plans(name, policy, call, inputs, action, device)


def _losses(
    name: str, policy: Policy, call: Callable[..., Any], inputs: Mapping[str, Tensor], actions: Tensor, padded: Tensor
) -> None:
    policy.train()
    with torch.enable_grad():
        terms = checked(policy, call("losses", lambda: policy.losses(inputs, actions, padded)))
        for term, value in terms.items():
            value = value.detach()
            if not bool(value.isfinite()):
                raise BadMethod(
                    f"{name}: the term {term} of losses is {float(value)} on made-up samples; look for a division by "
                    "0, a log or a root of what may be 0 or negative, or a mean over no entry"
                )
        loss = total(terms)
        if not loss.requires_grad:
            raise BadMethod(f"{name}: no gradient flows from losses; remove no_grad(), detach() or .data")
        call("the gradient of losses", loss.backward)
    trained = {n: p for n, p in policy.named_parameters() if p.requires_grad}
    if all(parameter.grad is None for parameter in trained.values()):
        raise BadMethod(f"{name}: no gradient of losses reaches any of its {len(trained)} parameters")
    policy.zero_grad(set_to_none=True)


def _plans(
    name: str,
    policy: Policy,
    call: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    action: ActionSpec,
    device: torch.device,
) -> None:
    policy.eval()

    def plan(rows: slice) -> Tensor:
        chosen = {field: value[rows] for field, value in inputs.items()}
        found = call("plan", lambda: policy.plan(chosen, SEEDS[rows]))
        count = len(SEEDS[rows])
        if not isinstance(found, Tensor) or tuple(found.shape) != (count, policy.chunk, action.size):
            given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise BadMethod(
                f"{name}: plan gives {given} for {count} rows, ({count}, {policy.chunk}, {action.size}) = (B, chunk, "
                f"A) is expected: an action has {action.size} numbers, {', '.join(action.names)}"
            )
        if not bool(found.isfinite().all()):
            raise BadMethod(f"{name}: plan gives NaN or infinity before any training")
        return found.float()

    with torch.no_grad():
        whole, again = plan(slice(0, ROWS)), plan(slice(0, ROWS))
        scale = max(float(whole.abs().max()), 1e-6)
        if float((whole - again).abs().max()) > scale * (SAME_ON_GPU if device.type == "cuda" else SAME):
            raise BadMethod(
                f"{name}: plan gives two chunks for one observation and one seed; draw with "
                "torch.Generator().manual_seed(seed) of the row's own seed"
            )
        if float((plan(slice(0, 1)) - whole[:1]).abs().max()) > scale * ALONE:
            raise BadMethod(f"{name}: a plan depends on the other rows of its batch; each row has its own episode")


def _inputs(policy: Policy, fields: Mapping[str, Tensor], language: int, device: torch.device) -> dict[str, Tensor]:
    found = dict(fields)
    if language:
        found["language"] = torch.rand(len(fields["proprio"]), language)
    steps = policy.obs_steps
    if steps > 1:
        found = {name: value.unflatten(0, (ROWS, steps)) for name, value in found.items()}
    return {name: value.to(device) for name, value in found.items()}


def _actions(action: ActionSpec, rows: int) -> Tensor:
    """(rows, A) float32 within the action's bounds, or -1..1 where it has none."""
    low, high = (torch.tensor(bound).nan_to_num(posinf=1.0, neginf=-1.0) for bound in (action.low, action.high))
    return low + (high - low) * torch.rand(rows, action.size)
