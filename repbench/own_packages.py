"""This checkout's own packages, and none of the same name that lies nearer to whoever imports `repbench`.

`envs` and `methods` are common names of folders. In a notebook or a test, Python looks into the folder of the notebook
or the test first.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

PACKAGES = ("envs", "methods", "baselines", "benchmark")
"""In the order of their imports."""
ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or the site-packages that a wheel was installed into."""


def import_own_packages() -> None:
    """Import the four from `ROOT`. `sys.path` stays as it is: what they import of each other is found through them.

    Raises ImportError where another package of one of these names was imported before: two cannot have one name.
    """
    for name in PACKAGES:
        if name in sys.modules and not _is_own(sys.modules[name], name):
            raise ImportError(
                f"repbench needs its own package {name}, but another one is imported already, from "
                f"{_place(sys.modules[name])}. Rename that one, or import repbench before it and do without it."
            )
    for name in PACKAGES:
        if name not in sys.modules:
            _load(name)


def _load(name: str) -> None:
    spec = PathFinder.find_spec(name, [str(ROOT)])
    if spec is None or spec.loader is None or spec.origin is None:
        raise ImportError(f"there is no package {name} beside {ROOT / 'repbench'}; the installation is incomplete")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _is_own(module: ModuleType, name: str) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == ROOT / name / "__init__.py"


def _place(module: ModuleType) -> str:
    """Its file; of a folder without `__init__.py` the folder."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "nowhere")
