"""What a check of `bench doctor` has to say."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """verdict: ok, warn (slower or odd, but right) or fail (something will not run). `mend` is a command."""

    check: str
    verdict: str
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
