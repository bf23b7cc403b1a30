"""A method that breaks its contract is one line, before anything is collected; one that keeps it leaves no trace."""

from __future__ import annotations

import dataclasses
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.probe import Built, probe
from benchmark.experiment.run_cell import prepare_cell, run_cell
from benchmark.experiment.run_cells import run_cells
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from benchmark.settings.machine import torch_threads
from benchmark.settings.settings import Settings
from methods.card import MethodCard, PointInput
from methods.errors import BadMethod
from methods.registry import method_class
from tests.test_cli import here

HEAD = """
import sys
import torch
from torch import nn
from torch.nn import functional as F
from methods.base import Representation
from methods.card import MethodCard, PointInput, VectorInput
"""
CARD = """
    card = MethodCard(name="mine", title="Mine", summary="", kind="3d", observes=("points", "points_valid"),
                      input=PointInput(64, "none"), training="end-to-end", batch="3d", paper="", licence="MIT")
"""
INIT = """
    def __init__(self, specs):
        super().__init__(specs)
        self.feature_dim = 8
        self.network = nn.Linear(3, 8)
"""
ENCODE = """
    def encode(self, observations):
        points = observations["points"]
        return self.network(points).amax(dim=1)
"""
FROZEN = CARD.replace("end-to-end", "frozen")
NORM = INIT + "        self.norm = nn.BatchNorm1d(8)\n"
RETURN = "return self.network(points).amax(dim=1)"


def encode(result: str) -> str:
    return ENCODE.replace(RETURN, result)


def method(tmp_path: Path, card: str = CARD, init: str = INIT, body: str = ENCODE) -> str:
    file = tmp_path / "mine.py"
    file.write_text(f"{HEAD}\n\nclass Mine(Representation):{card}{init}{body}")
    return f"{file}:Mine"


def cell_of(settings: Settings, name: str, head: Any = None) -> Cell:
    settings = dataclasses.replace(settings, head=head) if head else settings
    (cell,) = make_cells(settings, ["near"], [name], [0])
    return cell


MAXIMUM = "self.network(points).amax(dim=1)"
MEMORY = f"""x = {MAXIMUM}
        old = getattr(self, "old", x)
        self.old = x.detach()
        return (x + old) / 2 if len(old) == len(x) else x"""
