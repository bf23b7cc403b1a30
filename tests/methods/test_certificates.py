"""Every shipped method computes what the committed table says of its card's version, and the table cannot be eased."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import baselines.dp3
import methods.clar.representation
from baselines.dp3 import DP3
from baselines.dp3_policy import DP3Policy
from baselines.r3m import R3MResNet18
from benchmark.encoders.specs import encoder_specs
from benchmark.encoders.write_certificates import certify, complaint, lines, main, read_table, renew, shipped
from methods import preprocess
from methods.behaviour import behaviour, departures
from methods.clar.representation import CLAR
from methods.pooling import pointwise_max
from methods.registry import method_class

FAST = {"state", "random-features", "proprio-only", "dp3", "dp3-policy", "clar-small", "pointnet"}
TABLE = read_table()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in FAST else [pytest.mark.committed, pytest.mark.slow]) for name in shipped()],
)
def test_a_method_computes_what_its_version_says(name: str) -> None:
    found = dict(certify(name))
    assert set(found) == set(lines(method_class(name).card))
    problems = [problem for line, here in found.items() if (problem := complaint(line, here, TABLE))]
    assert not problems, "\n".join(problems)
    if all("skipped" in here for here in found.values()):
        pytest.skip(f"{name}: {next(iter(found.values()))['skipped']}")


def test_the_table_has_no_other_lines() -> None:
    assert set(TABLE) == {line for name in shipped() for line in lines(method_class(name).card)}


def mutated_epsilon(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ten times the epsilon of every norm."""
    for kind in (nn.LayerNorm, nn.BatchNorm1d):
        real = kind.__init__

        def init(self: Any, *args: Any, _real: Any = real, **kw: Any) -> None:
            _real(self, *args, **kw)
            self.eps *= 10

        monkeypatch.setattr(kind, "__init__", init)


def hidden_epsilon(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The same, where no attribute of a module tells."""
    real_layer, real_batch = nn.functional.layer_norm, nn.functional.batch_norm
    monkeypatch.setattr(nn.functional, "layer_norm", lambda x, s, w, b, eps: real_layer(x, s, w, b, 10 * eps))
    monkeypatch.setattr(nn.functional, "batch_norm", lambda *a: real_batch(*a[:-1], 10 * a[-1]))


def mutated_normalisation(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A percent of a cloud's scale."""
    real = preprocess.PointPreprocess.forward
    monkeypatch.setattr(preprocess.PointPreprocess, "forward", lambda *args: 1.01 * real(*args))


def mutated_pooling(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A mean in place of a maximum."""
    if name == "clar-small":

        def pool(self: CLAR, tokens: Tensor) -> Tensor:
            return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=-1)

        monkeypatch.setattr(methods.clar.representation.CLAR, "pool", pool)
        return
    if name == "pointnet":
        monkeypatch.setattr(Tensor, "amax", lambda self, dim: self.mean(dim))
        return
    monkeypatch.setattr(baselines.dp3, "pointwise_max", lambda network, points: network(points).mean(dim=1))


def detached(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """No gradient to what is before the first norm."""
    kind = method_class(name)
    real = kind.encode

    def encode(self: Any, observations: Any) -> Tensor:
        first = next(p for p in self.parameters())
        first.requires_grad_(False)
        return real(self, observations)

    monkeypatch.setattr(kind, "encode", encode)


MUTATIONS = [mutated_epsilon, hidden_epsilon, mutated_normalisation, mutated_pooling, detached]


@pytest.mark.parametrize("mutate", MUTATIONS)
@pytest.mark.parametrize("name", ["dp3", "pointnet", "clar-small"])
def test_a_change_of_what_is_computed_is_noticed(
    name: str, mutate: Callable[[pytest.MonkeyPatch, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch, name)
    line, here = next(certify(name))
    problem = complaint(line, here, TABLE)
    assert problem is not None
    assert f"{name} computes something else than at version 1" in problem
    assert "raise `version` on its card and run `python -m benchmark.encoders.write_certificates`" in problem


def test_a_mutated_picture_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    card = R3MResNet18.card
    assert card.input is not None
    off = dataclasses.replace(card.input, std=(0.229, 0.224, 0.23))  # type: ignore[arg-type, call-arg]
    monkeypatch.setattr(R3MResNet18, "card", dataclasses.replace(card, input=off))
    here = json.loads(json.dumps(behaviour(R3MResNet18, encoder_specs(R3MResNet18.card), {})))
    here["facts"]["input"] = TABLE["r3m-resnet18"]["facts"]["input"]
    assert any(found.startswith("feature") for found in departures(here, TABLE["r3m-resnet18"]))


class Renamed(DP3):
    """DP3 with its modules under other names, its pooling in a function of its own."""

    def __init__(self, specs: Any) -> None:
        super().__init__(specs)
        self.points, self.after = self.network, self.projection
        del self.network, self.projection

    def encode(self, observations: Any) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        return self.after(moved(self.points, points))


def moved(network: nn.Module, points: Tensor) -> Tensor:
    return pointwise_max(network, points)


def test_a_renamed_module_and_a_moved_function_are_not_a_change() -> None:
    here = json.loads(json.dumps(behaviour(Renamed, encoder_specs(DP3.card), {})))
    assert departures(here, TABLE["dp3"]) == []


def test_a_line_is_not_overwritten_while_its_version_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "certificates.json"
    names = ["dp3", "dp3-policy"]
    assert renew(names, path) == []
    written = path.read_bytes()
    assert renew(names, path) == []
    assert path.read_bytes() == written, "what is as it was stays to the last byte"
    mutated_normalisation(monkeypatch, "dp3")
    refused = renew(names, path)
    assert [text.split()[0] for text in refused] == [line for name in names for line in (name, f"{name}+color=true")]
    assert path.read_bytes() == written
    monkeypatch.setattr("benchmark.encoders.write_certificates.renew", lambda *_: refused)
    assert main(names) == 1
    monkeypatch.setattr(DP3, "card", dataclasses.replace(DP3.card, version=2))
    kept = ["dp3-policy", "dp3-policy+color=true"]
    assert [text.split()[0] for text in renew(names, path)] == kept, "its own version was not raised"
    table = read_table(path)
    assert table["dp3"]["version"] == 2
    assert table["dp3"]["blocks"] != json.loads(written)["dp3"]["blocks"]
    monkeypatch.setattr(DP3, "card", dataclasses.replace(DP3.card, version=1))
    assert "is at version 1 and its certificate at 2" in renew(["dp3"], path)[0], "nor may a version go back"
    assert DP3Policy.card.version == TABLE["dp3-policy"]["version"]
