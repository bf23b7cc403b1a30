"""Every option and argument of every verb, with values that nobody means: it works, or it is one line.

The commands are walked, so that an option that is added later is tried as well; a verb that is added needs a line in
`BASE`. Each value is tried alone, upon words that are otherwise harmless and cheap.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark.cli.main import app
from benchmark.system.doctor import Finding
from tests.report.made import one, place

METHOD = """
import dataclasses
from methods.controls import ProprioOnly
class Mine(ProprioOnly):
    card = dataclasses.replace(ProprioOnly.card, name="mine", reported_as=None)
"""
MANY = "0:100000000"
"""Seeds with which a dry run counts, and measures nothing."""

MACHINE = {"cpu": "a", "cores": 2, "gpu": None, "platform": "Linux"}

BASE: dict[str, tuple[str, ...]] = {
    "run": ("--method", "state", "--tasks", "reach", "--seeds", MANY, "--dry-run"),
    "sweep": ("--method", "state", "--tasks", "reach", "--seeds", MANY, "--dry-run", "--launcher", "debug"),
    "collect": ("--tasks", "no-such-task"),
    "import": ("rlbench", "--root", "folder"),
    "list": (),
    "show": ("clar",),
    "doctor": ("--out", "out"),
    "fetch": ("no-such-simulator",),
    "perf": ("rollouts", "--task", "no-such-task"),
    "status": (),
    "cancel": (),
    "retry": (),
    "logs": ("reach",),
    "weights": ("clip",),
    "new": ("method", "clip"),
    "verify": ("proprio-only",),
    "features export": ("--method", "no-such-method"),
    "features train": ("file",),
    "pretrain": ("--teacher", "random", "--dry-run"),
    "retrieval": ("--weights", "file"),
    "attention": ("--weights", "file"),
    "suite": ("clar-ablation", "--seeds", MANY, "--dry-run"),
    "table": ("--records", "records"),
    "ledger": ("--records", "records"),
    "compare": ("dp3", "pointnet", "--records", "records"),
    "plan": ("--records", "records", "--spread", "6"),
    "spread": ("--records", "records"),
    "audit": ("--records", "records"),
    "export": ("--records", "records", "--to", "out/records.csv"),
    "report": ("--records", "records", "--to", "out/report"),
    "hub push": ("me/x", "--dry-run"),
    "hub pull": ("me/x", "--to", "folder", "--dry-run"),
    "shrink": ("records", "--to", "out/small"),
    "migrate": ("records", "--dry-run"),
}
"""Words for each verb that end at once: a dry run, records that were made, or a name that is not there."""

STOP: dict[tuple[str, str], tuple[str, ...]] = {
    ("run", "dry_run"): ("--tasks", "no-such-task"),
    ("collect", "tasks"): ("--suite", "no-such-suite"),
    ("sweep", "dry_run"): ("--tasks", "no-such-task"),
    ("suite", "dry_run"): ("--tasks", "no-such-task"),
    ("pretrain", "dry_run"): ("--data", "no-such-data"),
    ("run", "seeds"): ("--tasks", "no-such-task"),
    ("sweep", "seeds"): ("--tasks", "no-such-task"),
    ("suite", "seeds"): ("--tasks", "no-such-task"),
    ("audit", "with_reference"): ("no-such-cell",),
}
HOSTILE = (
    "",
    ",",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e400",
    str(10**12),
    str(10**30),
    "x" * 10_000,
    "../../x",
    "a/b",
    "a+b",
    "a\\b",
    "..",
    ".hidden",
    "\x1b[31mred\x1b[0m",
    "\x07\r\n\t",
    "\u202e",
    "é",
    "\u0663",
    "名前",
    "=",
    "a=b",
    "~a=b",
    "+a=b",
    "${oc.env:HOME}",
    "a=${",
    "[",
    "{a: b}",
    "[0,1]",
    "null",
    "true",
    "%s",
    "--",
    "-x",
    "--no-such-option",
    "*",
    "~",
    "$(touch owned)",
    "protocol.epochs=1,2",
    "launcher.jobs=nan",
    "file",
    "folder",
    "pipe",
    "/dev/full",
    "missing/deep/down",
    "file/below",
    "mine.py:Mine",
    "mine.py:Nobody",
    "missing.py:Mine",
    "pipe.py:Mine",
)
SECONDS = 30.0
"""In which a command with a senseless value has ended; the slowest, a report of all committed records, takes seven."""


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


APPLICATION = typer.main.get_command(app)
COMMANDS = dict(commands(APPLICATION))
PARAMETERS = [
    (verb, parameter.name, parameter)
    for verb, command in COMMANDS.items()
    for parameter in command.params
    if parameter.name != "help"
]


def test_every_verb_has_words_to_be_tried_with() -> None:
    assert set(BASE) == set(COMMANDS), "a new verb needs cheap and harmless words in BASE for its options to be tried"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that a value may name, and fences about it."""
    room = tmp_path / "a" / "b" / "room"
    (room / "folder").mkdir(parents=True)
    (room / "file").write_text("not what you expect\n")
    (room / "mine.py").write_text(METHOD)
    for name in ("pipe", "pipe.py"):
        os.mkfifo(room / name)
    for method in ("dp3", "pointnet"):
        made = one("reach", method, "mlp", 0, rollouts=5, retest=10)
        place(dataclasses.replace(made, provenance={**made.provenance, "machine": MACHINE}), room / "records")
    monkeypatch.chdir(room)
    monkeypatch.setenv("HOME", str(room))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("BENCH_WEIGHTS", str(room / "weights"))
    return room


