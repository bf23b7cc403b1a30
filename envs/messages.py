"""How a message crosses to a worker and back: a frame of plain bytes that any numpy and any Python reads.

A frame is a header of fixed size, a tree as JSON, and the raw bytes of the tree's arrays. The tree has None, bool,
int, float, str, lists, tuples, dicts, numpy arrays and scalars of the dtypes in `DTYPES`, and the dataclasses of
`envs.spec`, `envs.crop`, `envs.views` and `envs.action_parts`. (A pickle made with numpy 2 cannot be read with numpy
1, and may run code.) The two messages of an episode's every step have frames of their own without JSON: they decide
how fast a rollout is.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from envs import action_parts, crop, spec, views

MAGIC = b"RBm1"
HEADER = struct.Struct("=4sBxxxIQ")
"""Magic, kind, bytes of the tree, bytes of the arrays behind it."""

TREE, STEP, STEPPED = 0, 1, 2
LARGEST_TREE = 64 * 2**20
LARGEST_BODY = 2**36
"""Bytes. The largest reply is a rendered episode: some gigabytes with several large images of each moment."""
DEEPEST = 64
MOST_AXES = 32
"""What numpy 1 allows."""

_INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float16", "float32", "float64")
DTYPES = {np.dtype(name).str: np.dtype(name) for name in (*_INTEGERS, *_FLOATS)}
_STEPPED = struct.Struct("=dBB")
_DATACLASSES: Mapping[str, type] = {
    name: value
    for module in (spec, crop, views, action_parts)
    for name, value in vars(module).items()
    if dataclasses.is_dataclass(value) and isinstance(value, type) and value.__module__ == module.__name__
}


class Unsendable(TypeError):
    """A value that no message can hold."""


class BadFrame(ValueError):
    """Bytes that are no message: the other side is broken, or is none of ours."""


def encode(message: Any) -> list[Any]:
    """Buffers to be sent one after the other. Raises `Unsendable`, before anything is sent."""
    return _encode_step(message) or _encode_tree(message)


def _encode_step(message: Any) -> list[Any] | None:
    """`("step", (action,))` and `("ok", (reward, success, ended))`, which may lack its last; None of anything else."""
    if type(message) is not tuple or len(message) != 2 or type(message[1]) is not tuple:
        return None
    word, values = message
    if word == "step" and len(values) == 1:
        action = values[0]
        if type(action) is np.ndarray and action.dtype == np.float32 and action.ndim == 1:
            body = action.tobytes()
            return [HEADER.pack(MAGIC, STEP, 0, len(body)) + body]
    elif word == "ok" and 2 <= len(values) <= 3 and type(values[0]) is float and type(values[1]) is bool:
        if len(values) == 2 or values[2] is None:
            body = _STEPPED.pack(values[0], values[1], len(values))
        elif type(values[2]) is str:
            body = _STEPPED.pack(values[0], values[1], 4) + values[2].encode("utf-8", "surrogatepass")
        else:
            return None
        return [HEADER.pack(MAGIC, STEPPED, 0, len(body)) + body]
    return None


def _encode_tree(message: Any) -> list[Any]:
    arrays: list[np.ndarray] = []
    try:
        tree = json.dumps(_plain(message, arrays, 0), separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:  # an int of thousands of digits
        raise Unsendable(f"a message cannot hold this: {error}") from error
    size = sum(array.nbytes for array in arrays)
    if len(tree) > LARGEST_TREE or size > LARGEST_BODY:
        raise Unsendable(f"a message of {len(tree):,} + {size:,} bytes is too large")
    raw = [_bytes_of(array) for array in arrays if array.nbytes]
    return [HEADER.pack(MAGIC, TREE, len(tree), size) + tree, *raw]


def _plain(value: Any, arrays: list[np.ndarray], depth: int) -> Any:
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, np.floating)):
        return value
    if depth > DEEPEST:
        raise Unsendable(f"a message is nested more than {DEEPEST} deep")

    def inner(each: Any) -> Any:
        return _plain(each, arrays, depth + 1)

    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        native = array.dtype.newbyteorder("=")
        if native.str not in DTYPES:
            raise Unsendable(f"a message cannot hold an array of {array.dtype}; it can hold {', '.join(DTYPES)}")
        arrays.append(array.astype(native, order="C", copy=False))
        return {"scalar": [native.str]} if isinstance(value, np.generic) else {"array": [native.str, *array.shape]}
    if isinstance(value, list):
        return [inner(each) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [inner(each) for each in value]}
    if isinstance(value, Mapping):
        if odd := next((key for key in value if not (key is None or isinstance(key, (bool, int, float, str)))), None):
            raise Unsendable(f"a message cannot hold a dict with the key {odd!r}")
        return {"dict": [[key, inner(each)] for key, each in value.items()]}
    if dataclasses.is_dataclass(value) and _DATACLASSES.get(type(value).__name__) is type(value):
        fields = [[field.name, inner(getattr(value, field.name))] for field in dataclasses.fields(value)]
        return {"data": [type(value).__name__, *fields]}
    raise Unsendable(f"a message cannot hold a {type(value).__module__}.{type(value).__qualname__}")


def _bytes_of(array: np.ndarray) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def sizes(header: bytes) -> tuple[int, int, int]:
    """Kind, bytes of the tree and bytes of the body behind it, from `HEADER.size` bytes. Raises `BadFrame`."""
    magic, kind, tree, body = HEADER.unpack(header)
    if magic != MAGIC:
        raise BadFrame(f"it begins with {magic!r}, which is no message")
    if kind not in (TREE, STEP, STEPPED) or tree > LARGEST_TREE or body > LARGEST_BODY:
        raise BadFrame(f"its header is none: kind {kind}, {tree:,} + {body:,} bytes")
    if kind != TREE and (tree or body > LARGEST_TREE):
        raise BadFrame(f"a step's message has no tree, and not {body:,} bytes")
    return kind, tree, body


def whole_step(raw: bytes) -> Any:
    """The message of a step, if these bytes are one and nothing else; None otherwise. Raises `BadFrame`."""
    if len(raw) < HEADER.size:
        return None
    magic, kind, tree, body = HEADER.unpack_from(raw)
    if magic != MAGIC or kind not in (STEP, STEPPED) or tree or len(raw) != HEADER.size + body:
        return None
    return decode_step(kind, raw[HEADER.size :])


def decode_step(kind: int, body: bytes) -> Any:
    """A message of kind `STEP` or `STEPPED`. Raises `BadFrame`."""
    if kind == STEP:
        if len(body) % 4:
            raise BadFrame(f"an action of {len(body)} bytes is not float32")
        return "step", (np.frombuffer(body, np.float32).copy(),)
    if len(body) < _STEPPED.size:
        raise BadFrame("a step's reply is cut short")
    reward, success, length = _STEPPED.unpack_from(body)
    text = body[_STEPPED.size :]
    if success > 1 or length not in (2, 3, 4) or (text and length != 4):
        raise BadFrame("a step's reply says something else than reward, success and why it ended")
    if length < 4:
        return "ok", (reward, bool(success), None)[:length]
    try:
        return "ok", (reward, bool(success), text.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError as error:
        raise BadFrame(f"why a step ended is no text ({error})") from error


def decode_tree(tree: bytes, size: int, fill: Callable[[memoryview], None]) -> Any:
    """A message of kind `TREE`. fill: puts the next bytes of the body where it is told. Raises `BadFrame`."""
    try:
        plain = json.loads(tree)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"its tree is no JSON ({error})") from error
    try:
        wanted = _size(plain, 0)
        if wanted != size:
            raise BadFrame(f"its arrays have {wanted:,} bytes, and it has {size:,} for them")
        return _value(plain, fill)
    except BadFrame:
        raise
    except MemoryError as error:
        raise BadFrame(f"its arrays of {size:,} bytes do not fit into this machine's memory") from error
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise BadFrame(f"its tree is none ({type(error).__name__}: {error})") from error


def _size(plain: Any, depth: int) -> int:
    """Bytes of all arrays; every node is checked before anything is made of it."""
    if plain is None or isinstance(plain, (bool, int, float, str)):
        return 0
    if depth > 2 * DEEPEST:
        raise BadFrame("its tree is nested too deep")
    if isinstance(plain, list):
        return sum(_size(each, depth + 1) for each in plain)
    ((tag, parts),) = plain.items()
    if tag == "tuple":
        return _size(parts, depth + 1)
    if tag == "dict":
        return sum(_size(each, depth + 1) for _, each in parts)
    if tag == "data":
        return sum(_size(each, depth + 1) for _, each in parts[1:])
    if tag not in ("array", "scalar"):
        raise BadFrame(f"its tree has a {tag!r}")
    dtype, *shape = parts
    if tag == "scalar" and shape:
        raise BadFrame("a scalar has no shape")
    if len(shape) > MOST_AXES or not all(type(n) is int and 0 <= n <= LARGEST_BODY for n in shape):
        raise BadFrame(f"an array of shape {shape} is none")
    return DTYPES[dtype].itemsize * math.prod(shape)


def _value(plain: Any, fill: Callable[[memoryview], None]) -> Any:
    if isinstance(plain, list):
        return [_value(each, fill) for each in plain]
    if not isinstance(plain, dict):
        return plain
    ((tag, parts),) = plain.items()
    if tag == "tuple":
        return tuple(_value(each, fill) for each in parts)
    if tag == "dict":
        return {key: _value(each, fill) for key, each in parts}
    if tag == "data":
        return _DATACLASSES[parts[0]](**{name: _value(each, fill) for name, each in parts[1:]})
    dtype, *shape = parts
    array = np.empty(shape, DTYPES[dtype])
    if array.nbytes:
        fill(_bytes_of(array))
    return array[()] if tag == "scalar" else array
