"""`bench new method`: a method's file to start from, and its contract test beside it."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from string import Template

from benchmark.system.errors import ConfigError
from benchmark.system.files import explain
from envs.local_code import ROOMS
from envs.names import safe_name
from methods.registry import table

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("rgb", "points", "frozen")
LONGEST = 40
"""Characters of a name: with more, lines of the templates would be too long."""


@dataclass(frozen=True)
class NewMethod:
    """name: on the card. file, class_name: what `--method FILE:CLASS` takes."""

    name: str
    file: Path
    test: Path
    class_name: str

    @property
    def target(self) -> str:
        return f"{self.file.name}:{self.class_name}"


def new_method(name: str, kind: str, folder: Path) -> NewMethod:
    """Write `NAME.py` and `test_NAME.py` into a folder that is there.

    kind: one of `KINDS`. Raises `ConfigError` or `UnsafeName`, before anything is written, for a name that cannot be a
    file's and a class's or that means another method, and for a file that is there already.
    """
    made = _named(name, folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; make it first, or leave --to out")
    for file in (made.file, made.test):
        if file.exists() or file.is_symlink():
            raise ConfigError(
                f"{file} is there already, and nothing is overwritten: choose another name or --to FOLDER"
            )
    words = {"name": name, "file": made.file.name, "class": made.class_name}
    for file, template in ((made.file, kind), (made.test, "test")):
        with explain(file), file.open("x") as out:
            out.write(Template((TEMPLATES / f"{template}.txt").read_text()).substitute(words))
    return made


def _named(name: str, folder: Path) -> NewMethod:
    safe_name("the method's name", name, longest=LONGEST)
    module = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not module[0].isalpha():
        raise ConfigError(f"{name}: its class would begin with a digit; give a name that begins with a letter")
    if name.casefold() in {known.casefold() for known in table()}:
        raise ConfigError(f"{name} is a registered method; give yours another name, such as my-{name}")
    if keyword.iskeyword(module) or module in _modules():
        raise ConfigError(f"{module}.py would hide the Python module {module}; give another name, such as my-{name}")
    class_name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
    if keyword.iskeyword(class_name) or class_name in _taken():
        class_name += "Method"
    return NewMethod(name, folder / f"{module}.py", folder / f"test_{module}.py", class_name)


def _modules() -> set[str]:
    """Names that a file beside one's work would hide: Python's, installed packages' and this project's."""
    return {*sys.stdlib_module_names, *metadata.packages_distributions(), *ROOMS}


def _taken() -> set[str]:
    """Names that the templates import."""
    texts = "".join((TEMPLATES / f"{kind}.txt").read_text() for kind in KINDS)
    lines = re.findall(r"^from [\w.]+ import (.+)$", texts, re.MULTILINE)
    return {name.strip() for line in lines for name in line.split(",")}