WRONG: dict[str, tuple[dict[str, str], str]] = {
    "one vector": (
        {"body": encode("return self.network(points).amax(dim=(0, 1))")},
        r"encode gives \(8,\) for 2 rows, \(2, 8\) = \(B, feature_dim\) is expected; the batch is lost",
    ),
    "batch in columns": ({"body": encode(f"return {MAXIMUM}.T")}, r"gives \(8, 2\) for 2 rows.*the batch is lost"),
    "tokens": ({"body": encode("return self.network(points)")}, r"gives \(2, 64, 8\).*look like tokens"),
    "float64": ({"body": encode(f"return {MAXIMUM}.double()")}, r"gives float64, float32 is expected; end it with"),
    "float16": ({"body": encode(f"return {MAXIMUM}.half()")}, "gives float16, float32 is expected"),
    "int": ({"body": encode(f"return {MAXIMUM}.long()")}, "gives int64, float32 is expected"),
    "array": ({"body": encode(f"return {MAXIMUM}.detach().numpy()")}, "gives a ndarray, a float32 tensor"),
    "none": ({"body": encode(MAXIMUM)}, "gives a NoneType, a float32 tensor"),
    "nan": ({"body": encode(f"return {MAXIMUM} / (points.sum() * 0)")}, "gives NaN or infinity in 16 of 16"),
    "infinity": ({"body": encode(f"return {MAXIMUM} * torch.tensor([1.0] * 7 + [float('inf')])")}, "in 2 of 16"),
    "no feature_dim": ({"init": INIT.replace("self.feature_dim = 8", "")}, "it has no feature_dim; set it"),
    "lying feature_dim": ({"init": INIT.replace("_dim = 8", "_dim = 9")}, "gives .2, 8. .*set feature_dim to 8"),
    "float feature_dim": ({"init": INIT.replace("_dim = 8", "_dim = 8.0")}, r"feature_dim is 8\.0 \(float\)"),
    "dropout left on": ({"body": encode(f"return F.dropout({MAXIMUM})")}, "two features of one observation in eval"),
    "noise": ({"body": encode(f"return {MAXIMUM} + torch.randn(8)")}, "two features of one observation"),
    "batch statistics": ({"body": encode(f"x = {MAXIMUM}\n        return x - x.mean(0)")}, "on the other rows of its"),
    "squeeze": ({"body": encode(f"return {MAXIMUM}.squeeze()")}, r"gives \(8,\) for one row, \(1, 8\) is expected"),
    "no encode": ({"body": ""}, "it has no encode; write `def encode"),
    "constructor": ({"init": INIT + "        self.x = specs['rgb']\n"}, r"raised KeyError: 'rgb' \(mine.py, line 18\)"),
    "no super": ({"init": INIT.replace("super().__init__(specs)", "")}, "constructor or load_weights raised Attribute"),
    "exit": ({"body": encode("sys.exit(3)")}, r"encode raised SystemExit: 3 \(mine.py, line 21\)"),
    "other field": ({"body": ENCODE.replace('"points"', '"rgb"')}, r"encode raised KeyError: 'rgb' \(mine.py, line 20"),
    "matrix": ({"body": encode("return self.network(points.flatten(1))")}, "encode raised RuntimeError: mat1 and mat2"),
    "device": ({"body": encode(f"return {MAXIMUM}.to('meta')")}, "gives a tensor on meta, its input is on cpu"),
    "nothing to train": ({"body": encode(f"return {MAXIMUM}.detach()")}, "says end-to-end, but no gradient flows"),
    "memory": ({"body": encode(MEMORY)}, "depends on what was encoded before it"),
    "large batches": (
        {"body": encode(f"x = {MAXIMUM}\n        return x - x.mean(0) if len(x) > 2 else x")},
        "on the other rows of its",
    ),
    "held": ({"init": INIT + "        self.network.bias.requires_grad_(False)\n"}, "network.bias is not trained"),
    "no parameters": (
        {
            "init": INIT.replace("self.network = nn.Linear(3, 8)", ""),
            "body": encode("return points.amax(dim=1).repeat(1, 3)[:, :8]"),
        },
        "it has no parameters; its",
    ),
    "moving BatchNorm": (
        {
            "card": FROZEN,
            "init": NORM + "\n    def train(self, mode=True):\n        return nn.Module.train(self, mode)\n",
            "body": encode(f"return self.norm({MAXIMUM})"),
        },
        "says frozen, but encode moves norm.running_mean .and 2 more. in training mode",
    ),
    "statistics in eval": (
        {
            "init": INIT + "        self.register_buffer('seen', torch.zeros(()))\n",
            "body": encode(f"self.seen += 1\n        return {MAXIMUM}"),
        },
        "changes seen in eval",
    ),
    "not frozen": (
        {"card": FROZEN, "body": ENCODE + "\n    def freeze_as_card_says(self):\n        pass\n"},
        r"says frozen, but network.weight \(and 1 more\) asks for gradients",
    ),
    "in place": ({"body": ENCODE.replace("return", "points -= 0.5\n        return")}, "changes its input 'points' in"),
    "fit raises": (
        {"body": ENCODE + "\n    def fit(self, observations):\n        observations['rgb']\n"},
        r"fit raised KeyError: 'rgb' \(mine.py, line 24\)",
    ),
    "fit leaves NaN": (
        {
            "init": INIT + "        self.register_buffer('mean', torch.zeros(3))\n",
            "body": ENCODE + "\n    def fit(self, observations):\n        self.mean = self.mean / 0\n",
        },
        "fit left NaN or infinity in mean",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_broken_method_is_one_line(case: str, toy_settings: Settings, tmp_path: Path) -> None:
    parts, expected = WRONG[case]
    cell = cell_of(toy_settings, method(tmp_path, **parts))
    with pytest.raises(BadMethod, match=expected) as found:
        probe(cell)
    assert str(found.value).startswith(f"{tmp_path / 'mine.py'}:Mine: ")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "parts",
    [
        {"init": INIT + "        self.spare = nn.Linear(3, 3)\n"},
        {"init": INIT.replace("self.feature_dim = 8", "import numpy\n        self.feature_dim = numpy.int64(8)")},
        {"body": ENCODE + "\n    def fit(self, observations):\n        assert len(observations['points']) >= 32\n"},
    ],
    ids=["an expert that no row chose", "a width of numpy's", "a fit that needs many rows"],
)
def test_what_is_unusual_and_right_is_not_refused(
    parts: dict[str, str], toy_settings: Settings, tmp_path: Path
) -> None:
    probe(cell_of(toy_settings, method(tmp_path, **parts)))


CARDS: dict[str, tuple[str, str]] = {
    "absent": ("\n", "has no card; give the class a `card = MethodCard"),
    "a dict": ("\n    card = {'name': 'mine'}\n", "has a dict as its card"),
    "a field missing": (CARD.replace('batch="3d", ', ""), "cannot be imported: TypeError: .*'batch'"),
    "training": (
        CARD.replace("end-to-end", "sometimes"),
        r"of mine has training='sometimes'; it is one of end-to-end, partial, frozen \(mine.py, line 11\)",
    ),
    "kind": (CARD.replace('kind="3d"', 'kind="4d"'), "kind='4d'; it is one of 2d, 3d, control"),
    "batch": (CARD.replace('batch="3d"', 'batch="big"'), "batch='big'; it is one of 2d, 3d"),
    "a word for a tuple": (CARD.replace('("points", "points_valid")', '("points")'), "observes='points'; it is a"),
    "normalization": (CARD.replace('"none"', '"cube"'), "input.normalization='cube'; it is one of none, unit_sphere"),
    "input": (CARD.replace('PointInput(64, "none")', "64"), "input=64; it is an ImageInput"),
    "name": (CARD.replace('"mine"', '"my/method"'), "name='my/method'; it is letters"),
    "version": (CARD.replace('title="Mine"', 'title="Mine", version="2"'), "version='2'; it is a whole number"),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_wrong_card_is_one_line(case: str, toy_settings: Settings, tmp_path: Path) -> None:
    card, expected = CARDS[case]
    with pytest.raises(BadMethod, match=expected) as found:
        cell_of(toy_settings, method(tmp_path, card))
    assert "\n" not in str(found.value) and "mine.py" in str(found.value)


def test_an_unknown_field_is_told_before_the_probe(toy_settings: Settings, tmp_path: Path) -> None:
    from envs.errors import SpecMismatch

    with pytest.raises(SpecMismatch, match="observes .'smell'., which toy cannot give"):
        cell_of(toy_settings, method(tmp_path, CARD.replace('"points_valid"', '"smell"')))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return points", r"gives \(2, 64, 3\) for 2 rows, \(2, T, 8\) is expected"),
        ("return self.network(points).double()", "encode_tokens gives float64"),
        ("return self.network(points) / 0", "encode_tokens gives NaN or infinity"),
        ("raise ValueError('no')", "encode_tokens raised ValueError: no"),
    ],
)
def test_tokens_are_tried_where_the_head_wants_them(
    body: str, expected: str, toy_settings: Settings, tmp_path: Path
) -> None:
    more = f"\n    def encode_tokens(self, observations):\n        points = observations['points']\n        {body}\n"
    name = method(tmp_path, init=INIT + "        self.token_dim = 8\n", body=ENCODE + more)
    probe(cell_of(toy_settings, name))
    head = load_settings("metaworld-15", "quick", "diffusion", ["head.condition=tokens"]).head
    with pytest.raises(BadMethod, match=expected):
        probe(cell_of(toy_settings, name, head))


