"""key=value applied to files that are composed once gives what Hydra makes of both together, errors included."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmark.settings.composed import as_written, with_overrides
from benchmark.settings.user_files import SHIPPED

GROUPS = ("suite=metaworld-multitask", "protocol=quick", "head=diffusion")


def told(make: Any) -> Any:
    """Plain data with its flags, or what is said against it."""
    try:
        config = make()
        return OmegaConf.to_container(config), OmegaConf.is_struct(config), OmegaConf.is_readonly(config)
    except Exception as error:
        return type(error), str(error), type(error.__cause__), str(error.__cause__)


def by_hydra(overrides: tuple[str, ...]) -> Any:
    with initialize_config_dir(str(SHIPPED), version_base="1.3", job_name="bench"):
        return compose("config", [*GROUPS, *overrides])


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("protocol.epochs=7", "protocol.epochs=8", "runtime.threads=null"),
        ("protocol.batch_size={3d:8}", "suite.observation.sizes={corner: [120, 160]}"),
        ("suite.tasks={easy: [near, far]}", "suite.observation.cameras=[front]", "suite.env='a b/c.py:D'"),
        ("++method.compat=lift3d", "++policy.chunk=3", "++method.a.b=1", "++method.a.c=[1, {d: null}]"),
        ("protocol.epochs=${protocol.rollouts}", "suite.title=${oc.env:HOME}", "protocol.learning_rate=1e-3"),
        ("head.heads=3", "runtime={workers: 2}", "method={}", "env.metaworld={python: /x}"),
        ("protocol.epochs=1,2",),
        ("protocol.epochs=range(1,3)",),
        ("protocol.epochs=[1",),
        ("suite.title='${'",),
        ("protocol.nothing=1",),
        ("protocol.epochs.deeper=1",),
        ("++method.a=1", "++method.a.b=2"),
        ("protocol.epochs@suite=3",),
        ("",),
    ],
    ids=" ".join,
)
def test_it_is_what_hydra_composes(overrides: tuple[str, ...]) -> None:
    assert told(lambda: with_overrides(GROUPS, overrides)) == told(lambda: by_hydra(overrides))


def test_what_is_shared_is_not_changed() -> None:
    before = OmegaConf.to_container(as_written(GROUPS))
    with_overrides(GROUPS, ("protocol.epochs=77", "suite.observation.cameras=[front]", "++method.new=1"))
    assert OmegaConf.to_container(as_written(GROUPS)) == before
