"""`import repbench` brings its own packages, wherever Python was started, and names what is in its way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import repbench
from benchmark.system.doctor import check_checkout

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("envs", "methods", "baselines", "benchmark")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's project, with a package and modules of names that we use, too."""
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "methods.py").write_text("MINE = True\n")
    (tmp_path / "helper.py").write_text("VALUE = 3\n")
    return tmp_path


def python(folder: Path, *arguments: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """As in a notebook: the folder is in front of everything on `sys.path`."""
    environment = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


WHERE = """
import sys
before = list(sys.path)
import repbench
import envs, methods, baselines, benchmark, helper
assert sys.path == before, "no checkout in front of the user's own"
assert helper.VALUE == 3
print(*sorted({str(__import__("pathlib").Path(m.__file__).parents[1]) for m in (envs, methods, baselines, benchmark)}))
"""


def test_a_folder_with_envs_in_front_takes_nothing_away(folder: Path) -> None:
    done = python(folder, "-c", WHERE)
    assert done.stdout.split() == [str(ROOT)], done.stderr


def test_a_copy_brings_its_own_packages_not_the_checkouts(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site-packages"
    for package in (*PACKAGES, "repbench"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    done = python(folder, "-c", WHERE, path=copy)
    assert done.stdout.split() == [str(copy)], done.stderr


@pytest.mark.slow
def test_work_goes_on_in_such_a_folder(folder: Path) -> None:
    """Simulators in processes of their own, too, take our `envs`."""
    shutil.copy(ROOT / "tests" / "toy_env.py", folder)
    code = (
        "import repbench\n"
        "env = repbench.make_env('toy_env.py:Toy', 'near')\n"
        "print(sorted(env.reset(0)), env.name)\n"
        "from envs.pool import EnvConfig, Pool\n"
        "with Pool(EnvConfig('toy_env.py:Toy', 'near', env.request), 1) as pool:\n"
        "    print(len(list(pool.map('reset', [(0,)]))))\n"
    )
    done = python(folder, "-c", code)
    assert done.stdout.splitlines() == ["['proprio'] toy", "1"], done.stderr


def test_an_intruder_that_came_first_is_named_with_its_file_and_the_mend(folder: Path) -> None:
    done = python(folder, "-c", "import envs\nimport repbench")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("ImportError")]
    assert "its own package envs" in said and str(folder / "envs" / "__init__.py") in said
    assert "Rename that one, or import repbench before it" in said
    done = python(folder, "-c", "import methods\nimport repbench")
    assert f"from {folder / 'methods.py'}" in done.stderr


def test_a_folder_without_init_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "baselines" / "inner").mkdir(parents=True)
    code = "import sys\nkept, sys.path = sys.path, ['']\nimport baselines\nsys.path = kept\nimport repbench"
    done = python(tmp_path, "-c", code)
    assert f"another one is imported already, from {tmp_path / 'baselines'}" in done.stderr, done.stderr


def test_what_failed_can_be_tried_again(folder: Path) -> None:
    """In a notebook the kernel goes on after an ImportError."""
    code = (
        "import sys, envs\n"
        "try:\n    import repbench\nexcept ImportError:\n    del sys.modules['envs']\n"
        "import repbench, envs\nprint(envs.__file__)"
    )
    done = python(folder, "-c", code)
    assert done.stdout.strip() == str(ROOT / "envs" / "__init__.py"), done.stderr


@pytest.mark.slow
def test_pytest_in_a_folder_with_envs(folder: Path) -> None:
    (folder / "test_mine.py").write_text(
        "import repbench\nimport envs\nimport helper\n\n\n"
        f"def test_ours():\n    assert envs.__file__.startswith({str(ROOT)!r})\n"
        "    assert repbench.Representation.__name__ == 'Representation' and helper.VALUE == 3\n"
    )
    done = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_pytest_of_a_test_inside_the_intruder(folder: Path) -> None:
    """pytest imports `envs.test_mine`, so that `envs` is the user's before a line of the test has run."""
    (folder / "envs" / "test_mine.py").write_text("import repbench\n\n\ndef test_it():\n    pass\n")
    done = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "envs")
    assert done.returncode != 0
    assert "repbench needs its own package envs" in done.stdout and str(folder / "envs") in done.stdout, done.stdout


def test_the_doctor_says_what_a_folder_would_hide(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_checkout().verdict == "ok"
    monkeypatch.chdir(folder)
    finding = check_checkout()
    assert finding.verdict == "warn" and f"in {folder} would take its envs" in finding.found
    assert "import repbench" in finding.mend


def test_the_doctor_names_a_repbench_of_another_checkout(tmp_path: Path) -> None:
    (tmp_path / "repbench").mkdir()
    (tmp_path / "repbench" / "__init__.py").write_text("")
    code = "from benchmark.system.doctor import check_checkout as c; f = c(); print(f.verdict, f.found)"
    done = python(tmp_path, "-c", code)
    assert done.stdout.startswith("fail") and f"repbench from {tmp_path}" in done.stdout, done.stderr


@pytest.mark.slow
def test_importing_is_light_and_says_what_there_is(tmp_path: Path) -> None:
    code = (
        "import sys, repbench\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'mujoco', 'hydra') if m in sys.modules])\n"
        "print(*dir(repbench))\n"
        "repbench.MethodCard\n"
        "print('torch' in sys.modules)"
    )
    done = python(tmp_path, "-c", code)
    names = "MethodCard Representation load_policy load_records make_env run"
    assert done.stdout.splitlines() == ["[]", names, "False"], done.stderr


def test_another_attribute_is_an_error_that_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runs_'; there are MethodCard"):
        _ = repbench.runs_
    assert repbench.run.__module__ == "repbench.runs" and repbench.run is repbench.run
