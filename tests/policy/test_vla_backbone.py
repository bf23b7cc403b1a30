"""`vla-backbone`: pi-0's counts, both transformers by hand, its flow, its weights, and that it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.vla_backbone.network import ActionExpert, Layer, Transformer, rotated, time_features
from baselines.vla_backbone.policy import VLABackbone
from baselines.vla_backbone.sizes import SIZES, Expert, Size
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.probe import probe
from benchmark.settings.settings import Settings
from benchmark.training.optimizer import make_optimization
from methods.errors import BadMethod, BadWeights
from methods.policy import PolicySpecs, Recipe
from tests.experiment.test_camera_sizes import settings_of
from tests.policy.test_aloha_unleashed import chunks, count, none_padded, seen, shaken, specs
from tests.pretend_cuda import pretend_cuda

TINY = Size(32, 16, 12, 1, 2, 24, Expert(16, 24), Expert(12, 20), 2, 2, 8, 1e-3, 1e-4, 4)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "pi-0", TINY)


def made(seed: int = 0, of: PolicySpecs | None = None, **options: str) -> VLABackbone:
    torch.manual_seed(seed)
    return VLABackbone(of or specs(), **options)


def test_parameters_are_pi_0s_part_by_part() -> None:
    with torch.device("meta"):
        policy = VLABackbone(specs(2, 480, 848, 14))
    head = 1152 * 2048 + 2048
    assert count(policy.vision) - head == 412_442_352, "SigLIP So400m/14 at 224 pixels, without its pooling"
    assert count(policy.backbone) == 1_981_884_416, "Gemma 2B without its embedding"
    assert count(policy.expert.transformer) == 311_464_960, "openpi: 311M"
    around = 2 * (14 * 1024 + 1024) + (2048 * 1024 + 1024) + (1024 * 1024 + 1024) + 1024 * 14 + 14
    assert count(policy.expert) == 311_464_960 + around
    assert count(policy) == 412_442_352 + head + 1_981_884_416 + count(policy.expert)
    with torch.device("meta"):
        assert count(VLABackbone(specs(2, 96, 96, 14), size="small")) == 1_079_598


# -- by hand


def rms(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * (1 + weight)


def turned(x: np.ndarray, place: int) -> np.ndarray:
    """One head's vector (D,) at a position, pair by pair."""
    half, found = len(x) // 2, np.zeros_like(x)
    for i in range(half):
        angle = place * 10_000 ** (-i / half)
        found[i] = x[i] * np.cos(angle) - x[half + i] * np.sin(angle)
        found[half + i] = x[half + i] * np.cos(angle) + x[i] * np.sin(angle)
    return found


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def jointly(parts: list[np.ndarray], states: list[dict[str, np.ndarray]], blocks: list[int]) -> list[np.ndarray]:
    """Both transformers over one row of tokens, as openpi writes it: token i sees j where block j <= block i."""
    lengths = [len(one) for one in parts]
    own = [0] * lengths[0] + [1] * lengths[1]
    for number in range(TINY.depth):
        layers = [{n.partition(f"layers.{number}.")[2]: t for n, t in state.items()} for state in states]
        x = [rms(one, layer["before_attention.weight"]) for one, layer in zip(parts, layers, strict=True)]
        row = [token for one in x for token in one]
        keys = [turned(layers[o]["keys.weight"] @ t, place) for place, (o, t) in enumerate(zip(own, row, strict=True))]
        values = [layers[o]["values.weight"] @ t for o, t in zip(own, row, strict=True)]
        mixed = []
        for place, (o, token) in enumerate(zip(own, row, strict=True)):
            heads = (layers[o]["queries.weight"] @ token).reshape(TINY.heads, TINY.head_dim)
            allowed = [j for j in range(len(row)) if blocks[j] <= blocks[place]]
            found = []
            for head in heads:
                asked = turned(head, place)
                scores = np.exp([asked @ keys[j] / np.sqrt(TINY.head_dim) for j in allowed])
                found.append(sum(s * values[j] for s, j in zip(scores / scores.sum(), allowed, strict=True)))
            mixed.append(layers[o]["out.weight"] @ np.concatenate(found))
        parts = [parts[0] + np.array(mixed[: lengths[0]]), parts[1] + np.array(mixed[lengths[0] :])]
        for which, layer in enumerate(layers):
            x = [rms(parts[which], layer["before_mlp.weight"])]
            gated = gelu(x[0] @ layer["gate.weight"].T) * (x[0] @ layer["up.weight"].T)
            parts[which] = parts[which] + gated @ layer["down.weight"].T
    return [rms(one, state["norm.weight"]) for one, state in zip(parts, states, strict=True)]


