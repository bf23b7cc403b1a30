"""Whether a path that somebody gave is a file that can be read to its end."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def why_no_file(path: Path) -> str | None:
    """Why `path` is no regular file that could be opened, as `is a folder`; None if it is one.

    A pipe would be read for ever, and a device to no end.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "is a link that leads nowhere" if path.is_symlink() else "is not there"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    except ValueError as error:
        return f"cannot be looked at ({error})"
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        return f"is {next((name for test, name in kinds if test(mode)), 'a device')}"
    return None if os.access(path, os.R_OK) else "may not be read"
