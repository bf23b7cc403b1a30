"""How `bench` ends: 0 done, 1 failed, 2 what the user can mend, 3 another process is at it, 70 a bug, 130 Ctrl-C.

Every expected error is one line on standard error, whoever found it: this code (`UserError`), the machine (`OSError`)
or the parser of the command line. Anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from benchmark.cli.groups import FIRST, GROUPS, summary
from benchmark.system import streams
from benchmark.system.files import stopped_by_disk
from benchmark.system.printable import one_line
from benchmark.system.progress import say
from envs.errors import UserError
from methods.errors import left_by, no_exit

LONGEST = 2_000
"""Characters of a message; a value that somebody gave may be of any length."""


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Expected errors become one message and an exit code; the unexpected keep their traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            with streams.for_results_alone(), no_exit():
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            if os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ:  # of torchrun's, one
                say("interrupted; the same command goes on from what is finished")
            raise typer.Exit(130) from None
        except streams.OutputGone as error:
            raise streams.exit_of(error) from None
        except (SystemExit, GeneratorExit) as error:  # no verb's: a method's code would end it as if all was done
            say(f"error: {left_by(error)}")
            raise typer.Exit(1) from None
        except Exception as error:
            code = told(stopped_by_disk(error) or error)
            if code is None:
                raise
            raise typer.Exit(code) from None

    return wrapper


def told(error: Exception) -> int | None:
    """Say an expected error in one line. Returns the exit code; None for what was not expected, and is not said."""
    if isinstance(error, UserError):
        text, code = str(error), error.exit_code
    elif isinstance(error, FileNotFoundError) and error.errno is None:  # with a message of its own
        text, code = str(error), 2
    elif isinstance(error, OSError) and error.errno not in (None, errno.EPIPE):
        place = f"{error.filename}: " if error.filename is not None else ""
        text, code = f"{place}{error.strerror}", 2
    elif hasattr(error, "format_message"):  # typer brings a click of its own, whose errors have no public base
        text, code = _usage(error), 2
    else:
        return None
    say(f"error: {_shortened(text)}")
    return code


def _shortened(text: str) -> str:
    """In one line, and cut in the middle if it is very long."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"


def _usage(error: Any) -> str:
    """What the parser found, and where the options are listed."""
    possible = getattr(error, "possibilities", None)
    text = str(error.format_message()).rstrip(".")
    if possible:
        text = f"{getattr(error, 'message', text)}. Did you mean {' or '.join(sorted(possible))}?"
    words: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return f"{text} ({' '.join(['bench', *words])} -h lists what there is)"


class Bench(TyperGroup):
    """The application: its `main` is the one way out, of `bench`, of `python -m benchmark` and of a test's runner."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Ends the process with an exit code; a bug is raised. `standalone_mode=False` leaves errors to the caller."""
        options, alone = {**options, "standalone_mode": False}, options.get("standalone_mode", True)
        if not alone:
            return super().main(*args, **options)
        try:
            code = super().main(*args, **options)
        except streams.OutputGone:
            raise  # the process has one place for it, which can give no message on the stream that is gone
        except Exception as error:
            code = told(error)
            if code is None:
                raise
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without any words the help, which is an error for a script."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            first = "" if ctx.parent else f"\n\nA first run, of some minutes:\n  {FIRST}"
            typer.echo(ctx.get_help() + first, err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """By group, each with its whole summary: the library's own list cuts them."""
        groups = {"Commands": tuple(self.list_commands(ctx))} if ctx.parent else GROUPS
        for title, names in groups.items():
            verbs = [(name, summary(verb.help)) for name in names if (verb := self.get_command(ctx, name))]
            with formatter.section(title):
                formatter.write_dl(verbs)
