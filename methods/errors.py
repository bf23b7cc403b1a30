"""What can be wrong with weights. Every message says what is expected and names the command that mends it."""

from __future__ import annotations


class BadWeights(ValueError):
    """A file that is damaged, belongs to another network or wants to run code."""


class WeightsMissing(FileNotFoundError):
    """A method needs weights that are not here."""
