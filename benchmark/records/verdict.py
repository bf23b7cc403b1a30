"""What an audit says of a record, number by number.

What a number rests on is one of three things. `replayed`: its episodes' actions were played again just now, or its
checkpoint was (`benchmark.experiment.replay_checkpoints`). `chained`: its outcomes and the hash of its checkpoint were
written down while the cell ran, in a chain that ends in the record (`benchmark.records.hash_chain`). `declared`: the
record says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REPLAYED, CHAINED, DECLARED = "replayed", "chained", "declared"


@dataclass(frozen=True)
class Part:
    """One number of a record.

    errors: episodes that could not be run. asked_less: episodes that were not to be replayed. wrong: what contradicts
    it. left: what should have been checked and was not, and why. nothing: no episode could be run, so there is no
    number. digests: of each episode's actions. camera: that a retest was seen through, empty for the suite's own.
    """

    name: str
    episodes: int
    errors: int = 0
    replayed: int = 0
    asked_less: int = 0
    chained: bool = False
    wrong: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    nothing: bool = False
    digests: frozenset[str] = frozenset()
    camera: str | None = None

    @property
    def rests_on(self) -> str:
        if self.nothing:
            return "no number"
        if self.replayed:
            return f"{REPLAYED} {self.replayed}/{self.episodes}"
        return CHAINED if self.chained else DECLARED


@dataclass(frozen=True)
class Verdict:
    """Of one record. parts: its retest, best*, last, and those under shifts or played further, by their names.

    settings: what says that these are the settings that were run: a checkpoint that was played again, or the record.
    notes: what else to know.
    """

    cell: str
    file: str
    policy: tuple[str, ...]
    parts: tuple[Part, ...]
    wrong: tuple[str, ...] = ()
    settings: str = DECLARED
    notes: tuple[str, ...] = ()

    @property
    def contradictions(self) -> tuple[str, ...]:
        return (*self.wrong, *(f"{part.name}: {text}" for part in self.parts for text in part.wrong))

    @property
    def not_checked(self) -> tuple[str, ...]:
        """What should have been replayed and was not. best* and last keep no actions unless they were asked to."""
        return tuple(f"{part.name}: {text}" for part in self.parts for text in part.left)

    @property
    def word(self) -> str:
        if self.contradictions:
            return "DOES NOT HOLD"
        return "not checked" if self.not_checked else "holds"


@dataclass(frozen=True)
class Again:
    """What playing a checkpoint again gave, which counts for best*, last and the settings. notes: what it could not."""

    parts: dict[str, Part] = field(default_factory=dict)
    settings: str = DECLARED
    notes: tuple[str, ...] = ()
