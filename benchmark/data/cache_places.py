"""Where cache entries are: looked for in every place, made in the first that can be written.

A data folder may be somebody else's, or mounted for reading only: what is whole there is used without writing a byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmark.data.sample_inputs import Unusable
from benchmark.system.files import ReadOnly, exclusive
from benchmark.system.progress import say

T = TypeVar("T")
Places = Path | Sequence[Path]
"""One folder, or several in the order of preference (`benchmark.experiment.cell.Paths.caches`)."""
_said: set[tuple[Path, Path]] = set()


def in_order(places: Places) -> tuple[Path, ...]:
    return (places,) if isinstance(places, Path) else tuple(places)


def obtain(places: Places, name: str, title: str, take: Callable[[Path], T], make: Callable[[Path], T]) -> T:
    """The entry `name`, which is a folder below one of the places, or made there.

    take: gives the content of a folder, or raises `Unusable`; it is called without a lock and must check what it reads.
    make: makes the folder, going on with what is usable in it; called with a lock, so that one process makes and the
    others wait. That the first place cannot be written is found by trying, because root, ACLs and mounts make
    permissions say something else, and is said once. title: for messages.
    """
    roots, reasons = in_order(places), dict[Path, str]()
    for root in roots:
        try:
            return take(root / name)
        except Unusable as reason:
            reasons[root] = str(reason)
    for root, spare in zip(roots, (*roots[1:], None), strict=True):
        folder = root / name
        try:
            with exclusive(folder.with_suffix(".lock"), title, wait=True, notify=say):
                try:
                    return take(folder)  # somebody else has made it meanwhile
                except Unusable:
                    return make(folder)
        except ReadOnly as error:
            if spare is None or not error.path.is_relative_to(root):
                raise
            if reasons[root]:
                say(f"{folder} {reasons[root]}")
            if (root, spare) not in _said:
                _said.add((root, spare))
                say(f"{root} cannot be written ({error.reason}): what is rendered and encoded now is kept in {spare}")
    raise AssertionError("no place was given")