def states() -> list[Any]:
    numbers = np.random.get_state()
    return [torch.get_rng_state().tolist(), numbers[1].tolist(), numbers[2], random.getstate()]  # type: ignore[index]


def test_nothing_of_it_is_left(toy_settings: Settings, tmp_path: Path) -> None:
    """Neither in the generators nor in what is built afterwards, whether the method is good or bad."""
    draws = "        import random, numpy\n        random.random(), numpy.random.rand(), torch.rand(1)\n"
    good = method(tmp_path, init=INIT + draws)
    before = states()
    assert probe(cell_of(toy_settings, good)) is None
    (tmp_path / "other").mkdir()
    bad = cell_of(toy_settings, method(tmp_path / "other", init=INIT + draws, body=encode("torch.rand(0, 1)[1]")))
    with pytest.raises(BadMethod):
        probe(bad)
    assert states() == before
    assert torch.is_grad_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("card", [CARD, FROZEN])
def test_what_is_large_is_built_once_and_the_record_is_the_same(
    card: str, toy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not probed, probed and built again, or handed over by the probe: the same weights, head, training and actions."""
    protocol = dataclasses.replace(
        toy_settings.protocol, name="tiny", epochs=2, evaluate_every=2, rollouts=2, retest_rollouts=2
    )
    settings = dataclasses.replace(toy_settings, protocol=protocol)
    log = f"        open({str(tmp_path / 'log')!r}, 'a').write('built ')\n"
    body = encode(f"return self.norm({MAXIMUM})")
    cell = cell_of(settings, method(tmp_path, card, NORM + log, body))

    def run(name: str) -> tuple[dict[str, Any], int]:
        (tmp_path / "log").write_text("")
        record, _ = run_cell(cell, Paths(tmp_path / name, tmp_path / "data"), "test")
        kept = {k: v for k, v in dataclasses.asdict(record).items() if k not in ("timings", "provenance", "seal")}
        return kept, (tmp_path / "log").read_text().count("built")

    twice = run("twice")
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.experiment.run_cell.probe", lambda _: None)
        not_probed = run("not probed")
    monkeypatch.setattr("benchmark.experiment.probe.LARGE", 1)
    once = run("once")
    assert (twice[1], not_probed[1], once[1]) == (2, 1, 1)
    assert once[0] == twice[0] == not_probed[0]


def test_what_the_probe_leaves_is_taken_once(toy_settings: Settings, tmp_path: Path) -> None:
    built = Built(torch.nn.Linear(1, 1), torch.get_rng_state())  # type: ignore[arg-type]
    assert built.take() is not None
    assert built.take() is None


@pytest.mark.slow
def test_a_bad_method_is_refused_before_anything_is_collected_or_discarded(
    toy_settings: Settings, tmp_path: Path
) -> None:
    paths = Paths(tmp_path / "out", tmp_path / "data")
    bad = method(tmp_path, body=encode("return points"))
    cells = make_cells(toy_settings, ["near"], [bad, "state"], [0])
    outcome = run_cells(cells, paths, "test", overwrite=False)
    assert [record.method for _, record, _ in outcome.done] == ["state"], "the other method's cell goes on"
    assert outcome.exit_code == 2
    ((label, text),) = outcome.failed
    assert "mine" in label and "look like tokens" in text and "error.txt" in text
    record = outcome.done[0][0]
    before = record.read_bytes()
    alone = Paths(tmp_path / "alone", tmp_path / "alone-data")
    with pytest.raises(BadMethod):
        prepare_cell(cells[0], alone)
    assert run_cells(cells[:1], alone, "test", overwrite=False).exit_code == 2
    assert not alone.data.exists(), "no demonstration"
    broken = dataclasses.replace(cells[1], method=bad)  # the record of `state` is there; its method is broken now
    with pytest.raises(BadMethod):
        run_cell(broken, paths, "test", overwrite=True)
    assert record.read_bytes() == before, "a record is not given up for a method that cannot run"


@pytest.mark.slow
def test_the_command_explains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = method(tmp_path, CARD.replace("end-to-end", "sometimes"))
    code, _, said = here("run", "--protocol", "quick", "--method", name, "--tasks", "reach")
    assert code == 2
    assert said.strip().splitlines()[-1].startswith("error: ") and "training='sometimes'" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dp3", "clar-small", "state", "proprio-only", "random-features", "pointnet"])
def test_small_methods_pass_within_a_second(name: str) -> None:
    weights = "random" if method_class(name).card.weights else None
    (cell,) = make_cells(load_settings("metaworld-15", "quick", "mlp"), ["reach"], [name], [0], weights)
    probe(cell)  # the first call of a process pays for libraries
    with torch_threads(1):  # threads that wait for each other count as work
        began = time.process_time()
        assert probe(cell) is None
        assert time.process_time() - began < 2, "a second, and one more for a slow machine"


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"centers": "random"}, {"compat": "lift3d"}, {}])
def test_what_public_code_does_by_mistake_can_still_be_asked_for(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the options change is before Lift3D's blocks, which are all alike: two of them are probed."""
    monkeypatch.setattr("baselines.lift3d.DEPTH", 2)
    monkeypatch.setattr("benchmark.experiment.probe.LARGE", 1)  # as the whole one, handed over to the run
    settings = load_settings("metaworld-15", "quick", "mlp", [f"method.{k}={v}" for k, v in options.items()])
    (cell,) = make_cells(settings, ["reach"], ["lift3d"], [0], "random")
    assert isinstance(probe(cell), Built)


def test_a_card_checks_itself() -> None:
    good = method_class("dp3").card
    assert isinstance(good, MethodCard) and good.version == 1
    with pytest.raises(ValueError, match="normalization='cube'"):
        dataclasses.replace(good, input=PointInput(4, "cube"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="past_actions=-1; it is a whole number, 0 or more"):
        dataclasses.replace(good, past_actions=-1)
    with pytest.raises(ValueError, match="version=True"):
        dataclasses.replace(good, version=True)
