"""Errors that a user can mend, without anything heavy to import."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration that cannot be run. The message says which value, and what is allowed."""