def test_both_transformers_are_the_joint_one_by_hand() -> None:
    """What is computed once from the observation is what pi-0's single row of tokens gives."""
    torch.manual_seed(0)
    backbone, expert = Transformer(TINY.backbone, TINY), ActionExpert(TINY, 3, 3)
    states = [shaken(backbone), {}]
    full = shaken(expert)
    states[1] = {n.removeprefix("transformer."): t for n, t in full.items() if n.startswith("transformer.")}
    prefix, noised, state = torch.randn(1, 4, 16), torch.randn(1, 3, 3), torch.randn(1, 3)
    time = torch.tensor([0.3])
    with torch.no_grad():
        seen_of, cache = backbone(prefix)
        found = expert(noised, time, state, cache)[0].double().numpy()

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ full[f"{name}.weight"].T + full[f"{name}.bias"]

    periods = 4e-3 * (4 / 4e-3) ** np.linspace(0, 1, 6)
    at = np.concatenate([np.sin(0.3 / periods * 2 * np.pi), np.cos(0.3 / periods * 2 * np.pi)])
    np.testing.assert_allclose(time_features(time, 12)[0].numpy(), at, atol=2e-4)
    actions = linear(noised[0].double().numpy(), "embed_action")
    mixed = linear(np.concatenate([actions, np.tile(at, (3, 1))], 1), "mix_in")
    actions = linear(mixed / (1 + np.exp(-mixed)), "mix_out")
    suffix = np.concatenate([linear(state.double().numpy(), "embed_state"), actions])
    before, after = jointly([prefix[0].double().numpy(), suffix], states, [0] * 4 + [1] + [2] * 3)
    np.testing.assert_allclose(seen_of[0].detach().numpy(), before, atol=1e-4)
    np.testing.assert_allclose(found, linear(after[1:], "out"), atol=1e-4)


def test_a_rotated_product_says_how_far_apart() -> None:
    a, b = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    near = (rotated(a, 5) * rotated(b, 3)).sum()
    torch.testing.assert_close(near, (rotated(a, 105) * rotated(b, 103)).sum(), atol=1e-4, rtol=1e-4)
    assert isinstance(Layer(TINY.action, 2, 8).keys, torch.nn.Linear)


# -- the flow


