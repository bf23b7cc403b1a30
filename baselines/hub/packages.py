"""timm and transformers, where they are installed, beside whatever torchvision is there."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from types import ModuleType

import torch

from methods.errors import PackageMissing

OPERATORS = ("nms", "qnms")
"""Those of torchvision's compiled part that its Python part describes when it is imported."""


@functools.cache
def package(name: str, asked: str) -> ModuleType:
    """The package, imported. asked: the method that needs it. Raises `PackageMissing`."""
    extra = {"timm": "timm", "transformers": "hf"}[name]
    if importlib.util.find_spec(name) is None:
        raise PackageMissing(f"{asked} needs the package {name}, which is not installed: {install(extra)}")
    try:
        mend_torchvision()
        return importlib.import_module(name)
    except ImportError as error:
        raise PackageMissing(
            f"{asked} needs the package {name}, which cannot be imported ({error}): {install(extra)}"
        ) from error


def install(extra: str) -> str:
    return f"python -m pip install 'repbench[{extra}]' -c constraints.txt"


_declared: list[torch.library.Library] = []


def mend_torchvision() -> None:
    """Import torchvision where it is installed, whether or not its compiled part fits this torch.

    The wheels on PyPI are built for CUDA. Beside a torch for CPUs their compiled part cannot be loaded, and the import
    of the Python part then stops at operators that are not there, although image models use none of them. So they are
    declared and not implemented: whoever calls one gets torch's error.
    """
    if importlib.util.find_spec("torchvision") is None or "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for module in [one for one in sys.modules if one.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        importlib.import_module("torchvision")