def words_for(verb: str, parameter: Any, value: str) -> list[str]:
    """The base with this value for the parameter, in place of the one that stands there."""
    base = [*verb.split(), *BASE[verb]]
    stop = list(STOP.get((verb, parameter.name), ()))
    if parameter.param_type_name == "argument":
        kept = base[len(verb.split()) :]
        if kept and not kept[0].startswith("-"):
            kept = kept[1:]  # the argument's place
        return [*verb.split(), *kept, value]
    flag = parameter.opts[0]
    if flag in base:
        at = base.index(flag)
        del base[at : at + (1 if parameter.is_flag else 2)]
    return [*base, *stop, flag] if parameter.is_flag else [*base, *stop, f"{flag}={value}"]


def tried(words: list[str]) -> str | None:
    """What is wrong with how the command ended, None if nothing is."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"not done after {SECONDS:g} s")

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            APPLICATION.main(words, prog_name="bench")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    except BaseException as error:
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    said = err.getvalue()
    if code not in ALLOWED.get(words[0], (0, 1, 2, 3)) and "--watch" not in words:
        return f"ended with {code}: {said[-300:]}"
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if code == 2 and (len(errors) != 1 or said.splitlines()[-1] != errors[0]):
        return f"said no one line: {said[-300:]!r}"
    if "Traceback" in said + out.getvalue():
        return f"shows a traceback: {said[-300:]}"
    if any(not char.isprintable() and char != "\n" for char in said):
        return f"says what a terminal obeys: {said[-300:]!r}"
    return None


ALLOWED = {"audit": (0, 1, 2, 3, 4)}
"""Exit codes; an audit that could not check a record ends with 4."""


PLACES = {"out", "to", "data", "cache", "weights_dir", "folder"}
"""Parameters that say where to write; what they name may be written, wherever it is."""


def outside(room: Path, asked: bool) -> list[str]:
    """Everything but the room. asked: without the places beside it that values name as a path."""
    around, named = room.parents[2], {(room / value).resolve() for value in ("..", "../../x")} if asked else set()
    return sorted(
        str(path.relative_to(around))
        for path in around.rglob("*")
        if room not in (path, *path.parents) and not named & {path, *path.parents}
    )


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "name", "parameter"), PARAMETERS, ids=[f"{v}-{n}" for v, n, _ in PARAMETERS])
def test_no_value_of_an_option_is_a_traceback_a_hang_or_a_way_out(
    verb: str, name: str, parameter: Any, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda *_a, **_k: True)
    if verb == "status":
        monkeypatch.setattr("time.sleep", _interrupt)  # `--watch` goes on until Ctrl-C
    if verb == "doctor":
        # takes seconds
        monkeypatch.setattr("benchmark.system.doctor.check_golden_frame", lambda: Finding("GL", "ok", ""))
    asked = name in PLACES and not (verb == "pretrain" and name == "data")
    before = outside(room, asked)
    flag = parameter.param_type_name == "option" and parameter.is_flag
    bad = {}
    for value in ("",) if flag else HOSTILE:
        wrong = tried(words_for(verb, parameter, value))
        if wrong is not None:
            bad[value[:40]] = wrong
    assert bad == {}
    assert outside(room, asked) == before, "something was written outside"
    assert not (room / "owned").exists()


def _interrupt(seconds: float) -> None:
    raise KeyboardInterrupt
