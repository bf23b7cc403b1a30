"""The base of every error that a user can mend, below all rooms so that each can derive from it."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user asked for or that the machine lacks, and no fault of this code.

    The command line prints its message as one line, without a traceback, and ends with `exit_code`: 2 for what the
    user can mend, 3 where another process is at work on the same thing.
    """

    exit_code = 2


class SpecMismatch(UserError, ValueError):
    """A producer and a consumer disagree about a field; raised before any work is done."""
