"""Records and parts of records that are copies of others: what two trained policies never share.

Whoever changes every action and every loss a little hides a copy from this; see docs/records.md.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.records.record import Record

if TYPE_CHECKING:
    from benchmark.records.verdict import Part, Verdict

TURN = re.compile(r"(.+@azimuth=)(-?[0-9]+(?:\.[0-9]+)?)")
WEIGH = ("learning_rate", "weight_decay", "train_demos")
"""Numbers of a protocol that no two trainings with the same weights differ in."""
OWN_RATES = ("train_demos",)
PLAYED = {"name", "execute", "sampler", "sample_steps", "packages"}
"""Settings of a head that say how it is played or called, not how it is trained."""


def policy_of(record: Record) -> tuple[str, ...]:
    """What no two records of one trained policy differ in. How it is played or evaluated may differ: how often, from
    which step on, how many actions of a chunk."""
    numbers, head = record.identity["protocol"], record.identity["head"]
    weigh = OWN_RATES if "denoiser" in head else WEIGH  # a diffusion head brings its own rates
    trained = [f"{name}={float(numbers[name]):g}" for name in weigh if isinstance(numbers.get(name), (int, float))]
    own = {name: value for name, value in head.items() if name not in PLAYED}
    return (
        record.suite,
        record.task,
        record.method,
        json.dumps(own, sort_keys=True),
        str(record.seed),
        record.identity["precision"],
        f"batch={record.training['batch_size']}",
        *trained,
    )


def copies(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """File -> what is wrong with it: policies of two seeds, methods, heads or settings of training that sent the same
    actions, bit for bit.

    Two trained policies never do in a whole episode. One record is a copy of the other, or one method has two names.
    Settings that leave the weights as they are, such as how often they are evaluated, may share them.
    """
    by_digest: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        for digest in {digest for part in verdict.parts if part.name == "retest" for digest in part.digests}:
            by_digest[digest].append(verdict)
    found = {}
    for members in by_digest.values():
        for one in members:
            other = next((o for o in members if o.policy != one.policy), None)
            if other is not None:
                found[one.file] = (
                    f"its retest sent the very actions of {other.cell}: one is a copy of the other, or both are one "
                    "policy under two names"
                )
    return found


def same_training(files: Sequence[tuple[Path, Record]]) -> dict[str, str]:
    """As `copies`, by what the records say of themselves: also for those that are not replayed now."""
    return _shared(files, _losses, "its losses of every epoch are those of {}") | _shared(
        files, _weights, "its retest was played by the very weights of {}"
    )


def unmoved(record: Record, part: Part, parts: Sequence[Part]) -> Iterator[str]:
    """What is odd about a retest under a moved camera: it sent the actions of a retest under another.

    Either it is a copy, or the policy does not look at what it sees; a checkpoint tells. Instructions may well leave a
    policy as it is.
    """
    cameras = record.identity["observation"].get("cameras", [])
    retests = [p for p in parts if p.camera is not None]
    if not cameras or part not in retests or part.name == "retest":
        return
    for other in retests:
        if part.digests & other.digests and _view(other.camera, cameras) != _view(part.camera, cameras):
            yield f"it sent the very actions of {_said(other.name)}, as if nothing had been moved"
            return


def _view(camera: str | None, cameras: Sequence[str]) -> str:
    """What is the same view has the same name. camera: empty for the suite's own."""
    turned = TURN.fullmatch(camera or ",".join(cameras))
    if turned is None:
        return camera or ",".join(cameras)
    angle = float(turned[2]) % 360
    return f"{turned[1]}{angle:g}" if angle else turned[1].partition("@")[0]


def _said(name: str) -> str:
    return "the retest" if name == "retest" else f"the retest under {name}"


def _shared(
    files: Sequence[tuple[Path, Record]], what: Callable[[Record], Hashable | None], said: str
) -> dict[str, str]:
    groups: dict[Hashable, list[tuple[Path, Record]]] = defaultdict(list)
    for path, record in files:
        key = what(record)
        if key is not None:
            groups[key].append((path, record))
    found = {}
    for members in groups.values():
        if not any(record.training["parameters_trained"] for _, record in members):
            continue  # of policies that are not trained, seeds have nothing of their own
        for path, record in members:
            other = next((p for p, o in members if policy_of(o) != policy_of(record)), None)
            if other is not None:
                found[str(path)] = said.format(other)
    return found


def _weights(record: Record) -> Hashable | None:
    return record.retest.checkpoint


def _losses(record: Record) -> Hashable | None:
    """None where they say nothing: of one epoch, or all the same."""
    losses = tuple(record.training["train_loss"])
    return losses if len(set(losses)) > 1 else None
