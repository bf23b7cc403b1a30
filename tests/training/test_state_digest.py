"""The hash of a checkpoint's content: equal for equal states, however they are stored, and for no others."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.training.state_digest import state_digest

DTYPES = [
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex64,
]


def some_state() -> dict[str, Any]:
    draw = torch.Generator().manual_seed(0)
    tensors = {str(kind): (8 * torch.rand(3, 5, generator=draw)).to(kind) for kind in DTYPES}
    return {
        "tensors": tensors,
        "scalar": torch.tensor(2.5),
        "none of it": torch.zeros(0, 4),
        "step": 10**30,
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "param_groups": [{"betas": (0.9, 0.999)}]},
        "history": [{"loss": float("nan"), "rate": 1e-4}, {"loss": float("inf")}],
        "name": "ünïcode",
        "on": True,
        "nothing": None,
    }


def test_what_torch_saves_and_loads_has_the_same_digest() -> None:
    file = io.BytesIO()
    torch.save(some_state(), file)
    file.seek(0)
    assert state_digest(torch.load(file, weights_only=True)) == state_digest(some_state())


def test_the_digest_is_the_same_everywhere() -> None:
    """Checkpoints of today have to be read by tomorrow's code: a changed digest needs another VERSION."""
    state = {"a": [1, 2.0, "x", None, True, (3,)], "t": torch.arange(6, dtype=torch.int32).view(2, 3), 7: {}}
    assert state_digest(state) == "8b0d3b5205f9aa29233fa333de30dcb31e373160e43a6c56a2e001bcd77dd473"


def test_order_strides_and_gradients_do_not_count() -> None:
    one, two = torch.rand(4, 6), torch.rand(2)
    assert state_digest({"a": one, 3: two}) == state_digest(OrderedDict([(3, two), ("a", one)]))
    assert state_digest(one.t()) == state_digest(one.t().contiguous())
    assert state_digest(torch.nn.Parameter(one)) == state_digest(one)
    assert state_digest(one[:, ::2]) == state_digest(one[:, ::2].clone())
    lazy = torch.rand(3, dtype=torch.complex64).conj()
    assert state_digest(lazy) == state_digest(lazy.resolve_conj())
    assert state_digest(lazy.imag) == state_digest(lazy.imag.clone())


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_every_bit_of_a_tensor_counts(kind: torch.dtype) -> None:
    tensor = torch.zeros(3, dtype=kind)
    before = state_digest(tensor)
    for byte in range(tensor.numel() * tensor.element_size()):
        flipped = tensor.clone()
        flipped.view(torch.uint8)[byte] ^= 1
        assert state_digest(flipped) != before


def test_no_two_of_these_have_one_digest() -> None:
    nan = float("nan")
    states: list[Any] = [
        None,
        True,
        False,
        0,
        1,
        0.0,
        -0.0,
        1.0,
        nan,
        float("inf"),
        "",
        "1",
        "None",
        [],
        (),
        {},
        [None],
        [[]],
        ["a", "b"],
        ["ab"],
        ["ab", ""],
        [["a"], "b"],
        {"a": 1},
        {"a": "1"},
        {"1": "a"},
        {1: "a"},
        {"a": {"b": 1}},
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
        torch.zeros(2),
        torch.zeros(2, 1),
        torch.zeros(1, 2),
        torch.zeros(2, dtype=torch.float64),
        torch.zeros(2, dtype=torch.int32),
        torch.zeros(0),
        torch.zeros(0, 2),
        torch.tensor(0.0),
        [torch.zeros(1)] * 2,
        torch.zeros(4, dtype=torch.float16),
        torch.zeros(4, dtype=torch.bfloat16),
    ]
    assert len({state_digest(state) for state in states}) == len(states)


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"a": [1, {2}]}, r"state\['a'\]\[1\] is a set"),
        ({"array": np.zeros(2)}, r"state\['array'\] is a ndarray"),
        ({"a": b"bytes"}, "is a bytes"),
        ({(1, 2): 3}, r"state has the key \(1, 2\)"),
        ({True: 3}, "state has the key True"),
        ([torch.zeros(2).to_sparse()], r"state\[0\] is a tensor without plain memory"),
        (torch.zeros(2, device="meta"), "without plain memory"),
        (lambda: 0, "is a function"),
    ],
)
def test_anything_else_is_refused_by_its_place(state: Any, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        state_digest(state)


def test_hashing_takes_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed is the tensor's own memory: a checkpoint is not held twice."""
    import hashlib

    seen: list[int] = []

    class Spy:
        def update(self, data: Any) -> None:
            if isinstance(data, np.ndarray):
                seen.append(data.ctypes.data)

        def hexdigest(self) -> str:
            return ""

    monkeypatch.setattr(hashlib, "sha256", lambda _: Spy())
    tensors = [torch.rand(5), torch.rand(2, 3).bfloat16(), torch.nn.Parameter(torch.rand(3))]
    state_digest(tensors)
    assert seen == [tensor.data_ptr() for tensor in tensors]
