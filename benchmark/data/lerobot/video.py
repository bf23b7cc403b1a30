"""A camera's images as H.264 in an mp4, one episode after the other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmark.system.errors import ConfigError
from benchmark.system.files import explain

SETTINGS = {"g": "2", "bf": "0", "crf": "18", "preset": "veryfast"}
"""A key frame every second frame, as LeRobot has it, so that any frame is found quickly; crf 18 loses little."""


def encoder() -> Any:
    """PyAV. Raises `ConfigError` where it is not here."""
    try:
        import av
    except ImportError as error:
        raise ConfigError("LeRobot's videos need PyAV: python -m pip install 'repbench[lerobot]'") from error
    return av


class Video:
    """An mp4 that is being written; close it to have it whole. Raises `StorageError` for a disk that is full."""

    def __init__(self, path: Path, fps: int, height: int, width: int) -> None:
        """Raises `ConfigError` for odd sides, which H.264's colours (4:2:0) do not have."""
        if height % 2 or width % 2:
            raise ConfigError(
                f"images of {height} x {width} pixels cannot be a video, whose sides are even: give "
                "suite.observation.height, .width or .sizes"
            )
        self._av, self._path = encoder(), path
        with explain(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._av.open(str(path), "w", format="mp4")
            self._stream = self._file.add_stream("libx264", rate=Fraction(fps))
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.options = dict(SETTINGS)

    def add(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8."""
        with explain(self._path):
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            for packet in self._stream.encode(frame):
                self._file.mux(packet)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with explain(self._path):
            if kind is None:
                for packet in self._stream.encode():
                    self._file.mux(packet)
            self._file.close()


def frames_in(path: Path) -> int:
    """How many images a video has, counted in the file's index. Raises whatever PyAV does for a damaged file."""
    with encoder().open(str(path)) as file:
        return int(file.streams.video[0].frames)
