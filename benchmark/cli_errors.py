"""Expected errors end in one message and an exit code: 2 for what the user can mend, 130 for Ctrl-C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from benchmark.progress import say


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Expected errors become one message and an exit code; the unexpected keep their traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from what is finished")
            raise typer.Exit(130) from None
        except Exception as error:
            if not _expected(error):
                raise
            say(f"error: {error}")
            raise typer.Exit(2) from None

    return wrapper


def _expected(error: Exception) -> bool:
    from benchmark.protocol import ConfigError
    from benchmark.storage import Busy, StorageError
    from envs.pool import WorkerDied, WorkerError
    from envs.registry import BrokenFile, UnknownName
    from envs.render import GLMissing
    from envs.spec import SpecMismatch
    from envs.versions import NoSimulator
    from methods.errors import BadMethod, BadWeights

    kinds = (ConfigError, Busy, StorageError, WorkerDied, WorkerError, UnknownName, GLMissing, SpecMismatch,
             BadWeights, FileNotFoundError, BrokenFile, BadMethod, NoSimulator)  # fmt: skip
    return isinstance(error, kinds) or type(error).__name__ in {
        "OtherSettings",
        "ExpertFails",
        "BadRecord",
        "FetchFailed",
        "BadExport",
        "OtherCode",
        "CheckpointGone",
        "Refused",
        "NotAPanda",
        "PolicyDiverged",
    }
