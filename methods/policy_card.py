"""A policy's facts as typed data, beside those of every method; imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from methods.card import MethodCard


@dataclass(frozen=True)
class PolicyCard(MethodCard):
    """What a policy is: a method's card, and how it looks and acts where a run does not say otherwise.

    observes: fields that it reads itself, beside `proprio` and what its representation observes.
    representation: whether it stands over a representation (`--method NAME` names it), or is whole by itself.
    token_sets: of what its representation gives: `pooled`, `tokens`, or names that representations of its own know.
    chunk: actions that it is trained to give for one observation; lead: how many of them lie before the present;
        execute: how many from the present on are played before it looks again; obs_steps: observations it looks at.
    pad_after: how many actions of a chunk may lie past the episode's end in training; -1: any number, so that every
        frame is trained on.
    ensemble: temporal ensembling (Zhao et al. 2023, ACT): the policy looks at every step, and the action is the mean of
        what its latest chunks say of that step, weighted exp(-ensemble * i) from the oldest (i = 0) on; -1: off.
    as_head: of a whole policy, the registered policy that is the same over a representation, which `--head` with this
        one's name means; "" where there is none.
    beside: of a whole policy, the registered policy that also looks at a representation's tokens, which `--method
        NAME+METHOD` with this one's name means; "" where there is none.
    begins_as: of a policy over a representation, the whole policy whose pre-trained weights it may begin with. Then a
        run says how it begins: `policy.weights` has no default. "" where it begins with nothing.
    """

    representation: bool = True
    token_sets: tuple[str, ...] = ("pooled",)
    chunk: int = 1
    lead: int = 0
    execute: int = 1
    obs_steps: int = 1
    pad_after: int = -1
    ensemble: float = -1.0
    as_head: str = ""
    beside: str = ""
    begins_as: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.representation) is not bool:
            raise self._wrong("representation", "True or False")
        if not isinstance(self.token_sets, tuple) or not all(isinstance(one, str) for one in self.token_sets):
            raise self._wrong("token_sets", 'a tuple of texts, with a comma after a single one: ("pooled",)')
        for name, least in (("chunk", 1), ("lead", 0), ("execute", 1), ("obs_steps", 1), ("pad_after", -1)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 1_024:
                raise self._wrong(name, f"a whole number, {least} or more, up to 1,024")
        if type(self.ensemble) not in (int, float) or not (self.ensemble == -1 or 0 <= self.ensemble <= 100):
            raise self._wrong("ensemble", "a number from 0 to 100, or -1 for none")
        for name in ("as_head", "beside", "begins_as"):
            if not isinstance(getattr(self, name), str):
                raise self._wrong(name, "a text")

    def window(self) -> dict[str, int | float]:
        """How it looks and acts, by the names of settings."""
        names = ("chunk", "lead", "execute", "obs_steps", "pad_after", "ensemble")
        found = {name: getattr(self, name) for name in names}
        return found | {"ensemble": float(self.ensemble)}


OF_A_POLICY = frozenset(field.name for field in dataclasses.fields(PolicyCard)) - {
    field.name for field in dataclasses.fields(MethodCard)
}
"""What a policy's card says beyond a method's."""
