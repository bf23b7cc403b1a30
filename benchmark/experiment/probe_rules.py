"""The rules that the probe tries, one function for each time in a method's life. All raise `BadMethod`."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.base import Representation
from methods.errors import BadMethod, is_machines, raised

Observations = Mapping[str, Tensor]
SAME = 1e-5
"""Between two calls, relative to the feature's largest value; a GPU's atomic sums get more."""
SAME_ON_GPU = 1e-3
ALONE = 1e-2
"""Between a row alone and in a batch: rounding stays far below, a normalisation over the batch far above."""


@dataclass(frozen=True)
class Probed:
    """name: as the user gave it; kind: its class; representation: one that was built."""

    name: str
    kind: type[Representation]
    representation: Representation
    options: Mapping[str, str]
    device: torch.device

    @property
    def training(self) -> str:
        return self.representation.card.training

    def wrong(self, what: str) -> BadMethod:
        return BadMethod(f"{self.name}: {what}")

    def call(self, what: str, function: Callable[[], Tensor]) -> Tensor:
        try:
            return function()
        except BaseException as error:
            if is_machines(error):
                raise  # not the method's
            raise self.wrong(f"{what} raised {told(self.kind, error)}") from error


def told(kind: type[nn.Module], error: BaseException) -> str:
    return raised(error, file_of(kind))


def file_of(kind: type[nn.Module]) -> str:
    """Where a method's class is written."""
    try:
        return inspect.getfile(kind)
    except (OSError, TypeError):  # a notebook's cell
        return str(getattr(kind, "__module__", ""))


def interface(it: Probed) -> None:
    """What has to be there before anything is called."""
    if type(it.representation).encode is Representation.encode:
        raise it.wrong("it has no encode; write `def encode(self, observations)`, giving (B, feature_dim) float32")
    width = getattr(it.representation, "feature_dim", None)
    if width is None:
        raise it.wrong("it has no feature_dim; set it in the constructor to the width of what encode gives")
    if isinstance(width, bool) or not isinstance(width, numbers.Integral) or width < 0:
        raise it.wrong(f"its feature_dim is {width!r} ({type(width).__name__}); it is an int, the width of a feature")


def fitting(it: Probed, observations: Observations) -> None:
    """`fit` on the made-up observations; a method without one is left alone."""
    if type(it.representation).fit is Representation.fit:
        return
    try:
        it.representation.fit({name: value.clone() for name, value in observations.items()})
    except BaseException as error:
        if is_machines(error):
            raise  # not the method's
        rows = len(next(iter(observations.values())))
        raise it.wrong(
            f"fit raised {told(it.kind, error)}; it gets the training observations, fields (T, ...), here T = {rows}"
        ) from error
    for name, value in it.representation.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise it.wrong(f"fit left NaN or infinity in {name}; keep deviations and ranges away from 0 by a clamp")


def evaluation(it: Probed, observations: Observations) -> None:
    """In eval mode, as a policy is played."""
    kept = {name: value.clone() for name, value in observations.items()}
    it.representation.eval()
    state = _state(it.representation)
    with torch.no_grad():
        feature = it.call("encode", lambda: it.representation.encode(observations))
        _feature(it, feature, "encode")
        for name, value in observations.items():
            if not torch.equal(value, kept[name]):
                raise it.wrong(f"encode changes its input '{name}' in place; compute on a copy, such as x = x - mean")
        if _moved(it.representation, state):
            raise it.wrong(
                f"encode changes {_moved(it.representation, state)} in eval mode; what is played must not change: "
                "update buffers `if self.training` only"
            )
        if it.representation.card.random(it.options):
            return  # a fault of public code that was asked for
        again = it.call("encode", lambda: it.representation.encode(observations))
        gap = _gap(feature, again)
        if gap > (SAME_ON_GPU if it.device.type == "cuda" else SAME):
            raise it.wrong(
                f"encode gives two features of one observation in eval mode (they differ by {gap:.0e} of the largest "
                "value); no random draw belongs there: F.dropout needs training=self.training"
            )
        swapped = it.call("encode", lambda: it.representation.encode({n: v.flip(0) for n, v in observations.items()}))
        if _gap(feature, swapped.flip(0)) > ALONE:
            raise it.wrong("a feature depends on what was encoded before it; keep nothing between calls of encode")
        one = {name: value[:1] for name, value in observations.items()}
        alone = it.call("encode of one row, as rollouts ask for it,", lambda: it.representation.encode(one))
        if tuple(alone.shape) != (1, feature.shape[1]):
            raise it.wrong(
                f"encode gives {_shape(alone)} for one row, (1, {feature.shape[1]}) is expected; squeeze() without a "
                "dimension drops the batch"
            )
        gap = _gap(feature[:1], alone)
        rows = torch.tensor([0, 1, 0, 1, 0], device=it.device)
        five = {name: value[rows] for name, value in observations.items()}
        many = it.call("encode of 5 rows", lambda: it.representation.encode(five))
        gap = max(gap, _gap(feature[rows], many))
        if gap > ALONE:
            raise it.wrong(
                f"a feature depends on the other rows of its batch (by {gap:.0e} of the largest value); normalise "
                "each sample by itself, or by statistics that fit() or training leave in buffers"
            )


