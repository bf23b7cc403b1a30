"""A pre-training in words: what is trained, on what, and where it goes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError
from benchmark.pretrain.config import PretrainConfig, load_pretrain
from benchmark.pretrain.data_config import DataConfig
from benchmark.pretrain.sources import load_data

FORMATS = {"dcl_as_printed": 2}
"""Of forms whose meaning has changed; 1 for all others. Until 2 `dcl_as_printed` was what is `dcl` now."""
PARTS = ("mae", "contrast", "local")
TEACHERS = ("clip", "random")


@dataclass(frozen=True)
class PretrainJob:
    """teacher: `clip`, `random` (which trains the machinery and marks the checkpoint), or `none` if none is needed."""

    method: str
    config: PretrainConfig
    data: tuple[DataConfig, ...]
    teacher: str
    name: str | None = None

    @property
    def label(self) -> str:
        """The file's stem, which every table shows beside the method."""
        if self.name:
            return self.name
        parts = ["+".join(source.name for source in self.data), self.config.variant]
        return "-".join([*parts, *(["random-teacher"] if self.teacher == "random" else [])])

    def folder(self, out: Path) -> Path:
        return out / "pretrain" / self.method / self.label

    def weights(self, out: Path) -> Path:
        return self.folder(out) / f"{self.label}.pt"

    def card(self, out: Path) -> Path:
        return self.folder(out) / "card.json"

    def identity(self) -> dict[str, Any]:
        facts = {
            "format": FORMATS.get(self.config.form, 1), "method": self.method, "config": self.config.identity(),
            "teacher": self.teacher, "data": [source.identity() for source in self.data],
        }  # fmt: skip
        return json.loads(json.dumps(facts))

    def identity_hash(self) -> str:
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()


def make_job(method: str, data: Sequence[str], without: Sequence[str] = (), teacher: str = "clip",
             overrides: Sequence[str] = (), name: str | None = None) -> PretrainJob:  # fmt: skip
    """From names and key=value, `DATA.FIELD=VALUE` among them. Raises `ConfigError` or `UnknownName`."""
    if not data:
        raise ConfigError("--data is missing; `bench list data` names them")
    if len(set(data)) != len(data):
        raise ConfigError(f"--data {','.join(data)}: the same source twice; raise its weight instead")
    for part in without:
        if part not in PARTS:
            raise ConfigError(f"--without {part} is none of {', '.join(PARTS)}")
    if teacher not in TEACHERS:
        raise ConfigError(f"--teacher {teacher} is none of {', '.join(TEACHERS)}")
    if name is not None and not re.fullmatch(r"[\w+=][\w.+=-]*", name):
        raise ConfigError(f"--name {name}: give letters, digits and any of . _ + = - (it names a folder and a file)")
    prefixes = tuple(f"{source}." for source in data)
    own = [text for text in overrides if not text.startswith(prefixes)]
    config = load_pretrain(method, [*own, *(f"{part}=false" for part in without)])
    sources = tuple(load_data(source, overrides) for source in data)
    taught = config.contrast or config.local
    return PretrainJob(method, config, sources, teacher if taught else "none", name)
