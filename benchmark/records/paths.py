"""Where an experiment's files are: records and checkpoints under OUT, what can be made again under DATA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Where things are. `out` holds results, `data` what can be made again from seeds."""

    out: Path
    data: Path

    @property
    def caches(self) -> tuple[Path, ...]:
        """Where observations and features are looked for; they are made in the first that can be written."""
        return tuple(dict.fromkeys((self.data, self.out / "data")))

    @property
    def records(self) -> Path:
        return self.out / "records"

    @property
    def losses(self) -> Path:
        """Of policies that were trained and never played: no records, so no table looks here."""
        return self.out / "losses"

    @property
    def work(self) -> Path:
        return self.out / "work"


def record_path(root: Path, protocol: str, suite: str, task: str, method: str, head: str, seed: int) -> Path:
    return root / protocol / suite / task / method / f"{head}-s{seed}.json"


def work_of(record: Path) -> Path | None:
    """OUT/work/... of OUT/records/...; None for a record that lies elsewhere."""
    full = record.absolute()
    if len(full.parents) < 6 or (root := full.parents[4]).name != "records":
        return None
    return root.parent / "work" / full.relative_to(root).with_suffix("")