def tokens(it: Probed, observations: Observations) -> None:
    """What the head looks at under head.condition=tokens."""
    width = it.representation.token_dim
    if type(width) is not int or width < 1:
        raise it.wrong(f"its token_dim is {width!r}; under head.condition=tokens it is the width of a token, an int")
    with torch.no_grad():
        found = it.call("encode_tokens", lambda: it.representation.encode_tokens(observations))
    rows = len(next(iter(observations.values())))
    _tensor(it, found, "encode_tokens")
    if found.dim() != 3 or (found.shape[0], found.shape[2]) != (rows, width):
        raise it.wrong(
            f"encode_tokens gives {_shape(found)} for {rows} rows, ({rows}, T, {width}) is expected: (B, T, token_dim)"
        )
    _finite(it, found, "encode_tokens")


def training(it: Probed, observations: Observations) -> None:
    """In training mode: what is frozen does not move, and what is trained gets gradients."""
    model = it.representation
    if it.training == "frozen":
        asking = [name for name, p in model.named_parameters() if p.requires_grad]
        if asking:
            raise it.wrong(f"its card says frozen, but {_list(asking)} asks for gradients after freeze_as_card_says()")
    state = _state(model)
    model.train()
    if it.training == "frozen":
        with torch.no_grad():
            it.call("encode in training mode", lambda: model.encode(observations))
        moved = _moved(model, state)
        if moved:
            raise it.wrong(
                f"its card says frozen, but encode moves {moved} in training mode; BatchNorm has to stay in eval mode: "
                "train() must not reach it"
            )
        model.eval()
        return
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if it.training == "end-to-end":
        held = [name for name, p in model.named_parameters() if not p.requires_grad]
        if held:
            raise it.wrong(f"its card says end-to-end, but {_list(held)} is not trained; its training is 'partial'")
        if not trained:
            raise it.wrong("its card says end-to-end, but it has no parameters; its training is 'frozen'")
    with torch.enable_grad():
        feature = it.call("encode in training mode", lambda: model.encode(observations))
        _feature(it, feature, "encode in training mode")
        if trained and not feature.requires_grad:
            raise it.wrong(
                f"its card says {it.training}, but no gradient flows from its feature; remove no_grad(), detach() or "
                ".data from encode, or say training='frozen'"
            )
        if trained:
            feature.square().sum().backward()
    without = [name for name, p in trained.items() if p.grad is None]
    model.zero_grad(set_to_none=True)
    if without and len(without) == len(trained):  # a part may be left out on purpose: experts, dropped layers
        raise it.wrong(
            f"its card says {it.training}, but no gradient reaches {_list(without)}; use it in encode, remove it, or "
            "switch its requires_grad off and say training='partial'"
        )


def _feature(it: Probed, feature: object, what: str) -> None:
    _tensor(it, feature, what)
    assert isinstance(feature, Tensor)
    width = it.representation.feature_dim
    if tuple(feature.shape) != (2, width):
        why = "give one vector a row"
        if feature.dim() == 3:
            why = "those look like tokens: pool them, and give tokens in encode_tokens"
        elif feature.dim() == 2 and feature.shape[0] == 2:
            why = f"set feature_dim to {feature.shape[1]}, or fix encode"
        elif feature.shape[:1] != (2,):
            why = "the batch is lost: keep the first axis"
        raise it.wrong(f"{what} gives {_shape(feature)} for 2 rows, (2, {width}) = (B, feature_dim) is expected; {why}")
    _finite(it, feature, what)


def _tensor(it: Probed, found: object, what: str) -> None:
    if not isinstance(found, Tensor):
        raise it.wrong(f"{what} gives a {type(found).__name__}, a float32 tensor is expected")
    if found.device.type != it.device.type:
        raise it.wrong(
            f"{what} gives a tensor on {found.device}, its input is on {it.device}; register constants as buffers and "
            "make tensors with device=observations[...].device"
        )
    if found.dtype != torch.float32:
        raise it.wrong(f"{what} gives {str(found.dtype)[6:]}, float32 is expected; end it with .float()")


def _finite(it: Probed, found: Tensor, what: str) -> None:
    bad = int((~found.isfinite()).sum())
    if bad:
        raise it.wrong(
            f"{what} gives NaN or infinity in {bad} of {found.numel()} numbers; look for a division by 0, a log or a "
            "root of what may be negative"
        )


def _state(module: nn.Module) -> tuple[dict[str, tuple[int, int]], dict[str, Tensor]]:
    """Parameters by how often they were written to, buffers by their values."""
    written = {name: (id(p), p._version) for name, p in module.named_parameters()}
    return written, {name: buffer.clone() for name, buffer in module.named_buffers()}


def _moved(module: nn.Module, before: tuple[dict[str, tuple[int, int]], dict[str, Tensor]]) -> str:
    """Names of what is not as it was, empty if everything is."""
    written, buffers = _state(module)
    found = [name for name in written if written[name] != before[0].get(name)]
    found += [n for n, b in buffers.items() if n not in before[1] or not torch.equal(b, before[1][n])]
    return _list(found) if found else ""


def _list(names: list[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")


def _shape(found: Tensor) -> str:
    return f"({', '.join(map(str, found.shape))}{',' if found.dim() == 1 else ''})"


def _gap(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    scale = float(torch.maximum(one.abs().max(), other.abs().max()))
    gap = float((one - other).abs().max()) / scale if scale else 0.0
    return gap if gap == gap else float("inf")
