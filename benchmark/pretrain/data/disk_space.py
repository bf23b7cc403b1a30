"""How large frames that are to be rendered are, said before the first is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.cache_places import Places, in_order
from benchmark.data.demos import Demos
from benchmark.data.observations import entry_of, rendered
from benchmark.system.errors import ConfigError
from benchmark.system.progress import say
from envs.description import describe
from envs.spec import ObservationRequest


def say_what_is_missing(
    name: str, places: Places, wanted: Sequence[tuple[Demos, ObservationRequest]], fingerprint: str
) -> None:
    """Frames and bytes of what `load_or_render` would have to render, and the room for it. Raises `ConfigError` where
    there is too little; what has been rendered stays. name: of the data.
    """
    frames, size, taken, there = 0, 0, 0, 0
    roots = in_order(places)
    for demos, request in wanted:
        if rendered(places, demos, request, fingerprint) is not None:
            there += demos.episodes.rows
            continue
        specs = describe(demos.env).specs(request)
        frames += demos.episodes.rows
        size += demos.episodes.rows * sum(spec.nbytes for spec in specs.values())
        taken += max(_bytes_in(root / entry_of(demos, request, fingerprint)) for root in roots)
    if not frames:
        return
    free = max(_free(root) for root in roots)
    known = f" ({there:,} are there)" if there else ""
    say(
        f"{name}: {frames:,} frames to render{known}, {size / 1e9:.2f} GB in {roots[0] / 'observations'}, where "
        f"{free / 1e9:.1f} GB are free. Rendering can be stopped and goes on where it was"
    )
    if size - taken > free:
        raise ConfigError(
            f"{name}: {frames:,} frames take {size / 1e9:.2f} GB, and {roots[0]} has room for {free / 1e9:.2f}: "
            f"choose another disk (--cache DIR), a larger {name}.stride, or fewer {name}.demos"
        )


def _bytes_in(folder: Path) -> int:
    """What an entry that is not finished takes already; its space is taken as a whole before the first frame."""
    return sum(file.stat().st_size for file in folder.glob("*.npy")) if folder.is_dir() else 0


def _free(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
