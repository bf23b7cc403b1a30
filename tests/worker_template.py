"""The template of which `tests.warm_workers` forks simulators' workers. It imports, and what it forks is a worker."""

from __future__ import annotations

import importlib
import os
import runpy
import socket
import sys
from pathlib import Path

from envs import serving

# of the last two MetaWorld's own import, which every worker of it would repeat
for _name in ("numpy.random", "importlib.metadata", "gymnasium", "scipy.spatial.transform"):
    importlib.import_module(_name)
_forking = runpy.run_path(str(Path(__file__).with_name("forking.py")))


def _become_a_worker(told: tuple[int | None, str, dict[str, str]], handed: list[int]) -> None:
    size, folder, environment = told
    *own, output = handed
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _forking["redirect"](os.open(os.devnull, os.O_RDONLY), output, output)
    sys.argv = ["-c", *map(str, own), *([] if size is None else [str(size)])]
    serving.main()


_forking["serve"](socket.socket(fileno=int(sys.argv[1])), _become_a_worker)
