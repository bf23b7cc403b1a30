import dataclasses

import numpy as np
import pytest

from envs.errors import SpecMismatch
from envs.registry import UnknownName, env_class
from envs.spec import ActionSpec, FieldSpec, ObservationRequest

RGB = ObservationRequest(fields=("rgb", "proprio"), cameras=("corner",))
POINTS = ObservationRequest(fields=("points", "points_valid"), cameras=("corner",))


def test_canonical_names_what_matters_and_nothing_else() -> None:
    assert dataclasses.replace(RGB, render="fast").canonical() != RGB.canonical()
    assert dataclasses.replace(POINTS, render="fast").canonical() == POINTS.canonical()  # depth is the same
    assert dataclasses.replace(POINTS, sampler="exact").canonical() != POINTS.canonical()
    assert dataclasses.replace(RGB, num_points=5).canonical() == RGB.canonical()
    assert ObservationRequest(("proprio",), cameras=("corner",)).canonical() == {"fields": ["proprio"]}
    placed = ObservationRequest(("intrinsics",), cameras=("corner",))  # not drawn, and yet of a size
    assert dataclasses.replace(placed, width=100).canonical() != placed.canonical()
    assert dataclasses.replace(placed, render="fast").canonical() == placed.canonical()
    assert ObservationRequest(("proprio", "rgb"), ("corner",)).canonical() == RGB.canonical()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": ("rgbd",)}, "unknown observation fields"),
        ({"render": "best"}, "render='best' is none of"),
        ({"height": 0}, "at least 1"),
    ],
)
def test_bad_requests(change: dict, message: str) -> None:
    with pytest.raises(SpecMismatch, match=message):
        dataclasses.replace(RGB, **change)


def test_field_check_names_the_field() -> None:
    with pytest.raises(SpecMismatch, match=r"field 'depth' should be float32\[2, 3\], but is float64\[2, 3\]"):
        FieldSpec("depth", (2, 3), "float32", "m").check(np.zeros((2, 3)))


def test_action_check() -> None:
    spec = ActionSpec(("x", "y"), (-1.0, -1.0), (1.0, 1.0), "m")
    assert spec.check(np.array([5, 0.0])).dtype == np.float32  # clipping is the simulator's
    with pytest.raises(ValueError, match="not finite"):
        spec.check(np.array([np.nan, 0]))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        spec.check(np.zeros(3))


def test_unknown_simulator_names_the_closest() -> None:
    with pytest.raises(UnknownName, match="unknown simulator 'metawrld'. Did you mean 'metaworld'?"):
        env_class("metawrld")
    with pytest.raises(FileNotFoundError):
        env_class("/nowhere/toy.py:Toy")


def test_a_simulator_from_a_file(toy: str) -> None:
    assert env_class(toy).name == "toy"
    with pytest.raises(UnknownName, match=r"class 'Toi' in .*toy_env.py. Did you mean 'Toy'"):
        env_class(toy[:-3] + "Toi")


def test_what_metaworld_cannot_give_is_refused() -> None:
    cls = env_class("metaworld")
    with pytest.raises(UnknownName, match="Did you mean 'corner2'"):
        cls.specs(dataclasses.replace(RGB, cameras=("cornr2",)))
    with pytest.raises(SpecMismatch, match="at least one camera"):
        cls.specs(dataclasses.replace(RGB, cameras=()))
