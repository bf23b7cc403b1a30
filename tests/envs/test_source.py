"""What counts as the source of a file or of a module in a package: all of its local text, and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envs.registry import load_from_file, loaded_sources
from envs.source import MixedModules, sources


def write(folder: Path, **texts: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Its class is in a module that `__init__` imports relatively, beside one with the name of a module of Python's."""
    folder = write(
        tmp_path / "theirpkg", __init__="from .model import Mine\n", types="",
        model="import types\n\nfrom . import net\n\n\nclass Mine:\n    width = net.width\n", net="width = 1\n",
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirpkg"]:
        del sys.modules[name]


@pytest.mark.parametrize(("module", "file"), [("theirpkg", "__init__.py"), ("theirpkg.model", "model.py")])
def test_a_packages_source_is_all_of_its_modules(package: Path, module: str, file: str) -> None:
    importlib.import_module(module)
    assert list(sources(package / file, module)) == [f"theirpkg/{name}.py" for name in ("__init__", "model", "net")]


def test_a_file_may_be_in_any_encoding_and_is_compiled_as_it_stands(tmp_path: Path) -> None:
    write(
        tmp_path, bom=b"\xef\xbb\xbfclass A:\n    pass\n",
        latin=b'# -*- coding: latin-1 -*-\nclass A:\n    s = "\xe9"\n',
        windows=b"import windows_helper\r\n\r\n\r\nclass A:\r\n    pass\r\n", windows_helper=b"x = 1\r\n",
        annotated="class A:\n    x: int = 1\n",
    )  # fmt: skip
    for name in ("bom", "latin", "windows", "annotated"):
        found = load_from_file(f"{tmp_path / name}.py:A")
        assert all("\r" not in text for text in loaded_sources(f"{tmp_path / name}.py:A").values())
    assert found.__annotations__ == {"x": int}, "our own `from __future__ import annotations` is not theirs"


def test_a_module_that_is_no_python_is_named(tmp_path: Path) -> None:
    write(tmp_path, lazy="class A:\n    def f(self):\n        import no_python\n", no_python="print 'x'\n")
    with pytest.raises(ImportError, match=r"SyntaxError.*no_python\.py, line 1"):
        load_from_file(f"{tmp_path / 'lazy.py'}:A")


def test_what_lies_beside_a_file_and_is_not_what_python_takes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, mine="import colorsys\n", colorsys="")
    importlib.import_module("colorsys")
    with pytest.raises(MixedModules, match="'import colorsys' means"):
        sources(tmp_path / "mine.py")
