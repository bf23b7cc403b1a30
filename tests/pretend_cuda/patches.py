"""torch's own names, changed while a CUDA device is pretended and put back afterwards."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tests.pretend_cuda.device import ANY, CPU, Machine, device_of, is_pinned, mark, real_device
from tests.pretend_cuda.operations import Seen, line

LIKE = ["zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"]
FILLED = ["tensor", "as_tensor", "asarray", "from_numpy", "zeros", "ones", "empty", "full", "arange", "linspace", "eye"]
RANDOM = ["rand", "randn", "randint", "randperm", "normal"]
FACTORIES = [*FILLED, *RANDOM, *LIKE, "tril_indices", "triu_indices"]
NEW = ["new_tensor", "new_zeros", "new_ones", "new_full", "new_empty"]
DRAWN = ["uniform_", "normal_", "random_", "bernoulli_", "exponential_", "multinomial", "bernoulli"]
Make = Callable[[Any], Any]
"""From what is there to what takes its place."""


class Move(torch.autograd.Function):
    """A copy to another device; its gradient goes back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: torch.device) -> Tensor:  # type: ignore[override]
        ctx.back = device_of(tensor)
        return mark(tensor.clone(), device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return mark(gradient.clone(), ctx.back), None


class Patches:
    """The functions that take the place of torch's. `undo` puts those back."""

    def __init__(self, machine: Machine, seen: Seen) -> None:
        self.machine, self.seen = machine, seen
        self._before: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, names: str | list[str], make: Make) -> None:
        for name in [names] if isinstance(names, str) else names:
            self._before.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, make(getattr(owner, name, None)))

    def undo(self) -> None:
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value) if value is not None else delattr(owner, name)

    def factory(self, real: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
        like = args[0] if args and isinstance(args[0], Tensor) else None
        target = self.machine.parse(device) if device is not None else CPU if like is None else device_of(like)
        refuse_other_generator(target, kwargs.get("generator"))
        if target.type == "meta":
            return real(*args, device=device, **kwargs)
        made = real(*args, **kwargs, **({} if device is None else {"device": "cpu"}))
        if made is like and target == device_of(like):
            return made
        return mark(made.clone() if made is like else made, target)

    def to(self, real: Any, tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Tensor):
            args = (device_of(args[0]), args[0].dtype, *args[1:])
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)  # type: ignore[attr-defined]
        source, target = device_of(tensor), device_of(tensor) if device is None else self.machine.parse(device)
        rest = {"memory_format": layout} if layout else {}
        if "meta" in (target.type, real_device(tensor).type) or target == source:
            return real(tensor, device="meta" if target.type == "meta" else None, dtype=dtype, copy=copy, **rest)
        if target.type == "cpu":
            self.seen.waits[line()] += 1
            if non_blocking:
                raise RuntimeError("to('cpu', non_blocking=True): what is read next may be there before the copy ends")
        elif source.type == "cpu" and not is_pinned(tensor):
            self.seen.copies[line()] += 1
        moved = Move.apply(tensor, target) if tensor.requires_grad else mark(tensor.clone(), target)
        return real(moved, dtype=dtype, **rest)

    def autocast(self, real: type) -> type:
        seen = self.seen

        class Autocast(real):  # type: ignore[misc]
            def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, **more: Any) -> None:
                if enabled and device_type == "cpu":
                    seen.notes[f"{line()}: autocast('cpu') does nothing on a GPU"] += 1
                super().__init__("cpu", dtype or torch.bfloat16, enabled, **more)

        return Autocast

    def generator(self, real: type) -> type:
        machine = self.machine

        class Generator(real):  # type: ignore[misc]
            def __new__(cls, device: Any = "cpu") -> Any:
                made = super().__new__(cls)
                made.pretended = machine.parse(device)
                return made

            device = property(lambda self: self.pretended)

        return Generator


def refuse_other_generator(device: torch.device, generator: Any) -> None:
    if generator is not None and generator.device.type != device.type:
        raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'")


