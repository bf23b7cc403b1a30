"""Messages over a socket, with one deadline for a message as a whole."""

from __future__ import annotations

import select
import socket
import time
from typing import Any

from envs.messages import HEADER, TREE, BadFrame, decode_step, decode_tree, encode, sizes, whole_step

AT_ONCE = 65536
"""Bytes that are read at a time; more than any message of a step has."""


class Channel:
    """One side of a conversation in which each message is answered by one.

    watch: a descriptor that becomes readable when the other process has ended (`os.pidfd_open`). A child of that
    process may hold its socket open, which then says nothing. Without it, and without deadlines, the socket blocks.
    farewell: the command, first of a tuple, that may come behind a message that has not been answered yet.
    """

    def __init__(
        self,
        connection: socket.socket,
        watch: int | None = None,
        blocking: bool = False,
        farewell: str | None = None,
    ) -> None:
        self._socket, self._watch, self._farewell = connection, watch, farewell
        self._have = bytearray()
        self._poll: Any = None
        if not blocking:
            connection.setblocking(False)
            self._poll = select.poll()
            for fd in (connection.fileno(), watch):
                if fd is not None:
                    self._poll.register(fd, select.POLLIN)

    @property
    def closed(self) -> bool:
        return self._socket.fileno() < 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, message: Any, deadline: float | None = None) -> None:
        """Raises `Unsendable` before a byte is sent, OSError if the other side is gone, TimeoutError."""
        for part in encode(message):
            if self._poll is None:
                self._socket.sendall(part)
            else:
                self._send(memoryview(part), deadline)

    def _send(self, part: memoryview, deadline: float | None) -> None:
        while part:
            try:
                part = part[self._socket.send(part) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self._socket.fileno(), select.POLLOUT)
                if self._watch is not None:
                    waiting.register(self._watch, select.POLLIN)
                ready = waiting.poll(_milliseconds(deadline))
                if not ready:
                    raise TimeoutError("it does not read what it is sent") from None
                if self._socket.fileno() not in [fd for fd, _ in ready]:
                    raise BrokenPipeError("it has ended") from None

    def receive(self, deadline: float | None = None) -> Any:
        """The next message; a farewell behind it takes its place, for nobody waits for the answer any more.

        Raises EOFError if the other side is gone, TimeoutError, or `BadFrame`.
        """
        have = self._have
        if not have:
            first = self._some(deadline)
            if (message := whole_step(first)) is not None:
                return message
            have += first
        while len(have) < HEADER.size:
            have += self._some(deadline)
        kind, tree, body = sizes(bytes(have[: HEADER.size]))
        head = HEADER.size + (tree if kind == TREE else body)
        while len(have) < head:
            have += self._some(deadline)
        content = bytes(have[HEADER.size : head])
        del have[:head]
        if kind == TREE:
            message = decode_tree(content, body, lambda view: self._fill(view, deadline))
        else:
            message = decode_step(kind, content)
        if have:
            message = self.receive(deadline) if self._farewell is not None else None
            if not (isinstance(message, tuple) and message[:1] == (self._farewell,)):
                raise BadFrame("more was sent than one message")
        return message

    def _fill(self, view: memoryview, deadline: float | None) -> None:
        done = min(len(view), len(self._have))
        view[:done] = self._have[:done]
        del self._have[:done]
        while done < len(view):
            try:
                count = self._socket.recv_into(view[done:])
            except BlockingIOError:
                self._wait(deadline)
                continue
            if not count:
                raise EOFError
            done += count

    def _some(self, deadline: float | None) -> bytes:
        while True:
            try:
                found = self._socket.recv(AT_ONCE)
            except BlockingIOError:
                self._wait(deadline)
                continue
            if not found:
                raise EOFError
            return found

    def _wait(self, deadline: float | None) -> None:
        if self._poll is None:
            return
        ready = self._poll.poll(_milliseconds(deadline))
        if not ready:
            raise TimeoutError("it does not answer" if not self._have else "it stopped in the middle of its answer")
        if len(ready) == 1 and ready[0][0] == self._watch:
            raise EOFError


def _milliseconds(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
