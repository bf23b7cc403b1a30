"""aloha_sim where this machine has it; tests that need it are skipped by name with the reason where it has not."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import pytest

from envs.aloha import checkout
from envs.options import set_options


def why_not() -> str:
    """ "" where a checkout can be used, if need be with stand-ins."""
    try:
        checkout.usable(checkout.root_named(), stand_ins=True)
    except checkout.NoCheckout as error:
        return str(error)
    return ""


needs_aloha = pytest.mark.skipif(bool(why_not()), reason=why_not() or "aloha_sim is here")


@pytest.fixture(scope="module")
def aloha() -> Iterator[dict[str, Any]]:
    """Options with which the checkout here can be used, set while a module's tests run."""
    said = {"stand_ins": True} if checkout.examine(checkout.root_named()).missing else {}
    set_options("aloha", said)
    yield said
    set_options("aloha", {})


@pytest.fixture(scope="module")
def compiled_once() -> Iterator[None]:
    """A model of each scene is compiled once, which takes seconds, and copied for each environment."""
    from envs.aloha import scene

    build, made = scene.build, dict[Any, Any]()

    def copied(assets: Any, props: Any, replaced: Any) -> Any:
        key = tuple(props)
        if key not in made:
            made[key] = build(assets, props, replaced)
        return copy.copy(made[key])

    scene.build = functools.wraps(build)(copied)
    yield
    scene.build = build
