"""Files that are whole or absent: atomic writes, space taken before it is mapped, one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout

from envs.errors import UserError

if TYPE_CHECKING:
    import numpy as np


class StorageError(UserError, OSError):
    """A disk that is full or not writable. Nothing that was finished is lost; the message says what to do."""


class ReadOnly(StorageError):
    """A place where nothing can be written: a mount for reading only, or somebody else's folder. reason: the system's
    words."""

    def __init__(self, message: str, path: Path, reason: str) -> None:
        super().__init__(message)
        self.path, self.reason = path, reason


class Busy(UserError, RuntimeError):
    """Another process is working on the same thing."""

    exit_code = 3


FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EFBIG: "the limit on the size of a file is reached (ulimit -f)",
}
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
REFUSED = (
    *READ_ONLY,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EIO,
    errno.ESTALE,
)


def full_disk(error: BaseException) -> OSError | None:
    """The error of a full disk behind `error`: torch, h5py and others raise something of their own after it."""
    seen: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in seen:
        if isinstance(now, OSError) and now.errno in FULL:
            return now
        seen.append(now)
        now = now.__cause__ or now.__context__
    return None


def stopped_by_disk(error: BaseException, path: Path | None = None) -> StorageError | None:
    """What to raise in place of an error that a full disk is behind; None for any other."""
    if isinstance(error, StorageError):
        return error
    full = full_disk(error)
    if full is None:
        return None
    place = path or full.filename
    what = f"{place} could not be written" if place else "a file could not be written"
    return StorageError(
        f"{FULL[full.errno or 0]}: {what}. Finished parts are kept. Free space there, or choose another place with "
        "--out or --data, and run the same command again"
    )


@contextlib.contextmanager
def explain(path: Path) -> Iterator[None]:
    """Turn 'no space', 'read-only' and the like into a `StorageError` that names the place and the mend."""
    try:
        yield
    except Exception as error:
        said = stopped_by_disk(error, path) or _not_writable(error, path)
        try:
            if said is None or said is error:
                raise
            raise said from error
        finally:
            del said  # an error that its own traceback names would keep files and maps open until the next collection


def _not_writable(error: Exception, path: Path) -> StorageError | None:
    if not isinstance(error, OSError) or error.errno not in REFUSED:
        return None
    reason = error.strerror or type(error).__name__
    message = f"{path} cannot be written ({reason}); choose another with --out or --data"
    return ReadOnly(message, path, reason) if error.errno in READ_ONLY else StorageError(message)


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Call `write(file)` on a temporary file beside `path`, flush it to the disk, and rename it into place."""
    with explain(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise


def write_json(path: Path, data: Any) -> None:
    """Sorted, indented JSON with flat lists on one line. NaN and infinity are refused."""
    text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", text)
    write_atomically(path, lambda file: file.write(text.encode()))


def allocate(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    """A new .npy file of this shape, mapped for writing.

    Its space is taken first: writing to a map of a sparse file on a full disk kills the process with SIGBUS.
    """
    import numpy as np

    with explain(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
        try:
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
        except OSError:
            path.unlink(missing_ok=True)  # what was taken of the space is needed for the message's mend
            raise
    return array


@contextlib.contextmanager
def exclusive(path: Path, what: str, wait: bool, notify: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the lock file `path`. If another process holds it: wait (saying so), or raise `Busy` naming it.

    The lock is the kernel's (flock): it ends with the process, however that ends, so there are no stale locks.
    """
    with explain(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(path), fallback_to_soft=False)  # a file for a lock would outlive a process that is killed
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = path.with_suffix(".holder")
        who = holder.read_text().strip() if holder.exists() else "another process"
        if not wait:
            raise Busy(f"{what} is being worked on by {who}") from None
        notify(f"waiting for {who} to finish {what}")
        lock.acquire()
    except OSError as error:
        if error.errno != errno.ENOSYS:
            with explain(path):  # an older lock file of somebody else's, in a folder that can be written or not
                raise
        raise StorageError(
            f"{path} is on a filesystem without flock, so two processes could not be kept apart; choose another place "
            "with --out or --data, or mount it with locks (Lustre: -o flock)"
        ) from error
    try:
        with explain(path):
            path.with_suffix(".holder").write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        with contextlib.suppress(OSError):
            path.with_suffix(".holder").unlink()
        lock.release()


def discard(path: Path) -> None:
    """Remove a file or folder if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
