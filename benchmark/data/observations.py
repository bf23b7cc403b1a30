"""What a method sees in the demonstrations, rendered from their states on first use into memory-mapped files.

A cache entry is a folder named by what its content depends on: the demonstrations' hash, the request (cameras,
sizes, sampler, render quality) and the simulator and renderer versions. It can be deleted at any time. Frames of which
only a frozen encoder's output is wanted need not be stored at all: `benchmark.data.observation_source`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.data.array_cache import Parts, finish, resume, whole
from benchmark.data.cache_places import Places, in_order, obtain
from benchmark.data.demos import Demos
from benchmark.data.sample_inputs import Unusable
from benchmark.system.files import explain
from benchmark.system.progress import bar
from envs.description import describe
from envs.pictures import field_names
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest

FORMAT = 1


def load_or_render(
    places: Places, demos: Demos, request: ObservationRequest, pool: Pool, fingerprint: str
) -> dict[str, np.ndarray]:
    """Each requested field as (T, ...) read-only arrays over all frames of all demonstrations, episode by episode.

    fingerprint: the pool's own (`Env.fingerprint`), part of the key because pixels depend on it. Every byte is checked
    against what was rendered; damaged demonstrations are named and rendered again.
    """
    return obtain(
        places,
        entry_of(demos, request, fingerprint),
        f"observations of {demos.task}",
        lambda folder: _take(folder, demos, request, fingerprint, pool.config.python),
        lambda folder: render(folder, demos, request, pool, fingerprint),
    )


def rendered(
    places: Places, demos: Demos, request: ObservationRequest, fingerprint: str, python: str | None = None
) -> dict[str, np.ndarray] | None:
    """What `load_or_render` would give, if it is all there and whole; needs no simulator.

    python: the interpreter that says what the fields are, None for this one.
    """
    for root in in_order(places):
        with contextlib.suppress(Unusable):
            return _take(root / entry_of(demos, request, fingerprint), demos, request, fingerprint, python)
    return None


def entry_of(demos: Demos, request: ObservationRequest, fingerprint: str) -> str:
    """The folder of these observations below one of the places."""
    return f"observations/{cache_key(demos, request, fingerprint)}"


def cache_key(demos: Demos, request: ObservationRequest, fingerprint: str) -> str:
    facts = [FORMAT, demos.content_hash, request.canonical(), fingerprint]
    return f"{demos.task}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]}"


def render(
    folder: Path, demos: Demos, request: ObservationRequest, pool: Pool, fingerprint: str
) -> dict[str, np.ndarray]:
    """Render every state of every demonstration over the pool. Finished episodes survive a kill, if they are whole.

    Raises `StorageError` if what was written cannot be read back.
    """
    parts, facts = _parts(folder, demos, request, pool.config.python), _facts(demos, request, fingerprint)
    arrays, done = resume(parts, facts, "rendered again")
    missing = [episode for episode in range(parts.count) if episode not in done]
    spans = [demos.episodes.span(episode) for episode in missing]
    with explain(folder), bar(f"observations {demos.task}", parts.count, len(done)) as advance:
        for number, fields in draw(demos, spans, request, pool):
            parts.write(arrays, done, missing[number], fields)
            advance()
    check_points(demos, 0, arrays)
    return finish(parts, facts)


def draw(
    demos: Demos, spans: Sequence[slice], request: ObservationRequest, pool: Pool
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The fields (rows, ...) of each of `spans`, rows of one demonstration, as they come: (number of the span, fields).
    A span may have a step.

    They are drawn from their states, or are as they were seen. That what is stored serves the request is seen to before
    any work (`Suite.stored`). Raises ValueError otherwise.
    """
    owners = [int(demos.episodes.owners[span.start]) for span in spans]
    if demos.sensors is None:
        jobs = ((demos.seeds[own], demos.arrays["states"][span]) for own, span in zip(owners, spans, strict=True))
        yield from pool.map("render_states", jobs)
        return
    read, seen = -1, dict[str, np.ndarray]()
    for number, (own, span) in enumerate(zip(owners, spans, strict=True)):
        if own != read:
            read, seen = own, demos.sensors.read(own)
        if absent := set(field_names(request)) - set(seen):
            raise ValueError(f"{demos.env} restores no state, and {demos.task}'s demonstrations do not hold {absent}")
        first = int(demos.episodes.starts[own])
        rows = slice(span.start - first, span.stop - first, span.step)
        yield number, {name: seen[name][rows] for name in field_names(request)}


def check_points(demos: Demos, first: int, fields: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError for a cloud without a point. first: the row of the demonstrations where the fields begin."""
    if "points_valid" in fields and not (seen := fields["points_valid"].any(axis=1)).all():
        frame = first + int(np.flatnonzero(~seen)[0])
        episode = int(demos.episodes.owners[frame])
        step = frame - demos.episodes.starts[episode]
        raise ValueError(
            f"frame {step} of demonstration {episode} of {demos.task} has no point inside the crop; "
            "choose other cameras or a wider crop (suite.observation)"
        )


def _take(
    folder: Path, demos: Demos, request: ObservationRequest, fingerprint: str, python: str | None
) -> dict[str, np.ndarray]:
    return whole(_parts(folder, demos, request, python), _facts(demos, request, fingerprint))


def _parts(folder: Path, demos: Demos, request: ObservationRequest, python: str | None) -> Parts:
    specs, names = describe(demos.env, python).specs(request), field_names(request)
    shapes = {name: (demos.episodes.rows, *specs[name].shape) for name in names}
    return Parts(folder, shapes, {name: specs[name].dtype for name in names}, demos.episodes)


def _facts(demos: Demos, request: ObservationRequest, fingerprint: str) -> dict[str, object]:
    return {"demos": demos.content_hash, "request": request.canonical(), "fingerprint": fingerprint}


def open_pool(
    demos_env: str, task: str, request: ObservationRequest, workers: int, python: str | None, timeout: float
) -> tuple[Pool, str]:
    """A pool for `request` and the fingerprint of its simulator and renderer."""
    pool = Pool(EnvConfig(demos_env, task, request, python), workers, timeout)
    try:
        ((_, fingerprint),) = pool.map("fingerprint", [()])
    except BaseException:
        pool.close()
        raise
    return pool, fingerprint