def _drawn(real: Any) -> Any:
    def draw(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        refuse_other_generator(device_of(tensor), kwargs.get("generator"))
        return real(tensor, *args, **kwargs)

    return draw


def _on_the_host(real: Any) -> Any:
    def read(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if device_of(tensor).type == "cuda":
            raise TypeError(f"can't convert {device_of(tensor)} device type tensor to numpy: use Tensor.cpu() first")
        return real(tensor, *args, **kwargs)

    return read


def _pin(tensor: Tensor, *_: Any) -> Tensor:
    if device_of(tensor).type == "cuda":
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor': only dense CPU tensors can be pinned")
    found = tensor.clone()
    found.untyped_storage().pinned = True  # type: ignore[attr-defined]
    return found


def _copy_of_storage(storage: Any, memo: dict[int, Any]) -> Any:
    made = memo[storage._cdata] = torch.UntypedStorage(storage.nbytes()).copy_(storage)
    made.pretended = getattr(storage, "pretended", CPU)
    return made


def _restored(storage: Any, place: str, machine: Machine) -> Any:
    if not place.startswith("cuda"):
        return None
    storage.pretended = machine.parse(place)
    return storage


@contextlib.contextmanager
def pretend_cuda(gpus: int = 1) -> Iterator[Seen]:
    """Inside, torch has so many CUDA devices. Not for use inside itself."""
    machine = Machine(gpus)
    seen = Seen(machine)
    patches, packages = Patches(machine, seen), list(torch.serialization._package_registry)
    cuda: Any = torch.cuda

    def always(value: Any) -> Make:
        return lambda _: value

    def of(function: Any) -> Make:
        return lambda real: functools.wraps(real)(lambda *args, **kwargs: function(real, *args, **kwargs))

    patches.put(torch, FACTORIES, lambda real: functools.partial(patches.factory, real))
    patches.put(Tensor, NEW, of(patches.factory))
    patches.put(Tensor, "to", of(patches.to))
    patches.put(Tensor, DRAWN, _drawn)
    patches.put(Tensor, ["numpy", "__array__"], _on_the_host)
    patches.put(Tensor, "pin_memory", always(_pin))
    patches.put(Tensor, "is_pinned", always(lambda tensor, *_: is_pinned(tensor)))
    patches.put(Tensor, "device", always(property(device_of)))
    patches.put(Tensor, "is_cuda", always(property(lambda tensor: device_of(tensor).type == "cuda")))
    patches.put(Tensor, "is_cpu", always(property(lambda tensor: device_of(tensor).type == "cpu")))
    patches.put(Tensor, "cpu", always(lambda tensor: tensor.to("cpu")))
    patches.put(Tensor, "cuda", always(lambda tensor, device="cuda": tensor.to(device)))
    patches.put(torch, "autocast", patches.autocast)
    patches.put(torch.amp, "autocast", always(torch.autocast))
    patches.put(
        torch, "is_autocast_enabled", of(lambda real, device="cuda": real("cpu" if device == "cuda" else device))
    )
    patches.put(torch, "Generator", patches.generator)
    patches.put(torch.UntypedStorage, "__deepcopy__", always(_copy_of_storage))
    patches.put(cuda, "is_available", always(lambda: True))
    patches.put(cuda, "device_count", always(lambda: gpus))
    patches.put(cuda, "current_device", always(lambda: machine.current))
    patches.put(cuda, "set_device", always(lambda device: setattr(machine, "current", machine.parse(device).index)))
    patches.put(cuda, "get_device_name", always(lambda device=0: f"pretended GPU {machine.parse(device).index}"))
    patches.put(cuda, "get_rng_state", always(lambda device="cuda": torch.get_rng_state()))
    patches.put(cuda, "set_rng_state", always(lambda state, device="cuda": None))  # its draws are the CPU's
    patches.put(cuda, ["_lazy_init", "synchronize", "empty_cache"], always(lambda *_: None))
    patches.put(cuda, "max_memory_allocated", always(lambda device=0: 0))
    torch.serialization.register_package(
        0,
        lambda storage: None if (at := getattr(storage, "pretended", CPU)) in (CPU, ANY) else str(at),
        lambda storage, place: _restored(storage, place, machine),
    )
    try:
        with seen:
            yield seen
    finally:
        torch.serialization._package_registry[:] = packages
        patches.undo()
