"""`chunk-mlp`: its interpolation, its loss by loops, its limits, that it learns, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from baselines.attentive_probe import HEADS, QUERIES, WIDTH, AttentiveProbe
from baselines.chunk_mlp import ChunkMLP, interpolation
from benchmark.experiment.make_cells import make_cells
from benchmark.policy.policy import plain_action
from benchmark.settings.policy import policy_config
from benchmark.settings.settings import Settings
from envs.action_parts import ActionPart
from envs.spec import ActionSpec, FieldSpec
from methods.base import Representation
from methods.controls import ProprioOnly, State
from methods.errors import BadMethod
from methods.policy import PolicySpecs, Recipe, Window
from methods.registry import policy_class

ROWS, CHUNK = 6, 5
OBSERVATION = {
    "proprio": FieldSpec("proprio", (3,), "float32", ""),
    "ground_truth": FieldSpec("ground_truth", (4,), "float32", "m"),
}
TOKEN_OBSERVATION = OBSERVATION | {"marks": FieldSpec("marks", (8,), "float32", "")}


class Marked(Representation):
    """A token for each of eight places; its feature, their mean, is the same for all observations with one mark."""

    card = dataclasses.replace(State.card, name="marked", observes=("marks",))
    feature_dim = token_dim = 4
    token_count = 8

    def encode(self, observations: Any) -> torch.Tensor:
        return self.encode_tokens(observations).mean(1)

    def encode_tokens(self, observations: Any) -> torch.Tensor:
        return observations["marks"].unsqueeze(2) * torch.tensor([1.0, -1.0, 2.0, 0.5])


def policy(action: Any = 2, window: Window | None = None, said: dict[str, str] | None = None, **options: str) -> Any:
    torch.manual_seed(0)
    specs = PolicySpecs(OBSERVATION, plain_action(action), window=window or Window(chunk=CHUNK), **(said or {}))
    return ChunkMLP(specs, State(OBSERVATION), **options)


def samples(rows: int = ROWS) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    inputs = {"proprio": torch.randn(rows, 3, generator=draw), "feature": torch.randn(rows, 4, generator=draw)}
    actions = torch.randn(rows, CHUNK, 2, generator=draw)
    return inputs, actions, torch.arange(CHUNK) >= torch.randint(1, CHUNK + 1, (rows, 1), generator=draw)


@pytest.mark.parametrize(("chunk", "every"), [(50, 2), (50, 1), (50, 10), (7, 5), (6, 5), (2, 10), (1, 2)])
def test_between_predicted_actions_it_is_linear(chunk: int, every: int) -> None:
    weights = interpolation(chunk, every).numpy()
    keys = [step for step in range(chunk) if step % every == 0 or step == chunk - 1]
    assert weights.shape == (chunk, len(keys))
    values = np.random.default_rng(0).normal(size=len(keys))
    np.testing.assert_allclose(weights @ values, np.interp(np.arange(chunk), keys, values), atol=1e-6)


@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_the_loss_is_the_mean_over_the_episodes_own_actions(loss: str) -> None:
    one = policy(loss=loss)
    inputs, actions, padded = samples()
    one.fit(3 + 2 * torch.randn(40, 2), torch.randn(40, 3))
    losses = one.losses(inputs, actions, padded)
    guess = one._chunk(inputs).detach().numpy()
    gaps = []
    for row in range(ROWS):
        for step in range(CHUNK):
            if padded[row, step]:
                continue
            for joint in range(2):
                mean, deviation = float(one.actions.mean[joint]), float(one.actions.deviation[joint])
                gap = guess[row, step, joint] - (float(actions[row, step, joint]) - mean) / deviation
                gaps.append(abs(gap) if loss == "l1" else gap**2)
    assert 0 < len(gaps) < actions.numel() and list(losses) == [loss]
    assert float(losses[loss].detach()) == pytest.approx(np.mean(gaps), rel=1e-5)


def test_a_plan_stays_within_the_training_datas_actions() -> None:
    one = policy().eval()
    one.keys.weight.data *= 100
    seen = torch.tensor([[-1.0, 5.0], [2.0, 6.0]])
    one.fit(seen, torch.randn(40, 3))
    inputs = samples(200)[0]
    plan = one.plan(inputs, range(200))
    assert plan.shape == (200, CHUNK, 2) and torch.equal(plan, one.plan(inputs, range(200)))
    assert torch.equal(plan.amin((0, 1)), seen[0]) and torch.equal(plan.amax((0, 1)), seen[1])
    again = policy()
    again.load_state_dict(one.state_dict())
    assert torch.equal(again.eval().plan(inputs, range(200)), plan), "its limits are kept with its weights"


@pytest.mark.slow
def test_it_learns_a_chunk_from_what_it_sees() -> None:
    one = policy(every="1")
    inputs, _, _ = samples(64)
    seen = torch.cat([inputs["feature"], inputs["proprio"]], dim=1)
    actions = torch.stack([torch.sin(seen[:, :2] + step / CHUNK) for step in range(CHUNK)], dim=1)
    one.fit(actions.flatten(0, 1), inputs["proprio"])
    (group,) = one.parameter_groups(Recipe(5.0, 0.1, 0.0))
    assert (group.learning_rate, group.schedule, group.follows_protocol) == (1e-3, "cosine", False)
    optimizer = torch.optim.AdamW(group.parameters, 1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = one.losses(inputs, actions, torch.zeros(64, CHUNK, dtype=torch.bool))["l2"]
        loss.backward()
        optimizer.step()
    error = (one.eval().plan(inputs, range(64)) - actions).abs().mean()
    assert error < 0.05 < actions.std() / 5


def test_a_representation_without_a_feature_leaves_proprioception() -> None:
    one = ChunkMLP(PolicySpecs(OBSERVATION, plain_action(2), window=Window(chunk=CHUNK)), ProprioOnly(OBSERVATION))
    assert one.layers[0].in_features == 3
    assert one.plan({"proprio": torch.zeros(2, 3)}, [0, 1]).shape == (2, CHUNK, 2)


def test_an_instruction_is_seen() -> None:
    specs = PolicySpecs(OBSERVATION, plain_action(2), language=3, window=Window(chunk=CHUNK))
    one = ChunkMLP(specs, State(OBSERVATION)).eval()
    inputs = samples()[0]
    plans = [one.plan({**inputs, "language": torch.full((ROWS, 3), value)}, range(ROWS)) for value in (0.0, 1.0)]
    assert not torch.allclose(*plans)


def test_tokens_are_read_by_a_probe() -> None:
    """Against attention written out in float64; and what is in one token of many is found."""
    torch.manual_seed(0)
    probe = AttentiveProbe(6)
    tokens = torch.randn(3, 7, 6)
    double = {name: value.detach().double() for name, value in probe.named_parameters()}
    centred = tokens.double() - tokens.double().mean(2, keepdim=True)
    normed = centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()
    values = (normed * double["norm.weight"] + double["norm.bias"]) @ double["embed.weight"].T + double["embed.bias"]
    places = torch.tensor(
        [
            [(np.cos if i % 2 else np.sin)(place / 10_000 ** (2 * (i // 2) / WIDTH)) for i in range(WIDTH)]
            for place in range(7)
        ]
    )
    parts = zip(
        double["attention.in_proj_weight"].chunk(3),
        double["attention.in_proj_bias"].chunk(3),
        (double["queries"].expand(3, -1, -1), values + places, values),
        strict=True,
    )
    query, key, value = (
        (given @ weight.T + bias).unflatten(2, (HEADS, -1)).transpose(1, 2) for weight, bias, given in parts
    )
    shares = (query @ key.transpose(2, 3) / (WIDTH // HEADS) ** 0.5).softmax(-1)
    read = (shares @ value).transpose(1, 2).flatten(2) @ double["attention.out_proj.weight"].T
    expected = (read + double["attention.out_proj.bias"]).flatten(1)
    torch.testing.assert_close(probe(tokens), expected.float(), rtol=1e-4, atol=1e-5)
    assert expected.shape == (3, QUERIES * WIDTH) == (3, probe.size)


@pytest.mark.slow
def test_it_learns_from_tokens_which_their_mean_does_not_tell() -> None:
    """Which of eight tokens carries the mark is the target; all of them together are the same in every sample."""
    torch.manual_seed(0)
    one = ChunkMLP(
        PolicySpecs(TOKEN_OBSERVATION, plain_action(1), window=Window(chunk=CHUNK)),
        Marked(TOKEN_OBSERVATION),
        condition="tokens",
        every="1",
    )
    assert one.sets == ("tokens",) and one.condition == "tokens"
    places = torch.arange(64) % 8
    inputs = {"proprio": torch.zeros(64, 3), "marks": nn.functional.one_hot(places, 8).float()}
    actions = (places / 8).view(64, 1, 1).expand(64, CHUNK, 1)
    one.fit(actions.flatten(0, 1), inputs["proprio"])
    optimizer = torch.optim.AdamW(one.parameters(), 1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = one.losses(inputs, actions, torch.zeros(64, CHUNK, dtype=torch.bool))["l2"]
        loss.backward()
        optimizer.step()
    assert (one.eval().plan(inputs, range(64)) - actions).abs().mean() < 0.02 < actions.std() / 10


def test_what_it_does_not_do_is_refused() -> None:
    with pytest.raises(BadMethod, match=r"looks at one observation, not at 2: use policy\.obs_steps=1"):
        policy(window=Window(chunk=CHUNK, obs_steps=2))
    with pytest.raises(BadMethod, match="cannot take protocol.action_scaling='range'"):
        policy(said={"action_scaling": "range"})
    parts = (ActionPart("turn", 0, 4, "quaternion", "x, y, z, w", "robot"),)
    turns = ActionSpec(tuple("xyzw"), (-1.0,) * 4, (1.0,) * 4, "1", parts=parts)
    with pytest.raises(BadMethod, match="this action has quaternions"):
        policy(turns)


@pytest.mark.parametrize("policy", ["chunk-mlp", "act-head"])
def test_it_is_refused_before_anything_is_collected(toy_settings: Settings, policy: str) -> None:
    two = policy_config(policy, policy_class(policy).card, {"obs_steps": 2, "chunk": 8, "execute": 1}, {})
    settings = dataclasses.replace(toy_settings, head=two, head_asked=True)
    with pytest.raises(BadMethod, match=f"{policy} looks at one observation, not at 2"):
        make_cells(settings, ["far"], ["state"], [0])


def test_what_it_computes_is_what_its_version_says() -> None:
    """Whoever changes it raises `version` on the card, and the figures here: of weights that are a wave."""
    one = policy()
    assert one.card.version == 1
    for parameter in one.parameters():
        wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64).square() * 0.017).float()
        parameter.data = 0.1 * wave.view_as(parameter)
    rows = torch.arange(30.0)
    one.fit(torch.stack([rows, -rows], 1), torch.stack([rows, rows**2, -rows], 1))
    inputs, actions, padded = samples()
    loss = one.losses(inputs, actions, padded)["l2"].item()
    found = [loss, *one.eval().plan(inputs, range(ROWS))[1, 2].tolist()]
    assert found == pytest.approx(FIGURES, rel=1e-4)


FIGURES = [4.209259, 17.020699, -12.659607]
