"""The file of actions beside a record: one array (steps, A) float32 for each episode, by its seed.

Of an episode that was left out (`benchmark.records.shrink`) the file has the hash of its actions instead.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmark.system.checked_json import NotPlain, read_bytes
from benchmark.system.files import write_atomically
from benchmark.system.printable import one_line

if TYPE_CHECKING:
    import numpy as np

LARGEST = 2**30
"""Bytes of a file, and of all it holds when it is unpacked. A retest of 100 episodes has a fifth of a megabyte."""
WIDEST = 4096
"""Numbers in one action."""
HASH = ".sha256"
"""End of the name, in the file, of an episode that was left out."""


class BadActions(ValueError):
    """The file holds no actions. The message says why, as the end of a sentence."""


def retest_actions(record: Path) -> Path:
    """Of the retest."""
    return record.with_suffix(".actions.npz")


def evaluations_actions(record: Path) -> Path:
    """Of all evaluations, where `runtime.keep_actions=all` asked for them; episodes are named `EPOCH-SEED`."""
    return record.with_suffix(".evaluations.actions.npz")


def write_actions(path: Path, actions: Mapping[str, np.ndarray], hashes: Mapping[str, str] | None = None) -> None:
    """hashes: `episode_digest` of the episodes whose actions are left out, by their names."""
    write_atomically(path, lambda file: file.write(packed_actions(actions, hashes or {})))


def packed_actions(actions: Mapping[str, np.ndarray], hashes: Mapping[str, str]) -> bytes:
    """What `write_actions` writes."""
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, object] = dict(actions)
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, digest in hashes.items():
            archive.writestr(f"{name}{HASH}", digest)
    return buffer.getvalue()


def read_actions(path: Path, horizon: int) -> dict[str, np.ndarray]:
    """Name -> actions, of at most `horizon` steps each. Raises `BadActions`, whatever the file is."""
    return read_kept(path, horizon)[0]


def read_kept(path: Path, horizon: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Name -> actions, as `read_actions`, and name -> hash of those that were left out. Raises `BadActions`."""
    try:
        content = read_bytes(path, LARGEST)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST:
                raise BadActions(f"it would unpack to more than {LARGEST:,} bytes")
            found, hashes = {}, {}
            for info in archive.infolist():
                with archive.open(info) as member:
                    if info.filename.endswith(HASH):
                        hashes[info.filename.removesuffix(HASH)] = _hash(member, info.filename)
                    else:
                        name = info.filename.removesuffix(".npy")
                        found[name] = _array(member, info.filename, info.file_size, horizon)
            return found, hashes
    except NotPlain as error:
        raise BadActions(str(error)) from error
    except BadActions:
        raise
    except Exception as error:  # a garbled archive or header raises whatever its bytes happen to mean
        raise BadActions(f"it is damaged ({one_line(str(error))[:200]})") from error


def _hash(file: IO[bytes], name: str) -> str:
    text = file.read(65)
    if not re.fullmatch(rb"[0-9a-f]{64}", text):
        raise BadActions(f"{name} is no sha256 hash")
    return text.decode()


def _array(file: IO[bytes], name: str, size: int, horizon: int) -> np.ndarray:
    """One array; its header is checked before any memory is taken."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise BadActions(f"{name} is no array as numpy writes it here")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != np.float32 or len(shape) != 2 or fortran:
        raise BadActions(f"{name} is {dtype} of shape {shape}, not float32 (steps, A)")
    steps, width = map(int, shape)
    if not 0 <= steps <= horizon or not 0 <= width <= WIDEST:
        raise BadActions(f"{name} has the shape {shape}, and an episode has at most {horizon} steps")
    if steps * width * 4 > size:
        raise BadActions(f"{name} is cut off")
    content = file.read(steps * width * 4)
    file.read()  # to the end, so that its checksum is checked
    array = np.frombuffer(content, np.float32).reshape(steps, width)
    if not np.isfinite(array).all():
        raise BadActions(f"{name} holds numbers that are not finite")
    return array
