"""RLBench's pickles without RLBench, and without running what a pickle may ask to run.

`low_dim_obs.pkl` is a `rlbench.demo.Demo` of `rlbench.backend.observation.Observation`s with numpy arrays. Both classes
become plain objects here; everything but these, numpy's arrays and a few harmless builtins is refused by name.
"""

from __future__ import annotations

import _codecs
import copyreg
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.system.checked_json import read_bytes
from envs.errors import UserError

LARGEST = 2**30
"""Bytes; an episode's low-dimensional observations have a few megabytes."""


class Refused(UserError, ValueError):
    """A pickle that asks for something which a demonstration does not hold, or that is damaged."""


class Hostile(Refused):
    """A pickle that asks for something which a demonstration does not hold: to load it could run anything."""


class Plain:
    """Stands for RLBench's classes: attributes, and nothing else."""


_reconstruct: Any = np.zeros(0).__reduce__()[0]
_frombuffer: Any = np.zeros(1).__reduce_ex__(5)[0]
_scalar: Any = np.float64(0).__reduce__()[0]
ALLOWED: dict[tuple[str, str], Any] = {
    ("rlbench.demo", "Demo"): Plain,
    ("rlbench.backend.observation", "Observation"): Plain,
    ("copyreg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("builtins", "object"): object,
    ("__builtin__", "object"): object,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _codecs.encode,  # bytes before protocol 3
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise Hostile(f"it asks for {module}.{name}, which a demonstration does not hold")
        return ALLOWED[module, name]

    def persistent_load(self, _: Any) -> Any:
        raise Hostile("it refers to something outside itself")


def read_pickle(path: Path) -> Any:
    """The content with RLBench's classes as `Plain`. Raises `Refused` (`Hostile` for what asks for more than a
    demonstration holds) naming the file, or FileNotFoundError."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; RLBench's dataset_generator leaves one in each episode")
    try:
        return _Unpickler(io.BytesIO(read_bytes(path, LARGEST))).load()
    except Hostile as error:
        raise Hostile(f"{path} is no demonstration of RLBench that can be read safely: {error}") from error
    except Exception as error:
        raise Refused(f"{path} is no demonstration of RLBench that can be read safely: {error}") from error
