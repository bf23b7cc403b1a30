"""What goes wrong on purpose: $FAKE_RLBENCH, or the file that $FAKE_RLBENCH_FILE names, has `WHERE:WHAT`, such as
`step:hang` or `reset:black`."""

import ctypes
import os
import signal
import time


def wanted(where):
    said, file = os.environ.get("FAKE_RLBENCH", ""), os.environ.get("FAKE_RLBENCH_FILE", "")
    if os.path.exists(file):
        with open(file) as opened:
            said = opened.read()
    place, _, what = said.partition(":")
    return what if place == where else ""


def happen(where):
    """Raise, hang or die as $FAKE_RLBENCH says of this place."""
    from pyrep.errors import ConfigurationPathError, IKError, PyRepError
    from rlbench.backend.exceptions import BoundaryError, InvalidActionError, TaskEnvironmentError

    what = wanted(where)
    raised = {
        "InvalidActionError": InvalidActionError("Gripper action expected to be within 0 and 1."),
        "ConfigurationPathError": ConfigurationPathError("Could not create path."),
        "IKError": IKError("IK failed."),
        "TaskEnvironmentError": TaskEnvironmentError("Could not place the task in the scene."),
        "BoundaryError": BoundaryError("no place"),
        "PyRepError": PyRepError("the scene is gone"),
        "RuntimeError": RuntimeError("The call failed on the V-REP side. Return value: -1"),
        "no-demos": RuntimeError("Could not collect demos. Maybe a problem with the task?"),
    }
    if what in raised:
        raise raised[what]
    if what == "hang":
        time.sleep(600)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
