"""A pre-training in words: what is trained, on what, and where it goes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.sources import load_data, options_for
from benchmark.pretrain.resume import STATES
from benchmark.settings.pretraining import PretrainConfig, config_class, load_pretrain
from benchmark.system.errors import ConfigError
from envs.names import safe_name

NO_TEACHER = "none"
UNTRAINED = "random"
"""The teacher that knows nothing: it trains the machinery, and marks what it has taught."""


ENLARGED = ("rlbench", "calibrated")
"""Kinds of data whose images may be smaller than the teacher's: how they are enlarged is part of what it teaches, and
was another rule (a = -0.75) before it had a name here."""


@dataclass(frozen=True)
class PretrainJob:
    """teacher: one of the configuration's, such as `clip` or `random`; `none` if none is needed."""

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
        return "-".join([*parts, *(["random-teacher"] if self.untrained_teacher else [])])

    @property
    def untrained_teacher(self) -> bool:
        return self.teacher == UNTRAINED

    def folder(self, out: Path) -> Path:
        return out / "pretrain" / self.method / self.label

    def weights(self, out: Path) -> Path:
        return self.folder(out) / f"{self.label}.pt"

    def card(self, out: Path) -> Path:
        return self.folder(out) / "card.json"

    def identity(self) -> dict[str, Any]:
        facts = {
            "format": self.config.format,
            "method": self.method,
            "config": self.config.identity(),
            "teacher": self.teacher,
            "data": [source.identity() for source in self.data],
        }
        if self.teacher != "none" and any(source.kind in ENLARGED for source in self.data):
            facts["teacher_pictures"] = "bicubic, a = -0.5"
        return json.loads(json.dumps(facts))

    def identity_hash(self) -> str:
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()


def make_job(
    method: str,
    data: Sequence[str],
    without: Sequence[str] = (),
    teacher: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
) -> PretrainJob:
    """From names and key=value, `DATA.FIELD=VALUE` among them. Raises `ConfigError` or `UnknownName`.

    teacher: None for the first that the method's pre-training has.
    """
    kind = config_class(method)
    if not data:
        raise ConfigError("--data is missing; `bench list data` names them")
    if len(set(data)) != len(data):
        raise ConfigError(f"--data {','.join(data)}: the same source twice; raise its weight instead")
    for part in without:
        if part not in kind.parts:
            raise ConfigError(f"--without {part} is none of {_listed(kind.parts)}")
    if teacher is None:
        teacher = kind.teachers[0] if kind.teachers else NO_TEACHER
    elif teacher not in kind.teachers:
        raise ConfigError(f"--teacher {teacher} is none of {_listed(kind.teachers)}")
    if name is not None:
        safe_name("--name", name, "+=")
    prefixes = tuple(f"{source}." for source in data)
    own = [text for text in overrides if not text.startswith((*prefixes, "env."))]
    config = load_pretrain(method, [*own, *(f"{part}=false" for part in without)])
    sources = tuple(dataclasses.replace(load_data(one, overrides), layout=config.view_layout) for one in data)
    for text in overrides:
        if text.startswith("env.") and not any(options_for(source.kind, [text]) for source in sources):
            raise ConfigError(f"{text}: none of {_listed(data)} is of that simulator")
    job = PretrainJob(method, config, sources, teacher if config.taught else NO_TEACHER, name)
    if f"{job.label}.pt" in STATES:
        raise ConfigError(f"--name {job.label}: {job.label}.pt is where a half-finished pre-training lies; say another")
    return job


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing: this method's pre-training has no such choice"
