"""Cameras of different sizes in one observation: what a person says of them, and the one way in which it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Sizes = tuple[tuple[str, int, int], ...]
"""(camera, height, width) of cameras whose images have a size of their own, pixels."""

LARGEST = 4_096
"""Pixels of an image's height or width."""


def read_sizes(value: Any) -> Sizes:
    """What a person writes: `{camera: [height, width], ...}`, or None for one size. Also what a record has, which is a
    list of [camera, height, width]. Raises ValueError.
    """
    if value is None:
        return ()
    if isinstance(value, Mapping):
        value = [[name, *size] if _listed(size) else [name, size] for name, size in value.items()]
    if not _listed(value):
        raise ValueError(f"sizes are {{camera: [height, width]}}, or null, not {value!r}")
    return tuple(_checked(one) for one in value)


def settled(cameras: Sequence[str], height: int, width: int, sizes: Any) -> tuple[int, int, Sizes]:
    """The same in one way, however it was said: the height and width of the first camera, and the sizes of the others
    that differ from it, in the order of the cameras; () where all have one size.

    sizes: anything that `read_sizes` reads; height, width: of cameras that it does not name. A size counts for the
    camera that is called so, or else for those that are shifts of it: `corner` for `corner@azimuth=15`. Raises
    ValueError for a camera that is not there, and one that is named twice.
    """
    given: dict[str, tuple[int, int]] = {}
    for name, *size in read_sizes(sizes):
        meant = [camera for camera in cameras if camera == name] or [c for c in cameras if _base(c) == name]
        if not meant:
            raise ValueError(
                f"sizes has one of the camera {name}, which is none of the cameras that are seen: "
                f"{', '.join(cameras) or 'none'}; name it under cameras, too, or leave its size out"
            )
        if twice := next((camera for camera in meant if camera in given), None):
            raise ValueError(f"sizes has two of the camera {twice}")
        given |= dict.fromkeys(meant, (size[0], size[1]))
    if not given:
        return height, width, ()
    if len(set(cameras)) < len(cameras):
        raise ValueError(f"cameras of different sizes are told apart by their names: {', '.join(cameras)}")
    each = {camera: given.get(camera, (height, width)) for camera in cameras}
    first, short = each[cameras[0]], dict(zip(cameras, short_names(cameras), strict=True))
    return *first, tuple((short[camera], *size) for camera, size in each.items() if size != first)


def size_among(cameras: Sequence[str], camera: str, default: tuple[int, int], sizes: Sizes) -> tuple[int, int]:
    """(height, width) of one of the cameras; sizes: as `settled` gives them. Raises ValueError for another camera."""
    if camera not in cameras:
        raise ValueError(f"{camera} is none of the cameras that are seen: {', '.join(cameras) or 'none'}")
    return {name: (height, width) for name, height, width in sizes}.get(_short(cameras, camera), default)


def short_names(cameras: Sequence[str]) -> list[str]:
    """What cameras are called wherever they stand: `corner` of `corner@azimuth=15`, if no other is at another place."""
    return [_short(cameras, camera) for camera in cameras]


def _short(cameras: Sequence[str], camera: str) -> str:
    base = _base(camera)
    return base if [_base(other) for other in cameras].count(base) == 1 else camera


def _base(camera: str) -> str:
    return camera.partition("@")[0]


def _checked(one: Any) -> tuple[str, int, int]:
    if not _listed(one) or len(one) != 3 or not isinstance(one[0], str) or not one[0]:
        raise ValueError(f"sizes are {{camera: [height, width]}}, and this is none of one: {one!r}")
    if not all(type(pixels) is int and 1 <= pixels <= LARGEST for pixels in one[1:]):
        raise ValueError(
            f"the size of {one[0]} is [height, width], two whole numbers, at least 1 and at most {LARGEST:,}, not "
            f"{list(one[1:])}"
        )
    return one[0], one[1], one[2]


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
