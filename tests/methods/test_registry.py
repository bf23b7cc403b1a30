from pathlib import Path

import pytest

from envs.registry import UnknownName
from methods import registry

SOURCE = """
from methods.base import Representation
from methods.card import MethodCard, PointInput

class Mine(Representation):
    card = MethodCard("mine", "Mine", "s", "3d", ("points",), PointInput(64, "none"), "frozen", "3d", "p", "MIT")
    feature_dim = 3
    def encode(self, observations):
        return observations["points"].float().mean(1)

class NotAMethod:
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_class_in_a_file(file: Path) -> None:
    assert registry.method_class(f"{file}:Mine").card.name == "mine"


def test_wrong_names_say_the_closest(file: Path) -> None:
    with pytest.raises(UnknownName, match="unknown method 'dp4'. Did you mean 'dp3'?"):
        registry.method_class("dp4")
    with pytest.raises(UnknownName, match="Did you mean 'Mine'?"):
        registry.method_class(f"{file}:Mnie")
    with pytest.raises(FileNotFoundError, match="no file"):
        registry.method_class(f"{file}x.py:Mine")
    with pytest.raises(TypeError, match="not a subclass of methods.base.Representation"):
        registry.method_class(f"{file}:NotAMethod")


def test_a_name_means_one_thing() -> None:
    with pytest.raises(ValueError, match="already registered"):
        registry.add({"state": "elsewhere:State"})


def test_entry_points_join_and_do_not_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str, value: str) -> None:
            self.name, self.value = name, value

    points = [Point("theirs", "their.module:Theirs"), Point("state", "their.module:State")]
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: points if group == "bench.methods" else [])
    registry._third_parties.cache_clear()
    assert registry.table()["theirs"] == "their.module:Theirs"
    assert registry.table()["state"] == "methods.controls:State"
    registry._third_parties.cache_clear()
