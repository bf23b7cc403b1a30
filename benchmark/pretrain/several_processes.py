"""torchrun, which ends by Ctrl-C as any of our commands does: in a line of the process that was interrupted, exit code
130, and not in the traceback of what started it."""

from __future__ import annotations

import sys


def main() -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.run import main as run

    try:
        run()
    except SignalException as error:
        sys.exit(128 + int(error.sigval))


if __name__ == "__main__":
    main()
