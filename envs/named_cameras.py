"""Cameras of a request by their names, `front` or `front@azimuth=10`: which there are, and which can be moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from envs.camera import Orbit, parse_camera
from envs.errors import SpecMismatch
from envs.registry import UnknownName


def named_cameras(
    names: Sequence[str], what: str, known: Sequence[str], fixed: Mapping[str, str]
) -> list[tuple[str, Orbit | None]]:
    """Each camera and its shift. what: `camera of aloha`, for messages. fixed: those of the known ones that cannot be
    moved around the table, and why (`moves with the robot`). Raises `UnknownName` or `SpecMismatch`.
    """
    found = []
    for name in names:
        try:
            base, orbit = parse_camera(name)
        except ValueError as error:
            raise SpecMismatch(str(error)) from error
        if base not in known:
            raise UnknownName(what, base, known)
        if orbit is not None and base in fixed:
            raise SpecMismatch(f"{base} {fixed[base]} and cannot be shifted around the table")
        found.append((base, orbit))
    if len(dict(found)) < len(found):
        raise SpecMismatch(f"{', '.join(names)}: a camera can be in one place at a time")
    return found
