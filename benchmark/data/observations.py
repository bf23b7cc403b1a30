"""What a method sees in the demonstrations, rendered from their states on first use into memory-mapped files.

A cache entry is a folder named by what its content depends on: the demonstrations' hash, the request (cameras,
sizes, sampler, render quality) and the simulator and renderer versions. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from benchmark.data.demos import Demos
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from envs.pool import EnvConfig, Pool
from envs.registry import env_class
from envs.spec import ObservationRequest

FORMAT = 1


def load_or_render(
    root: Path, demos: Demos, request: ObservationRequest, pool: Pool, fingerprint: str
) -> dict[str, np.ndarray]:
    """Each requested field as (E*T, ...) read-only arrays over all demonstrations, episode by episode.

    fingerprint: the pool's own (`Env.fingerprint`), part of the key because pixels depend on it.
    """
    folder = root / "observations" / cache_key(demos, request, fingerprint)
    with exclusive(folder.with_suffix(".lock"), f"observations of {demos.task}", wait=True, notify=say):
        if not (folder / "complete.json").exists():
            render(folder, demos, request, pool, fingerprint)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in request.fields}


def rendered(root: Path, demos: Demos, request: ObservationRequest, fingerprint: str) -> dict[str, np.ndarray] | None:
    """What `load_or_render` would give, if it is all there; needs no simulator."""
    folder = root / "observations" / cache_key(demos, request, fingerprint)
    if not (folder / "complete.json").exists():
        return None
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in request.fields}


def cache_key(demos: Demos, request: ObservationRequest, fingerprint: str) -> str:
    facts = [FORMAT, demos.content_hash, request.canonical(), fingerprint]
    return f"{demos.task}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]}"


def render(folder: Path, demos: Demos, request: ObservationRequest, pool: Pool, fingerprint: str) -> None:
    """Render every state of every demonstration over the pool. Finished episodes survive a kill."""
    specs = env_class(demos.env).specs(request)
    episodes, steps = demos.arrays["states"].shape[:2]
    done_file = folder / "done.json"
    done: list[int] = json.loads(done_file.read_text()) if done_file.exists() else []
    if not done:
        discard(folder)
        arrays = {n: allocate(folder / f"{n}.npy", (episodes * steps, *s.shape), s.dtype) for n, s in specs.items()}
    else:
        arrays = {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+") for name in specs}
    missing = [episode for episode in range(episodes) if episode not in done]
    jobs = [(demos.seeds[episode], demos.arrays["states"][episode]) for episode in missing]
    with explain(folder), bar(f"observations {demos.task}", episodes, len(done)) as advance:
        for job, fields in pool.map("render_states", jobs):
            rows = slice(missing[job] * steps, (missing[job] + 1) * steps)
            for name, array in arrays.items():
                array[rows] = fields[name]
                array.flush()
            done.append(missing[job])
            write_json(done_file, sorted(done))
            advance()
    if "points_valid" in arrays and not arrays["points_valid"].any(axis=1).all():
        frame = int(np.flatnonzero(~arrays["points_valid"].any(axis=1))[0])
        raise ValueError(
            f"frame {frame % steps} of demonstration {frame // steps} of {demos.task} has no point inside the crop; "
            "choose other cameras or a wider crop (suite.observation)"
        )
    facts = {"demos": demos.content_hash, "request": request.canonical(), "fingerprint": fingerprint}
    write_json(folder / "complete.json", facts)


def open_pool(demos_env: str, task: str, request: ObservationRequest, workers: int, python: str | None,
              timeout: float) -> tuple[Pool, str]:  # fmt: skip
    """A pool for `request` and the fingerprint of its simulator and renderer."""
    pool = Pool(EnvConfig(demos_env, task, request, python), workers, timeout)
    try:
        ((_, fingerprint),) = pool.map("fingerprint", [()])
    except BaseException:
        pool.close()
        raise
    return pool, fingerprint
