"""The version of a simulator as a class attribute, looked up when it is asked for."""

from __future__ import annotations

from importlib import metadata


class InstalledVersion:
    """`version = InstalledVersion("metaworld")` is `metaworld==3.1.1`.

    What else a class says can then be read where its simulator is not installed. Raises
    `importlib.metadata.PackageNotFoundError`.
    """

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution

    def __get__(self, instance: object, owner: type) -> str:
        return f"{self.distribution}=={metadata.version(self.distribution)}"
