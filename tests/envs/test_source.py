"""What counts as the source of a file or of a module in a package: all of its local text, and nothing else."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envs.local_code import loaded, unnamed
from envs.registry import BrokenFile, edited_since, load_from_file, loaded_sources
from envs.source import sources


def write(folder: Path, **texts: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Its class is in a module that `__init__` imports relatively, beside one with the name of a module of Python's."""
    folder = write(
        tmp_path / "theirpkg",
        __init__="from .model import Mine\n",
        types="",
        model="import types\n\nfrom . import net\n\n\nclass Mine:\n    width = net.width\n",
        net="width = 1\n",
    )
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
        tmp_path,
        bom=b"\xef\xbb\xbfclass A:\n    pass\n",
        latin=b'# -*- coding: latin-1 -*-\nclass A:\n    s = "\xe9"\n',
        windows=b"import windows_helper\r\n\r\n\r\nclass A:\r\n    pass\r\n",
        windows_helper=b"x = 1\r\n",
        annotated="class A:\n    x: int = 1\n",
    )
    for name in ("bom", "latin", "windows", "annotated"):
        found = load_from_file(f"{tmp_path / name}.py:A")
        assert all("\r" not in text for text in loaded_sources(f"{tmp_path / name}.py:A").values())
    assert found.__annotations__ == {"x": int}, "our own `from __future__ import annotations` is not theirs"


def test_a_module_that_is_no_python_is_named_by_its_text_and_stops_who_imports_it(tmp_path: Path) -> None:
    other = "class A:\n    def f(self):\n        import no_python\n"
    write(tmp_path, lazy=other, no_python="print 'x'\n", first="import no_python\n")
    load_from_file(f"{tmp_path / 'lazy.py'}:A")
    assert loaded_sources(f"{tmp_path / 'lazy.py'}:A")["no_python.py"] == "print 'x'\n"
    with pytest.raises(BrokenFile, match="first.py cannot be imported: SyntaxError"):
        load_from_file(f"{tmp_path / 'first.py'}:A")


def test_a_name_of_pythons_own_is_pythons(tmp_path: Path) -> None:
    """Or a file called random.py would be what everybody else imports as `random`."""
    write(tmp_path, mine="import colorsys\n\n\nclass A:\n    to = colorsys.rgb_to_hsv\n", colorsys="x = 1\n")
    sys.modules.pop("colorsys", None)
    assert callable(load_from_file(f"{tmp_path / 'mine.py'}:A").to)
    assert list(loaded_sources(f"{tmp_path / 'mine.py'}:A")) == ["mine.py"]


def test_two_folders_without_init_are_not_mixed(tmp_path: Path) -> None:
    """Namespace packages: the second file would run the first one's `spacelib.width` under its own hash."""
    for name in ("one", "two"):
        write(tmp_path / name, **{name: "from spacelib.width import W\n\n\nclass A:\n    w = W\n"})
        write(tmp_path / name / "spacelib", width=f"W = '{name}'\n")
    assert load_from_file(f"{tmp_path}/one/one.py:A").w == "one"
    with pytest.raises(BrokenFile, match="'import spacelib.width' means .*two/spacelib/width.py"):
        load_from_file(f"{tmp_path}/two/two.py:A")


def test_a_nested_namespace_that_is_imported_later_is_found(tmp_path: Path) -> None:
    write(tmp_path, deep="class A:\n    def f(self):\n        from deeplib.sub.w import W\n        return W\n")
    write(tmp_path / "deeplib" / "sub", w="W = 1\n")
    kind = load_from_file(f"{tmp_path / 'deep.py'}:A")
    assert list(loaded_sources(f"{tmp_path / 'deep.py'}:A")) == ["deep.py", "deeplib/sub/w.py"]
    (tmp_path / "deeplib" / "sub" / "w.py").write_text("W = 2\n")
    assert kind().f() == 1, "what is imported later is what was named"
    assert edited_since(f"{tmp_path / 'deep.py'}:A") == [tmp_path / "deeplib" / "sub" / "w.py"]


def test_what_is_imported_by_a_made_up_name_is_named_or_noticed(tmp_path: Path) -> None:
    write(
        tmp_path,
        literal="import importlib\n\n\nclass A:\n    m = importlib.import_module('made_a')\n",
        made_a="x = 1\n",
        early="import importlib\n\n\nclass A:\n    m = importlib.import_module('made' + '_b')\n",
        made_b="x = 1\n",
        late="import importlib\n\n\nclass A:\n    def f(self):\n        importlib.import_module('made' + '_c')\n",
        made_c="x = 1\n",
    )
    for name, helper in (("literal", "made_a.py"), ("early", "made_b.py")):
        load_from_file(f"{tmp_path / name}.py:A")
        assert helper in loaded_sources(f"{tmp_path / name}.py:A")
    kind = load_from_file(f"{tmp_path / 'late.py'}:A")
    before = set(loaded)
    kind().f()
    assert unnamed(before) == [tmp_path / "made_c.py"] and unnamed(set(loaded)) == []


def test_a_stale_pyc_is_never_run(tmp_path: Path) -> None:
    """An edit of the same length within the second of a cached .pyc, as copies and archives make them."""
    write(tmp_path, stale="import stale_help\n\n\nclass A:\n    w = stale_help.W\n", stale_help="W = 1\n")
    py_compile.compile(str(tmp_path / "stale_help.py"), doraise=True)
    then = (tmp_path / "stale_help.py").stat()
    (tmp_path / "stale_help.py").write_text("W = 8\n")
    os.utime(tmp_path / "stale_help.py", ns=(then.st_atime_ns, then.st_mtime_ns))
    assert load_from_file(f"{tmp_path / 'stale.py'}:A").w == 8


def test_an_edit_while_a_file_is_loaded_does_not_rename_what_was_loaded(tmp_path: Path) -> None:
    edit = "import pathlib\npathlib.Path(__file__).with_name('race_help.py').write_text('W = 9\\n')\n"
    write(tmp_path, race=f"from race_help import W\n{edit}\n\nclass A:\n    w = W\n", race_help="W = 1\n")
    assert load_from_file(f"{tmp_path / 'race.py'}:A").w == 1
    assert loaded_sources(f"{tmp_path / 'race.py'}:A")["race_help.py"] == "W = 1\n"
