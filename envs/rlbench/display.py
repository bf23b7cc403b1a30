"""An X server for CoppeliaSim 4.1, which draws into a window even where it has none to show (it knows no EGL)."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile

from envs.errors import UserError

PATIENCE = 20.0
"""Seconds for an X server to say its number."""
INSTALL = "sudo apt-get install -y xvfb libgl1-mesa-dri"
WRONG_PLATFORMS = ("offscreen", "minimal", "eglfs", "linuxfb", "vnc", "wayland")
"""Of Qt. With `offscreen` CoppeliaSim runs without an error, and every image is black."""


class NoDisplay(UserError, RuntimeError):
    """There is no X server, and none can be started."""


class XServer:
    """DISPLAY where it answers, else an Xvfb of this process alone. Sets DISPLAY. Raises `NoDisplay`.

    said: what draws, for a record: `DISPLAY :0`, or `Xvfb`.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        given = os.environ.get("DISPLAY", "")
        if answers(given):
            self.said = f"DISPLAY {given}"
            return
        program = shutil.which("Xvfb")
        if program is None:
            why = f"the X server DISPLAY={given} does not answer" if given else "DISPLAY names no X server"
            raise NoDisplay(f"{why}, and Xvfb is not installed to start one: {INSTALL}")
        os.environ["DISPLAY"] = self._start(program)
        self.said = "Xvfb"

    def _start(self, program: str) -> str:
        heard, told = os.pipe()
        options = ["-displayfd", str(told), "-screen", "0", "1280x1024x24", "+extension", "GLX", "-nolisten", "tcp"]
        with tempfile.TemporaryFile() as errors, open(heard, "rb", buffering=0) as answer:
            try:
                self._process = subprocess.Popen(
                    [program, *options], pass_fds=[told], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
                )
            except OSError as error:
                raise NoDisplay(f"{program} cannot be started ({error.strerror}): {INSTALL}") from error
            finally:
                os.close(told)
            ready, _, _ = select.select([answer], [], [], PATIENCE)
            number = answer.read(16).decode(errors="replace").strip() if ready else ""
            if not number.isdecimal():
                self._process.kill()
                self._process.wait()
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines()
                raise NoDisplay(f"{program} did not start ({said[-1] if said else 'it said nothing'}): {INSTALL}")
        return f":{number}"

    def close(self) -> None:
        """End the server if it is this process's own. (One that is killed takes it along: they share a group.)"""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2.0)
            self._process.kill()
            self._process = None
            os.environ.pop("DISPLAY", None)


def answers(display: str) -> bool:
    """Whether an X server accepts connections at this DISPLAY, such as `:0`, `:99.0` or `host:10`."""
    match = re.fullmatch(r"(?:unix)?([^:/]*):(\d+)(?:\.\d+)?", display)
    if match is None:
        return False
    host, number = match[1], int(match[2])
    with contextlib.suppress(OSError):
        if host:
            socket.create_connection((host, 6000 + number), timeout=3.0).close()
            return True
        for name in (f"\0/tmp/.X11-unix/X{number}", f"/tmp/.X11-unix/X{number}"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(3.0)
                connection.connect(name)
                return True
    return False


def refuse_wrong_platform() -> None:
    """Raises `NoDisplay` where QT_QPA_PLATFORM names a platform with which CoppeliaSim draws nothing."""
    platform = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0]
    if platform in WRONG_PLATFORMS:
        raise NoDisplay(
            f"QT_QPA_PLATFORM={platform}: CoppeliaSim would run and every image would be black; "
            "unset QT_QPA_PLATFORM, or set it to xcb"
        )