def test_its_plan_is_eulers_method(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the velocity is that of straight lines to one chunk, ten steps end at that chunk."""
    policy = made()
    policy.fit(torch.tensor([[0.0, 1, 2], [2.0, 5, 10]]), seen(2)["proprio"])
    goal, times = policy.actions(chunks(2)), []

    def straight(x: Tensor, time: Tensor, *_: Any) -> Tensor:
        times.append(float(time[0]))
        return (x - goal) / time.view(-1, 1, 1)

    monkeypatch.setattr(policy.expert, "forward", straight)
    with torch.no_grad():
        found = policy.eval().plan(seen(2), [1, 2])
    torch.testing.assert_close(found, chunks(2), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(times, 1 - np.arange(10) / 10, atol=1e-6)


def test_its_loss_is_the_velocitys_over_actions_of_the_episode(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, padded, given = made(), none_padded(2), []
    padded[1, 2:] = True

    def nothing(x: Tensor, time: Tensor, *_: Any) -> Tensor:
        given.extend([x, time])
        return torch.zeros_like(x)

    monkeypatch.setattr(policy.expert, "forward", nothing)
    torch.manual_seed(4)
    loss = policy.losses(seen(2), chunks(2), padded)["velocity"]
    torch.manual_seed(4)
    noise = torch.randn(2, 6, 3)
    time = torch.rand(2) ** (2 / 3) * 0.999 + 0.001
    torch.testing.assert_close(given[1], time)
    share = time.view(2, 1, 1)
    torch.testing.assert_close(given[0], share * noise + (1 - share) * chunks(2))
    gap = (noise - chunks(2)).square()
    torch.testing.assert_close(loss, torch.cat([gap[0], gap[1, :2]]).mean())
    drawn = torch.rand(100_000) ** (1 / 1.5)
    assert abs(float(drawn.mean()) - 1.5 / 2.5) < 0.01, "Beta(1.5, 1)"


# -- inputs and weights


def test_everything_it_is_given_matters(tiny: None) -> None:
    of = specs(language=5)
    policy = made(of=of).eval()
    inputs = {**seen(1), "language": torch.zeros(1, 5)}
    with torch.no_grad():
        before = policy.plan(inputs, [3])
        for name, other in (
            ("rgb", inputs["rgb"] // 2),
            ("proprio", inputs["proprio"] + 1),
            ("language", torch.ones(1, 5)),
        ):
            assert float((policy.plan({**inputs, name: other}, [3]) - before).abs().max()) > 1e-5, name
        assert not torch.equal(policy.plan(inputs, [4]), before)
        pair = {name: torch.cat([value, value]) for name, value in inputs.items()}
        torch.testing.assert_close(policy.plan(pair, [3, 9])[:1], before, atol=1e-4, rtol=1e-4)
    assert made(of=of, instruction="none").embed_language is None
    with pytest.raises(BadMethod, match="this suite has no instructions"):
        made(instruction="token")


def test_a_policy_is_where_another_begins_and_others_are_refused(tiny: None, tmp_path: Path) -> None:
    first = made(seed=1)
    first.fit(torch.tensor([[-3.0, -3, -3], [5, 5, 5]]), torch.tensor([[0.0, 0, 0], [8, 8, 8]]))
    torch.save({"policy": first.trained_state()}, tmp_path / "first.pt")
    second = made(seed=2)
    second.load_weights([tmp_path / "first.pt"])
    second.fit(chunks(3).flatten(0, 1), seen(3)["proprio"])
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    recipe = Recipe(1.0, 1.0, 0.0)
    (fresh,), (tuned,) = first.parameter_groups(recipe), second.parameter_groups(recipe)
    assert (fresh.learning_rate, tuned.learning_rate, fresh.betas) == (1e-3, 1e-4, (0.9, 0.95))
    with pytest.raises(BadWeights, match=r"a policy of size=pi-0, and this one has size=small"):
        made(size="small").load_weights([tmp_path / "first.pt"])
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(BadWeights, match="is no policy vla-backbone"):
        made().load_weights([tmp_path / "x.pt"])


@pytest.mark.slow
def test_everything_lies_on_the_device(tiny: None) -> None:
    with pretend_cuda():
        policy = made().to("cuda")
        inputs = {name: value.to("cuda") for name, value in seen(2).items()}
        policy.fit(chunks(2).flatten(0, 1).to("cuda"), inputs["proprio"])
        policy.losses(inputs, chunks(2).to("cuda"), none_padded(2).to("cuda"))["velocity"].backward()
        with torch.no_grad():
            assert policy.plan(inputs, [3, 4]).device.type == "cuda"
    policy = made()
    with torch.autocast("cpu", torch.bfloat16):
        assert policy.losses(seen(2), chunks(2), none_padded(2))["velocity"].dtype == torch.float32


# -- it learns


@pytest.mark.slow
def test_a_few_samples_are_learned_by_heart(toy_settings: Settings) -> None:
    """The small size on two observations with opposite chunks."""
    policy = made(of=specs(1, 112, 112), size="small", learning_rate="5e-4")
    inputs, rows = seen(2, 1, 112, 112), [0, 1] * 4
    inputs["rgb"][1] //= 4
    ramp = torch.linspace(0.9, 0.1, 18).view(6, 3)
    actions = torch.stack([-ramp, ramp])
    policy.fit(actions.flatten(0, 1), inputs["proprio"])
    optimization, losses = make_optimization(policy, toy_settings.protocol), []
    for _ in range(40):
        batch = {name: value[rows] for name, value in inputs.items()}
        loss = policy.losses(batch, actions[rows], none_padded(8))["velocity"]
        optimization.optimizer.zero_grad()
        loss.backward()
        optimization.before_step(199, 10**6)
        optimization.optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        found = policy.eval().plan(inputs, [1, 2])
    own, other = (float((found - one).abs().mean()) for one in (actions, actions.flip(0)))
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:4]) and own < 0.4 * other, (own, other)


GOLDEN: dict[str, list[float]] = {
    "loss": [2.2701],
    "plan": [
        -0.58365,
        0.39787,
        0.23131,
        -1.7644,
        0.88151,
        0.99793,
        -0.65874,
        0.16036,
        0.90425,
        -0.0062348,
        1.4852,
        -0.24669,
        0.14539,
        0.41035,
        2.3899,
        -0.69015,
        0.4286,
        0.76053,
    ],
}


def figures() -> dict[str, list[float]]:
    policy = made(size="small").eval()
    policy.fit(chunks(3).flatten(0, 1), seen(3)["proprio"])
    torch.manual_seed(1)
    with torch.no_grad():
        found = {
            "loss": policy.losses(seen(2), chunks(2), none_padded(2))["velocity"],
            "plan": policy.plan(seen(1), [3]),
        }
    return {name: [float(f"{one:.5g}") for one in value.flatten()] for name, value in found.items()}


def test_it_computes_what_its_version_says() -> None:
    """Raise `version` on its card with these figures."""
    assert VLABackbone.card.version == 1
    for name, value in figures().items():
        np.testing.assert_allclose(value, GOLDEN[name], rtol=2e-3, atol=2e-3, err_msg=name)


@pytest.mark.slow
def test_it_is_a_cell(toy_settings: Settings) -> None:
    settings = dataclasses.replace(settings_of(toy_settings), policy_options={"size": "small"}, head_asked=False)
    (cell,) = make_cells(settings, ["near"], ["vla-backbone"], [0])
    assert cell.label.endswith("vla-backbone+size=small/whole-s0") and cell.settings.head.execute == 50  # type: ignore[union-attr]
    probe(cell)
