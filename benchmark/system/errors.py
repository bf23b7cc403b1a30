"""Errors that a user can mend, without anything heavy to import."""

from __future__ import annotations

from envs.errors import UserError


class ConfigError(UserError, ValueError):
    """A configuration that cannot be run. The message says which value, and what is allowed."""


class OtherSettings(UserError, RuntimeError):
    """A record or half-finished work of other settings is where this cell's would go. detail: lines that show it."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
