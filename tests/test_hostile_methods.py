"""A method's file that is broken, or breaks something, is one line and no success: whatever it raises, wherever."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmark.experiment import probe as probe_module
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cells import Outcome, run_cells
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings
from benchmark.training.trainer import Trainer, Watched
from envs.registry import UnknownName
from methods.errors import BadMethod, no_exit
from methods.registry import method_class
from tests.experiment.test_probe import CARD, ENCODE, FROZEN, HEAD, INIT, MAXIMUM, encode, method

LOAD: dict[str, tuple[str | bytes, str]] = {
    "no class": ("x = 1\n", r"unknown class 'Mine' in .*mine.py. There are none"),
    "no representation": ("class Mine:\n    pass\n", r"not a subclass of methods.base.Representation; write"),
    "a function": ("def Mine(): pass\n", "is a function, not a class; write"),
    "no card": (f"{HEAD}\n\nclass Mine(Representation):\n{INIT}", "has no card; give the class a `card ="),
    "another card": (f"{HEAD}\n\nclass Mine(Representation):\n    card = 'x'\n", "has a str as its card"),
    "import": ("import no_such_module\n", r"No module named 'no_such_module' \(mine.py, line 1\)"),
    "syntax": ("def f(:\n", r"SyntaxError: invalid syntax \(mine.py, line 1\)"),
    "exit": ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(mine.py, line 2\): a file that is loaded must not end"),
    "hard exit": ("import os\nos._exit(0)\n", r"os._exit\(0\) \(mine.py, line 2\): a file that is loaded must not end"),
    "no Exception": ("class Odd(BaseException): pass\nraise Odd('!')\n", r"Odd: ! \(mine.py, line 2\)"),
    "recursion": ("def f(): f()\nf()\n", "RecursionError"),
    "chdir": ("import os\nos.chdir('/')\n", "changes the working directory"),
    "metaclass": (
        f"{HEAD}\nclass M(type(Representation)):\n    card = property(lambda c: sys.exit(0))\n"
        "class Mine(Representation, metaclass=M):\n    pass\n",
        r"SystemExit: 0 .*when its card was read",
    ),
    "evil repr": ("import sys\nclass R:\n    def __repr__(self): sys.exit(0)\nMine = R()\n", "is a R, not a class"),
    "module __getattr__": ("def __getattr__(name): raise SystemExit(0)\n", "unknown class 'Mine' in"),
    "binary": (bytes(range(256)) * 9, "SyntaxError"),
    "empty": (b"", "There are none"),
    "points": (
        f"{HEAD}\n\nclass Mine(Representation):{CARD.replace('PointInput(64', 'PointInput(10**12')}",
        "input.num_points=1000000000000; it is a whole number from 1 to 10000000",
    ),
    "twice": (f"{HEAD}\n\nclass Mine(Representation):{CARD.replace('points_valid', 'points')}", "each field once"),
    "requires": (
        f"{HEAD}\n\nclass Mine(Representation):{CARD.replace('batch=', 'requires=((1,),), batch=')}",
        "pairs of a package and how it is installed",
    ),
}


@pytest.mark.parametrize("case", LOAD)
def test_a_file_that_cannot_be_used_is_one_line(case: str, tmp_path: Path) -> None:
    text, expected = LOAD[case]
    file = tmp_path / "mine.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with no_exit(), pytest.raises((BadMethod, UnknownName), match=expected) as found:
        method_class(f"{file}:Mine")
    assert "\n" not in str(found.value) and str(file.parent) in str(found.value)


def test_what_is_no_file_is_named_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "ring.py").symlink_to(tmp_path / "ring.py")
    with open(tmp_path / "huge.py", "wb") as file:
        file.truncate(2**30)
    start = time.monotonic()
    for name, kind, expected in (
        ("pipe", BadMethod, "is a pipe"),
        ("folder", BadMethod, "is a folder"),
        ("huge", BadMethod, "has 1,073,741,824 bytes"),
        ("ring", FileNotFoundError, "no file .*ring.py"),
        ("n" * 300, FileNotFoundError, "too long"),
        ("\0", FileNotFoundError, "null byte"),
    ):
        with pytest.raises(kind, match=expected):
            method_class(f"{tmp_path}/{name}.py:Mine")
    assert time.monotonic() - start < 5


def run(settings: Settings, tmp_path: Path, data: Path, name: str) -> Outcome:
    cells = make_cells(settings, ["near"], [name], [0])
    return run_cells(cells, Paths(tmp_path / "runs", data), "test", overwrite=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations are collected once."""
    return tmp_path_factory.mktemp("data")


