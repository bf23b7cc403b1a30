"""Demonstrations, observations and features of the toy simulator, taken by another user than the one who made them.

    python -m tests.reads_as_another DATA OUT

Run by root: DATA is made first if it is not there, then everything is taken once more without root's rights, from DATA
and OUT/data. In a process of its own, because there is no way back; one that has imported everything before, because
the interpreter may lie where only root can read. For each line of standard input, the name of a file, there is one such
process, forked from this one, which imports only once: what it says goes to NAME.out and NAME.err, and its exit code is
a line of standard output.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import zlib
from pathlib import Path

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.data.collect_demos import load_or_collect
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Whole
from benchmark.data.observations import load_or_render
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy
from benchmark.settings.load import load_protocol
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY
from tests.data.test_features import CPU, WHOLE, build

NOBODY = 65534


def take(data: Path, places: Places, pool: Pool, request: ObservationRequest) -> list[np.ndarray]:
    protocol = dataclasses.replace(
        load_protocol("quick"), train_demos=3, valid_demos=1, horizon=12, min_success_steps=0
    )
    demos = load_or_collect(data, "toy-suite", TOY, "near", protocol, 1)
    observations = load_or_render(places, demos, request, pool, "f")
    representation, fields = build("random-features")
    cache = FeatureCache(places, "t", "demos", HeadPolicy(representation, Head()), {}, {}, CPU, bf16=False)
    return [*observations.values(), *cache.load(lambda: Whole(fields), WHOLE)]


def main(data: Path, out: Path) -> None:
    request = ObservationRequest(("points", "proprio"), ("front",), num_points=64)
    with Pool(EnvConfig(TOY, "near", request), 1) as pool:
        mine = out.with_name("first") if data.exists() else data
        for _ in range(2):  # making and reading: Python imports some encodings only when they are needed
            take(mine, mine, pool, request)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            found = take(data, (data, out / "data"), pool, request)
        except OSError as error:
            sys.exit(f"{type(error).__name__}: {error}")
    print([zlib.crc32(np.ascontiguousarray(array).tobytes()) for array in found])


def serve(data: Path, out: Path) -> None:
    for line in sys.stdin:
        forked = os.fork()
        if not forked:
            for fd, kind in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{line.strip()}.{kind}", os.O_WRONLY | os.O_CREAT), fd)
            main(data, out)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
