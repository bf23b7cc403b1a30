"""The process that holds one simulator. It imports numpy and the simulator, never torch.

It may run in another Python interpreter with another numpy, so it is started as a plain program (`envs.process`) and
speaks `envs.messages` over an inherited socket. All that it imports of this room has to run with Python 3.10 and
numpy 1.26.
"""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

from envs.base import Env
from envs.channel import Channel
from envs.class_facts import ClassFacts, edited
from envs.errors import UserError
from envs.messages import Unsendable
from envs.process import CLOSE
from envs.registry import make
from envs.worker import Commands, field_views

LINGERING = 5.0
"""Seconds after the parent's end in which a simulator may close itself."""
LONGEST = 65536
"""Characters of an error's text, and of its traceback's end, that are told."""


def serve(channel: Channel, memory: mmap.mmap | None) -> bool:
    """Become what the first message asks for, then answer commands. Whether the other side said farewell.

    `("build", {name, task, request, specs, expected})` is one simulator, whose observations go to `memory`, where specs
    says; `("describe", {name, expected})` is its class alone. expected: sha256 of local files as the asking process
    knows them.
    """
    env: Env | None = None
    try:
        try:
            kind, wanted = channel.receive()
        except (EOFError, OSError):
            return False
        if kind == CLOSE:
            return True
        try:
            commands: Any = ClassFacts(wanted["name"])
            if kind == "build":
                env = make(wanted["name"], wanted["task"], wanted["request"])
                commands = Commands(env, field_views(memory, _agreed(env, wanted)))
            if found := edited(wanted["expected"]):
                raise RuntimeError(f"{', '.join(found)} was edited during the run: undo it, or begin with --overwrite")
        except BaseException as error:  # whatever a simulator's code raises, SystemExit too
            _tell(channel, ("error", failure(error, "caller" if isinstance(error, UserError) else "simulator")))
            return False
        return _tell(channel, ("ok", "ready")) and _converse(channel, commands, env)
    finally:
        if env is not None:
            env.close()


def _agreed(env: Env, wanted: dict[str, Any]) -> Any:
    specs = env.specs(wanted["request"])
    if specs != wanted["specs"]:
        raise RuntimeError(f"its specs are {specs}, and were {wanted['specs']} when its class was asked")
    return specs


def _converse(channel: Channel, commands: Any, env: Env | None) -> bool:
    while True:
        try:
            command, arguments = channel.receive()
        except (EOFError, OSError):
            return False  # the parent is gone, however it went: nothing is left to do
        if command == CLOSE:
            return True
        try:
            method = None if command.startswith("_") else getattr(commands, command, None)
            if not callable(method):
                raise Unknown(f"there is no command {command}")
            reply = ("ok", method(*arguments))
        except BaseException as error:
            reply = (
                "error",
                failure(error, _fault(method, arguments, error, env if command in ("step", "steps") else None)),
            )
        if not _tell(channel, reply):
            return False


class Unknown(UserError):
    """A command that there is not."""


def _tell(channel: Channel, reply: Any) -> bool:
    """Whether there is still somebody to tell it."""
    with contextlib.suppress(OSError):
        try:
            channel.send(reply)
        except Unsendable as error:
            channel.send(("error", failure(error, "simulator")))
        return True
    return False


def _fault(method: Any, arguments: tuple[Any, ...], error: BaseException, stepped: Env | None) -> str:
    """Whose fault an error is: the caller's if it is a question that nobody could answer."""
    if isinstance(error, UserError):
        return "caller"
    try:
        inspect.signature(method).bind(*arguments)
        if stepped is not None:
            for action in arguments[0] if method.__name__ == "steps" else arguments[:1]:
                stepped.action_spec.check(action)
    except (TypeError, ValueError):
        return "caller"
    return "simulator"


def failure(error: BaseException, fault: str) -> dict[str, str]:
    """An error as plain data; neither its text nor its traceback is without an end, or raises."""
    try:
        said = str(error)
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as other:
        said, trace = f"(its text raised {type(other).__name__})", "".join(traceback.format_tb(error.__traceback__))
    return {"kind": type(error).__name__, "said": said[:LONGEST], "trace": trace[-LONGEST:], "fault": fault}


def _end_with_the_parent(connection: socket.socket) -> None:
    """A thread that ends this process and its children some seconds after the parent is gone.

    A simulator that hangs would not see it by itself.
    """

    def wait() -> None:
        hung_up = select.poll()
        hung_up.register(connection.fileno(), select.POLLRDHUP)
        hung_up.poll()
        time.sleep(LINGERING)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True, name="end-with-the-parent").start()


def main() -> None:
    """`envs.process.Process` has the command line: the socket, and perhaps shared memory and its bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end ends us
    if sys.stderr is not None:
        faulthandler.enable()  # a crash in machine code says in which line of the simulator's it was
    socket_fd, *shared = (int(argument) for argument in sys.argv[1:])
    for fd in (socket_fd, *shared[:1]):
        os.set_inheritable(fd, False)  # or a child of the simulator's would keep them open
    connection = socket.socket(fileno=socket_fd)
    _end_with_the_parent(connection)
    channel = Channel(connection, blocking=True, farewell=CLOSE)
    parted = serve(channel, mmap.mmap(shared[0], shared[1]) if shared else None)
    with contextlib.suppress(Exception):  # it may be closed, by a simulator or by who started this process
        sys.stdout.flush()
    if not parted:
        os.killpg(0, signal.SIGKILL)  # nobody is left who would end the simulator's children
    os._exit(0)  # llvmpipe's own exit handlers can hang after the context is gone


if __name__ == "__main__":
    main()
