"""A simulator in a file that is none, or gives something else than it says, is one line before the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs.classes import BadSimulator, specs_of
from envs.registry import env_class
from envs.spec import ObservationRequest
from envs.worker import Commands
from tests.toy_env import Toy

HEAD = "from tests.toy_env import Toy\n\nclass Sim(Toy):\n    "
WRONG = {
    "a function": ("def Sim(): pass\n", "is a function, not a class"),
    "no simulator": ("class Sim: pass\n", "no simulator: it has no specs, instruction, reset"),
    "one method": (HEAD + "step = None\n", "it has no step"),
    "name": (HEAD + "name = '../x'\n", "its name"),
    "version": (HEAD + "version = 3\n", "version=3"),
    "tasks": (HEAD + "tasks = 'reach'\n", "tasks='reach'"),
    "cameras": (HEAD + "cameras = None\n", "cameras=None"),
    "actions": (HEAD + "action_spec = None\n", "no action_spec"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_class_that_is_no_simulator_is_named(case: str, tmp_path: Path) -> None:
    text, expected = WRONG[case]
    (tmp_path / "sim.py").write_text(text)
    with pytest.raises(BadSimulator, match=expected) as found:
        env_class(f"{tmp_path / 'sim.py'}:Sim")
    assert "\n" not in str(found.value)


class Small(Toy):
    def observe(self) -> dict[str, np.ndarray]:
        return {name: value[:1] for name, value in super().observe().items()}

    def fingerprint(self) -> str:
        return {"a": 1}  # type: ignore[return-value]


def test_what_is_too_small_is_not_repeated_and_a_fingerprint_is_text() -> None:
    request = ObservationRequest(fields=("proprio",))
    commands = Commands(Small("near", request), {"proprio": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=r"proprio is \(1,\), its spec says \(2,\)"):
        commands.reset(0)
    with pytest.raises(TypeError, match="gives a dict"):
        commands.fingerprint()


class Broken(Toy):
    def observe(self) -> dict[str, np.ndarray]:
        return {name: value * np.nan for name, value in super().observe().items()}


@pytest.mark.parametrize(("kind", "said"), [(Small, "its spec says"), (Broken, "is NaN: mend the simulator")])
def test_what_a_simulator_gives_wrongly_is_its_own_fault(kind: type[Toy], said: str) -> None:
    commands = Commands(kind("near", ObservationRequest(fields=("proprio",))), {"proprio": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=said):
        commands.reset(0)
    with pytest.raises(ValueError, match=said):
        commands.render_states(0, np.zeros((1, 4)))


@pytest.mark.parametrize(
    ("gives", "said"),
    [(None, "no dict"), ({"proprio": 3}, "no dict"), ({}, "leave out proprio"), (ValueError("why"), "ValueError: why")],
)
def test_specs_are_specs(gives: object, said: str) -> None:
    class Odd(Toy):
        @classmethod
        def specs(cls, request: ObservationRequest) -> object:  # type: ignore[override]
            if isinstance(gives, Exception):
                raise gives
            return gives

    with pytest.raises(BadSimulator, match=said):
        specs_of(Odd, ObservationRequest(fields=("proprio",)))
