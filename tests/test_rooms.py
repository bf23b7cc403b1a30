"""Imports run one way, envs <- methods <- baselines <- benchmark <- repbench; no room uses another's private names."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "envs": {"envs"},
    "methods": {"methods", "envs"},
    "baselines": {"baselines", "methods", "envs"},
    "benchmark": {"benchmark", "baselines", "methods", "envs"},
    "repbench": {"repbench", "benchmark", "baselines", "methods", "envs"},
}
FILES = [path for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))]


def imports(tree: ast.Module) -> list[tuple[str, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def forbidden(room: str, source: str) -> list[str]:
    bad = []
    for module, name in imports(ast.parse(source)):
        top = module.split(".")[0]
        if top in ALLOWED and top not in ALLOWED[room]:
            bad.append(f"{room} imports {module}")
        private = any(part.startswith("_") for part in [*module.split(".")[1:], name] if part)
        if top in ALLOWED and top != room and private:
            bad.append(f"{room} imports the private {module}.{name}")
        if room == "envs" and top == "torch":
            bad.append("envs imports torch")
    return bad


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    assert forbidden(path.relative_to(ROOT).parts[0], path.read_text()) == []


def test_the_rule_finds_what_it_forbids() -> None:
    assert forbidden("envs", "from methods.card import MethodCard") == ["envs imports methods.card"]
    assert forbidden("envs", "import torch") == ["envs imports torch"]
    assert forbidden("methods", "from envs.camera import _hidden") == [
        "methods imports the private envs.camera._hidden"
    ]
    assert forbidden("methods", "def f():\n    import baselines.dp3") == ["methods imports baselines.dp3"]
    assert forbidden("benchmark", "from envs.camera import project") == []


ORDER = (
    ("system",),
    ("settings",),
    ("policy",),
    ("data",),
    ("training",),
    ("records",),
    ("report",),
    ("encoders",),
    ("experiment", "pretrain"),
    ("launch", "perf"),
    ("cli",),
)
"""Rooms of benchmark/. Each imports from those before it, never from one behind it or beside it."""
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}


def upward(path: str, source: str) -> list[str]:
    """Imports of `benchmark/ROOM/...` that run against the order."""
    room = Path(path).parts[1]
    found = []
    for module, name in imports(ast.parse(source)):
        parts = [*module.split("."), name]
        if parts[0] == "benchmark" and parts[1] in FLOOR and parts[1] != room and FLOOR[parts[1]] >= FLOOR[room]:
            found.append(f"{room} imports {module}")
    return found


INSIDE = [
    path for path in FILES if path.relative_to(ROOT).parts[0] == "benchmark" and len(path.relative_to(ROOT).parts) > 2
]


@pytest.mark.parametrize("path", INSIDE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_rooms_of_benchmark_have_an_order(path: Path) -> None:
    assert upward(str(path.relative_to(ROOT)), path.read_text()) == []


def test_the_order_finds_what_it_forbids() -> None:
    assert upward("benchmark/data/x.py", "from benchmark.records.read import read") == [
        "data imports benchmark.records.read"
    ]
    assert upward("benchmark/pretrain/x.py", "from benchmark.experiment import cell") == [
        "pretrain imports benchmark.experiment"
    ]
    assert upward("benchmark/perf/x.py", "def f():\n    import benchmark.cli.main") == [
        "perf imports benchmark.cli.main"
    ]
    assert upward("benchmark/report/x.py", "from benchmark.records.read import read") == []


def test_benchmark_has_rooms_and_nothing_beside_them() -> None:
    loose = {path.name for path in (ROOT / "benchmark").iterdir() if path.name != "__pycache__"}
    assert loose - {"conf", "py.typed"} == {"__init__.py", "__main__.py", *FLOOR}


@pytest.mark.slow
def test_no_circle() -> None:
    """Also of imports inside functions and for types alone."""
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    arrows = {}
    for module, path in modules.items():
        named = imports(ast.parse(path.read_text()))
        arrows[module] = {f"{m}.{n}" if f"{m}.{n}" in modules else m for m, n in named} & set(modules) - {module}
    assert circles(arrows) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that reach each other."""
    reached = {}
    for start in arrows:
        seen, todo = set(), list(arrows[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += arrows.get(module, ())
        reached[start] = seen
    found: list[set[str]] = []
    for module in arrows:
        if module in reached[module]:
            group = {other for other in reached[module] if module in reached[other]}
            if group not in found:
                found.append(group)
    return found


@pytest.mark.slow
def test_listing_imports_neither_torch_nor_a_simulator() -> None:
    code = (
        "import sys, benchmark.cli.main; from benchmark.settings.catalog import listing, register_baselines; "
        "from benchmark.settings.catalog_text.lists import in_full, overview; "
        "register_baselines(); found = listing('all'); overview(found, 80); in_full(found, 80); "
        "print([m for m in ('torch', 'mujoco', 'metaworld', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torch_is_told_of_the_machine_before_it_is_loaded() -> None:
    code = "import sys, os, benchmark; assert 'torch' not in sys.modules; print(os.environ['GOMP_SPINCOUNT'])"
    for own, said in (({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")):
        env = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | own
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        assert done.stdout.strip() == said, "the user's own setting stays"


def test_all_packages_come_from_this_checkout() -> None:
    from benchmark.system.doctor import check_checkout

    finding = check_checkout()
    assert finding.verdict == "ok", finding
    assert str(ROOT) in finding.found


def test_files_are_small() -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in FILES}
    assert {name: size for name, size in sizes.items() if size > 320} == {}
    assert sorted(sizes.values())[len(sizes) // 2] < 120


def test_no_large_file_is_tracked() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    large = [n for n in names if n and (ROOT / n).is_file() and (ROOT / n).stat().st_size > 2**20]
    assert large == []