PROPERTY = (
    INIT.replace("        self.feature_dim = 8\n", "") + "\n    @property\n    def feature_dim(self): sys.exit(0)\n"
)
BEFORE: dict[str, tuple[dict[str, str], str]] = {
    "exit": ({"body": encode("sys.exit(0)")}, r"encode raised SystemExit: 0 \(mine.py, line 21\)"),
    "hard exit": ({"body": encode("import os; os._exit(0)")}, r"encode raised SystemExit: os._exit\(0\) \(mine.py"),
    "chdir": ({"body": encode(f"import os; os.chdir('/')\n        return {MAXIMUM}")}, "changes the working directory"),
    "constructor": ({"init": INIT + "        sys.exit(0)\n"}, r"constructor .* SystemExit: 0 \(mine.py, line 18\)"),
    "fit": ({"body": ENCODE + "\n    def fit(self, o): sys.exit(0)\n"}, "fit raised SystemExit: 0"),
    "train": ({"body": ENCODE + "\n    def train(self, mode=True): sys.exit(0)\n"}, r"SystemExit: 0 .mine.py.*tried"),
    "property": ({"init": PROPERTY}, r"SystemExit: 0 .mine.py, line \d+. when it was tried"),
    "no Exception": ({"init": INIT + "        class Odd(BaseException): pass\n        raise Odd\n"}, "raised Odd: "),
    "GeneratorExit": ({"body": encode("raise GeneratorExit")}, "encode raised GeneratorExit"),
    "recursion": ({"body": encode("return self.encode(observations)")}, "encode raised RecursionError"),
    "generator": ({"body": encode("yield 1")}, "encode gives a generator, a float32 tensor is expected"),
    "evil text": (
        {"init": INIT + "        class E(Exception):\n            def __str__(self): sys.exit(0)\n        raise E\n"},
        "raised E: .its text cannot be made.",
    ),
}


@pytest.mark.parametrize("case", BEFORE)
def test_what_is_wrong_before_the_work_is_a_failed_cell(
    case: str, toy_settings: Settings, tmp_path: Path, data: Path
) -> None:
    parts, expected = BEFORE[case]
    outcome = run(toy_settings, tmp_path, data, method(tmp_path, **parts))
    assert outcome.exit_code == 2 and not outcome.done
    ((_, said),) = outcome.failed
    assert re.search(expected, said), said
    assert "\n" not in said


LATE = "self.calls = getattr(self, 'calls', 0) + 1\n        if self.calls > 12: {}\n        return " + MAXIMUM
LATER: dict[str, tuple[dict[str, str], str]] = {
    "exit": ({"body": encode(LATE.format("sys.exit(0)"))}, r"SystemExit: 0 \(mine.py, line 22\)"),
    "hard exit": ({"body": encode(LATE.format("import os; os._exit(0)"))}, r"os._exit\(0\) \(mine.py, line 22\)"),
    "raises": ({"body": encode(LATE.format("raise ValueError('why')"))}, r"ValueError: why \(mine.py, line 22\)"),
    "shape": (
        {"body": encode(LATE.format(f"return {MAXIMUM}[:, :4]"))},
        r"feature of Mine \(.*mine.py, line \d+\) is \(16, 4\) for 16 rows, \(16, 8\) = \(B, feature_dim\)",
    ),
    "NaN in training": (
        {"body": encode(LATE.format(f"return {MAXIMUM} * float('nan')"))},
        r"feature of Mine \(.*mine.py, line \d+\) is NaN or infinite in epoch 1 of training",
    ),
    "NaN in a rollout": (
        {
            "body": encode(
                f"bad = torch.is_inference_mode_enabled() and len(points) == 1\n        "
                f"return {MAXIMUM} * (float('nan') if bad else 1)"
            )
        },
        "feature of Mine .* is NaN or infinite on an observation of a rollout",
    ),
    "NaN, frozen": (
        {"card": FROZEN, "body": encode(LATE.format(f"return {MAXIMUM} * float('nan')"))},
        "feature of Mine .* is NaN or infinite on",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LATER)
def test_what_goes_wrong_later_is_a_failed_cell_that_names_the_line(
    case: str, toy_settings: Settings, tmp_path: Path, data: Path
) -> None:
    parts, expected = LATER[case]
    settings = dataclasses.replace(toy_settings, runtime=dataclasses.replace(toy_settings.runtime, workers=1))
    outcome = run(settings, tmp_path, data, method(tmp_path, **parts))
    assert outcome.exit_code == 1 and not outcome.done
    ((_, said),) = outcome.failed
    assert re.search(expected, said), said
    assert "learning_rate" not in said and "\n" not in said
    assert list(tmp_path.glob("runs/work/**/error.txt"))


@pytest.mark.slow
def test_a_divergence_is_told_from_a_broken_encoder(toy_settings: Settings, tmp_path: Path, data: Path) -> None:
    settings = dataclasses.replace(
        toy_settings, protocol=dataclasses.replace(toy_settings.protocol, name="tiny", learning_rate=1e3)
    )
    outcome = run(settings, tmp_path, data, method(tmp_path))
    ((_, said),) = outcome.failed
    assert "PolicyDiverged" in said and "Try a smaller protocol.learning_rate" in said


def test_whose_nan_it_was_is_read_off_the_first_bad_step() -> None:
    nan, of = float("nan"), torch.tensor

    def blamed(*steps: tuple[float, float], lr: float = 1e-3) -> bool:
        trainer = Trainer.__new__(Trainer)
        trainer.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        return trainer._encoders([Watched(of(loss), of(largest), {}) for loss, largest in steps])

    assert blamed((1.0, 2.0), (0.9, 2.1), (nan, nan), (nan, nan))
    assert blamed((nan, float("inf")))
    assert not blamed((1.0, 2.0), (nan, 2.1), (nan, nan)), "the feature was finite when the loss was not"
    assert not blamed((1.0, 2.0), (1e9, 1e8), (nan, nan)), "it had grown before"
    assert not blamed((1.0, 2.0), (nan, nan), lr=10.0)


def test_a_method_that_takes_long_is_said(
    toy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe_module, "SLOW", 0.05)
    (cell,) = make_cells(
        toy_settings, ["near"], [method(tmp_path, init=INIT + "        import time; time.sleep(0.3)\n")], [0]
    )
    probe_module.probe(cell)
    assert "still busy with two made-up observations" in capfd.readouterr().err.replace("\n", " ")


PRINTS = (
    f"""{HEAD}
import os
print("at import")
os.system("echo by a shell")
"""
    + f"class Mine(Representation):{CARD}{INIT}"
    + encode(f"print('encoding'); sys.exit(0)\n        return {MAXIMUM}")
)


@pytest.mark.slow
def test_a_method_that_prints_does_not_break_json_and_its_exit_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PRINTS)
    command = [sys.executable, "-m", "benchmark.cli"]
    shown = subprocess.run([*command, "show", f"{file}:Mine", "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["name"] == "mine"
    assert "at import" in shown.stderr and "by a shell" in shown.stderr
    done = subprocess.run([*command, "verify", f"{file}:Mine", "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"SystemExit: 0 ({file}, line " in done.stderr.replace("\n", "")
    assert done.stdout == ""
