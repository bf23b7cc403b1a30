"""ACT: its sizes, its formulas against a plain reference, what is masked, what is drawn, what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.act.backbone import FrozenBatchNorm2d, load_imagenet, resnet18
from baselines.act.card import OVER, WHOLE
from baselines.act.over import ACTHead
from baselines.act.policy import ZScore
from baselines.act.positions import sine_2d
from baselines.act.sizes import SIZES, Sizes
from baselines.act.whole import ACT
from benchmark.policy.ensemble import ensembled
from benchmark.policy.episode_memory import Memory
from benchmark.policy.policy import plain_action
from envs.action_parts import ActionPart
from envs.spec import ActionSpec, FieldSpec
from methods.controls import ProprioOnly, State
from methods.errors import BadMethod, BadWeights
from methods.networks.resnet import ResNet
from methods.policy import PolicySpecs, Recipe, Window
from methods.preprocess import prepare_images
from tests.policy import act_reference as reference

TINY = Sizes(8, 2, 12, 3, 1, 2, 2, dropout=0.0, rate=1e-3)
RECIPE = Recipe(1e-3, 0.1, 0.0)
CHUNK, ROWS = 4, 3


def fields(**pictures: tuple[int, ...]) -> dict[str, FieldSpec]:
    """`rgb=(cameras, height, width)` for one stack, `hand=(height, width)` for a camera by itself."""
    found = {"proprio": FieldSpec("proprio", (5,), "float32", "")}
    for name, shape in pictures.items():
        field = name if name == "rgb" else f"rgb@{name}"
        found[field] = FieldSpec(field, (*shape, 3), "uint8", "")
    return found


def specs_of(observation: dict[str, FieldSpec], chunk: int = CHUNK, action: Any = 2, **said: Any) -> PolicySpecs:
    return PolicySpecs(observation, plain_action(action), window=Window(chunk=chunk), **said)


def inputs_of(observation: dict[str, FieldSpec], rows: int = ROWS) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        name: torch.randint(0, 256, (rows, *spec.shape), dtype=torch.uint8, generator=draw)
        if spec.dtype == "uint8"
        else torch.randn(rows, *spec.shape, generator=draw)
        for name, spec in observation.items()
    }


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "small", TINY)


def state_specs() -> dict[str, FieldSpec]:
    return {**fields(), "ground_truth": FieldSpec("ground_truth", (6,), "float32", "m")}


def head(condition: str = "pooled", **said: Any) -> ACTHead:
    """Over the true state; with `feature` in its inputs what is seen can be given."""
    torch.manual_seed(0)
    representation = State(state_specs())
    representation.token_dim = representation.feature_dim
    policy = ACTHead(specs_of(state_specs(), **said), representation, size="small", condition=condition)
    for parameter in policy.parameters():  # biases begin at zero, norms at one, and would prove little
        parameter.data += 0.1 * torch.randn_like(parameter)
    return policy


def samples(tokens: int = 3) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    inputs = inputs_of(fields())
    inputs["feature"] = torch.randn(ROWS, tokens, 6, generator=torch.Generator().manual_seed(2))
    actions = torch.randn(ROWS, CHUNK, 2, generator=torch.Generator().manual_seed(3))
    return inputs, actions, torch.arange(CHUNK) >= torch.tensor([[4], [2], [1]])


# -- sizes


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.slow
def test_the_parts_have_the_published_sizes() -> None:
    """83.92 M, as the published code prints for 14 joints and chunks of 100; its 513 of the unused output apart."""
    observation = {
        "rgb": FieldSpec("rgb", (3, 32, 32, 3), "uint8", ""),
        "proprio": FieldSpec("proprio", (14,), "f", ""),
    }
    with torch.device("meta"):
        whole = ACT(specs_of(observation, 100, 14))
        first = ACT(specs_of(observation, 100, 14), compat="act")
    attention, feed = 4 * 512**2 + 4 * 512, 2 * 512 * 3200 + 3200 + 512
    layer, decoder_layer = attention + feed + 2 * 1024, 2 * attention + feed + 3 * 1024
    assert [count(one) for one in whole.transformer.encoder] == [layer] * 4
    assert [count(one) for one in whole.transformer.decoder] == [decoder_layer] * 7
    assert [count(one) for one in whole.posterior.layers] == [layer] * 4
    assert count(whole.posterior) == 4 * layer + 512 + 2 * (14 * 512 + 512) + 512 * 64 + 64
    embeddings = (32 * 512 + 512) + (14 * 512 + 512) + (512 * 512 + 512) + 2 * 512 + 100 * 512
    assert count(whole.transformer) == 4 * layer + 7 * decoder_layer + embeddings + 1024 + 512 * 14 + 14
    assert count(whole.backbone) == WHOLE.parameters == 11_166_912
    assert count(whole) + 513 == 83_923_087
    assert count(whole) - count(first) == 6 * decoder_layer, "compat=act computes no layer whose output is thrown away"
    assert count(ACT(specs_of(observation, 100, 14), size="small")) == 12_852_878


@pytest.mark.slow
def test_how_it_looks_and_is_moved() -> None:
    policy = ACT(specs_of(fields(rgb=(1, 32, 32))))
    assert (WHOLE.chunk, WHOLE.execute, WHOLE.ensemble, OVER.chunk, OVER.ensemble) == (100, 1, 0.01, 100, 0.01)
    groups = policy.parameter_groups(RECIPE)
    assert policy.optimizer == "adamw" and not any(group.follows_protocol for group in groups)
    assert [(g.learning_rate, g.weight_decay) for g in groups] == [(1e-5, 1e-4), (1e-5, 1e-4)]
    assert sum(p.numel() for g in groups for p in g.parameters) == count(policy)
    small = ACT(specs_of(fields(rgb=(1, 32, 32))), size="small", backbone_rate="0.001")
    assert [g.learning_rate for g in small.parameter_groups(RECIPE)] == [3e-4, 1e-3]
    over = ACTHead(specs_of(fields()), ProprioOnly(fields()), rate="0.001")
    assert [g.learning_rate for g in over.parameter_groups(RECIPE)] == [1e-3]


def test_of_a_trained_representation_the_rate_has_the_protocols_multiplier(tiny: None) -> None:
    representation = State(state_specs())
    representation.layer = nn.Linear(2, 2)
    groups = ACTHead(specs_of(state_specs()), representation, size="small").parameter_groups(RECIPE)
    assert [g.learning_rate for g in groups] == [1e-3, 1e-4]


# -- formulas


def rows_of(inputs: dict[str, Tensor], actions: Tensor, padded: Tensor, noise: Tensor) -> list[Any]:
    parts = (inputs["proprio"], inputs["feature"], actions, padded, noise)
    return [tuple(part[row].numpy().astype(np.float64) for part in parts) for row in range(ROWS)]


@pytest.mark.slow
def test_losses_and_gradients_are_those_of_the_formulas(tiny: None) -> None:
    policy = head("tokens")
    inputs, actions, padded = samples()
    torch.manual_seed(7)
    noise = torch.randn(ROWS, TINY.latent)
    weights = {name: p.detach().double().numpy() for name, p in policy.named_parameters()}
    batch, layers = rows_of(inputs, actions, padded, noise), (1, 2, 2)
    torch.manual_seed(7)
    found = policy.losses(inputs, actions, padded)
    l1, kl = reference.losses(weights, layers, TINY.heads, batch)
    assert [float(v.detach()) for v in found.values()] == pytest.approx([l1, 10 * kl], rel=1e-5)
    (found["l1"] + found["kl"]).backward()
    draw = np.random.default_rng(0)
    for name, parameter in policy.named_parameters():
        direction = draw.normal(size=parameter.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = {**weights, name: weights[name] + step * direction}
            one, other = reference.losses(moved, layers, TINY.heads, batch)
            ends.append(one + 10 * other)
        assert parameter.grad is not None, name
        along = float((parameter.grad.double().numpy() * direction).sum())
        assert along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=2e-3, abs=2e-5), name


@pytest.mark.parametrize(("compat", "layers"), [("none", 2), ("act", 1)])
def test_the_plan_is_of_the_latent_zero_and_of_the_layer_that_is_asked_for(
    tiny: None, compat: str, layers: int
) -> None:
    torch.manual_seed(0)
    representation = State(state_specs())
    policy = ACTHead(specs_of(state_specs()), representation, size="small", compat=compat).eval()
    policy.fit(3 + 2 * torch.randn(50, 2), torch.randn(50, 5))
    inputs = inputs_of(fields())
    inputs["feature"] = torch.randn(ROWS, 6)
    plans = policy.plan(inputs, [1, 2, 3])
    assert torch.equal(plans, policy.plan(inputs, [4, 5, 6])), "nothing is drawn"
    weights = {name: p.detach().double().numpy() for name, p in policy.named_parameters()}
    for row, plan in enumerate(plans):
        proprio = policy.proprio(inputs["proprio"][row]).double().numpy()
        seen = inputs["feature"][row : row + 1].double().numpy()
        expected = reference.chunk(weights, (2, layers), 2, np.zeros(3), proprio, seen)
        whole = np.stack(expected) * policy.actions.deviation.numpy() + policy.actions.mean.numpy()
        np.testing.assert_allclose(plan.detach().numpy(), whole, rtol=1e-4, atol=1e-5)


def test_positions_of_a_map_are_detrs() -> None:
    """Of a cell (y, x) of 3 x 5, counted from 1: the row's waves, then the column's."""
    found = sine_2d(3, 5, 8)
    for y in range(3):
        for x in range(5):
            waves = []
            for angle in ((y + 1) / (3 + 1e-6) * 2 * np.pi, (x + 1) / (5 + 1e-6) * 2 * np.pi):
                waves += [f(angle / 10_000 ** (i / 2)) for i in range(2) for f in (np.sin, np.cos)]
            np.testing.assert_allclose(found[5 * y + x].numpy(), waves, atol=1e-6)


def test_a_score_is_less_the_mean_over_the_deviation_but_of_what_hardly_varies() -> None:
    values = torch.tensor([[1.0, 5.0, 0.6], [3.0, 5.001, 0.8]])
    score = ZScore(3, [slice(2, 3)])
    score.fit(values)
    assert score.deviation.tolist() == pytest.approx([2**0.5, 1e-2, 1.0]), "the floor; and what is kept as it is"
    torch.testing.assert_close(score.undo(score(values)), values)
    assert torch.equal(score(values)[:, 2], values[:, 2])
    score.fit(values[:1])
    assert score.deviation.tolist() == pytest.approx([1e-2, 1e-2, 1.0]), "one row has no deviation"


# -- masks and draws


def test_actions_past_the_episode_change_neither_losses_nor_gradients(tiny: None) -> None:
    policy = head("tokens")
    inputs, actions, padded = samples()
    found = []
    for filling in (0.0, 1e3):
        other = torch.where(padded.unsqueeze(2), torch.full_like(actions, filling), actions)
        policy.zero_grad()
        torch.manual_seed(0)
        losses = policy.losses(inputs, other, padded)
        (losses["l1"] + losses["kl"]).backward()
        gradients = [p.grad.clone() for p in policy.parameters() if p.grad is not None]
        found.append(([float(v.detach()) for v in losses.values()], gradients))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    torch.manual_seed(0)
    seen = policy.losses(inputs, actions, torch.zeros_like(padded))
    assert float(seen["l1"].detach()) != pytest.approx(found[0][0][0], rel=1e-3), "the mask is read"


def test_the_kl_weight_is_chosen_and_the_latent_is_drawn_from_torchs_generator(tiny: None) -> None:
    inputs, actions, padded = samples(1)
    inputs["feature"] = inputs["feature"][:, 0]
    made = {}
    for kl in ("10", "0"):
        torch.manual_seed(0)
        policy = ACTHead(specs_of(state_specs()), State(state_specs()), size="small", kl=kl)
        torch.manual_seed(1)
        made[kl] = policy.losses(inputs, actions, padded)
        again = policy.losses(inputs, actions, padded)
        assert float(again["l1"].detach()) != float(made[kl]["l1"].detach()), "another draw"
    assert float(made["0"]["kl"].detach()) == 0.0 < float(made["10"]["kl"].detach())
    assert float(made["0"]["l1"].detach()) == float(made["10"]["l1"].detach())


def test_ensembling_is_algorithm_two() -> None:
    """Chunks of 3 at steps 0 to 4; at each step the chunks that reach it, the oldest first, weighted exp(-0.01 i)."""
    chunks = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    memory, spec = Memory(seed=0), plain_action(2)
    for step in range(5):
        told = [chunks[made][step - made] for made in range(max(0, step - 2), step + 1)]
        weights = [np.exp(-0.01 * i) for i in range(len(told))]
        expected = sum(w * one.astype(np.float64) for w, one in zip(weights, told, strict=True)) / sum(weights)
        found = ensembled(memory, chunks[step], 0.01, spec)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        memory.actions.append(found)


def test_quaternions_are_neither_scaled_nor_bound_to_a_sign(tiny: None) -> None:
    parts = (ActionPart("position", 0, 1, "position", "m"), ActionPart("turn", 1, 5, "quaternion", ""))
    action = ActionSpec(tuple("xabcd"), (-9.0,) * 5, (9.0,) * 5, "", parts)
    observation = state_specs()
    policy = ACTHead(PolicySpecs(observation, action, window=Window(chunk=2)), State(observation), size="small", kl="0")
    actions = torch.randn(20, 2, 5)
    policy.fit(actions.flatten(0, 1), torch.randn(20, 5))
    assert policy.actions.mean[1:].tolist() == [0.0] * 4 and policy.actions.deviation[1:].tolist() == [1.0] * 4
    mean, free = torch.tensor([1.0, -1, -1, -1, -1]), torch.zeros(20, 2, dtype=torch.bool)
    policy.posterior.requires_grad_(False)
    for parameter in policy.posterior.output.parameters():
        parameter.zero_()
    inputs = inputs_of(observation, 20)
    found = []
    for sign in (torch.ones(5), mean):
        torch.manual_seed(0)
        found.append(float(policy.losses(inputs, actions * sign, free)["l1"].detach()))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


# -- what is seen


@pytest.mark.slow
def test_cameras_of_one_size_and_of_several_are_the_same_tokens(tiny: None) -> None:
    stack, apart = fields(rgb=(2, 40, 64)), fields(left=(40, 64), hand=(40, 64))
    torch.manual_seed(0)
    one, other = ACT(specs_of(stack), size="small").eval(), ACT(specs_of(apart), size="small").eval()
    other.load_state_dict(one.state_dict())
    inputs = inputs_of(stack)
    split = {"proprio": inputs["proprio"], "rgb@left": inputs["rgb"][:, 0], "rgb@hand": inputs["rgb"][:, 1]}
    assert one._seen(inputs)[0].shape == (ROWS, 2 * 2 * 2, 512)
    torch.testing.assert_close(one.plan(inputs, [0] * 3), other.plan(split, [0] * 3), rtol=1e-4, atol=1e-5)
    turned = {**split, "rgb@left": split["rgb@left"].flip(1)}
    assert not torch.allclose(other.plan(split, [0] * 3), other.plan(turned, [0] * 3), atol=1e-4)
    three = fields(a=(40, 64), b=(96, 32), c=(33, 200))
    tokens, places = ACT(specs_of(three), size="small")._seen(inputs_of(three))
    assert tokens.shape[1] == len(places) == 2 * 2 + 3 * 1 + 2 * 7


def test_pictures_keep_their_shape_and_are_shrunk_where_they_are_larger() -> None:
    rgb = torch.randint(0, 256, (2, 480, 640, 3), dtype=torch.uint8)
    plain = (rgb.permute(0, 3, 1, 2) / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    torch.testing.assert_close(prepare_images(rgb, WHOLE.input), plain)  # type: ignore[arg-type]
    small = WHOLE.under({"size": "small"}).input
    assert prepare_images(rgb, small).shape == (2, 3, 96, 128)  # type: ignore[arg-type]
    flat = torch.full((1, 300, 96, 3), 51, dtype=torch.uint8)
    assert prepare_images(flat, small).shape == (1, 3, 300, 96)  # type: ignore[arg-type]


def test_a_representation_without_a_feature_adds_no_token(tiny: None) -> None:
    policy = ACTHead(specs_of(fields()), ProprioOnly(fields()), size="small").eval()
    assert policy.transformer.seen is None
    assert policy.plan(inputs_of(fields()), [0] * ROWS).shape == (ROWS, CHUNK, 2)


def test_an_instruction_is_a_token_of_its_own(tiny: None) -> None:
    policy = ACTHead(specs_of(state_specs(), language=7), State(state_specs()), size="small").eval()
    inputs = inputs_of(state_specs())
    plans = [policy.plan({**inputs, "language": torch.full((ROWS, 7), told)}, [0] * 3) for told in (0.0, 1.0)]
    assert not torch.allclose(*plans, atol=1e-4) and policy.transformer.places.weight.shape[0] == 3


# -- the ResNet


@pytest.mark.slow
def test_the_batch_norms_are_frozen_and_compute_what_they_did() -> None:
    torch.manual_seed(0)
    plain = ResNet(18)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.add_(0.3 * torch.randn_like(tensor))  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    frozen = ACT(specs_of(fields(rgb=(1, 32, 32))), size="small")
    state = {**plain.state_dict(), "fc.weight": torch.zeros(3, 512), "fc.bias": torch.zeros(3)}
    load_imagenet(frozen.backbone, state, "resnet18.pth")
    before = {name: one.clone() for name, one in frozen.backbone.named_buffers()}
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(frozen.train().backbone.maps(images), plain.eval().maps(images))
    assert all(torch.equal(one, before[name]) for name, one in frozen.backbone.named_buffers())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    assert sum(isinstance(module, FrozenBatchNorm2d) for module in resnet18().modules()) == 20


@pytest.mark.slow
def test_weights_are_imagenets_or_a_whole_policys_and_nothing_else(tiny: None, tmp_path: Any) -> None:
    torch.manual_seed(0)
    policy, other = (ACT(specs_of(fields(rgb=(1, 32, 32))), size="small") for _ in range(2))
    files = {"net": ResNet(18).state_dict(), "whole": policy.state_dict(), "wrong": ResNet(34).state_dict()}
    for name, state in files.items():
        torch.save(state, tmp_path / f"{name}.pth")
    other.load_weights([tmp_path / "net.pth"])
    assert torch.equal(other.backbone.conv1.weight, files["net"]["conv1.weight"])
    other.load_weights([tmp_path / "whole.pth"])
    assert all(
        torch.equal(a, b) for a, b in zip(other.state_dict().values(), policy.state_dict().values(), strict=True)
    )
    with pytest.raises(BadWeights, match="not of this network"):
        other.load_weights([tmp_path / "wrong.pth"])


# -- refusals, and what version 1 is


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"action_loss": "mse(x)"}, r"protocol.action_loss='mse\(x\)': say protocol.action_loss=''"),
        ({"action_scaling": "range(x)"}, "cannot take protocol.action_scaling"),
        ({"window": Window(chunk=4, obs_steps=2)}, "looks at one observation, not at 2: use policy.obs_steps=1"),
    ],
)
def test_what_it_does_not_do_is_one_line(said: dict[str, Any], words: str) -> None:
    specs = dataclasses.replace(specs_of(fields()), **said)
    with pytest.raises(BadMethod, match=words):
        ACTHead(specs, ProprioOnly(fields()), size="small")


def test_one_action_is_a_chunk_too(tiny: None) -> None:
    policy = ACTHead(specs_of(state_specs(), 1), State(state_specs()), size="small")
    losses = policy.losses(inputs_of(state_specs()), torch.randn(ROWS, 2), torch.zeros(ROWS, 1, dtype=torch.bool))
    assert set(losses) == {"l1", "kl"} and policy.eval().plan(inputs_of(state_specs()), [0] * 3).shape == (ROWS, 1, 2)


VERSION_1 = {
    "act": [2.307179, 487.5788, 4.796705, -0.821184],
    "act-head": [2.308069, 487.5788, 4.783703, -0.799934],
}
"""Losses and two actions of a plan, of weights that are a wave."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(VERSION_1))
def test_what_it_computes_is_what_its_version_says(name: str) -> None:
    """As the certificates of representations: whoever changes it raises `version` on the card, and the figures here."""
    pictures = fields(rgb=(2, 40, 64))
    policy = (
        ACT(specs_of(pictures), size="small")
        if name == "act"
        else ACTHead(specs_of(state_specs()), State(state_specs()), size="small")
    )
    assert policy.card.version == 1
    for parameter in policy.parameters():
        wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64).square() * 0.017).float()
        inputs_of_one = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data = 1.5 / inputs_of_one**0.5 * wave.view_as(parameter) + (0.5 if parameter.dim() == 1 else 0.0)
    rows = torch.arange(ROWS * CHUNK * 2, dtype=torch.float32)
    actions, proprio = torch.sin(rows).view(ROWS, CHUNK, 2), torch.cos(rows[: ROWS * 5]).view(ROWS, 5)
    inputs = {"proprio": proprio, "ground_truth": torch.sin(3 * rows[: ROWS * 6]).view(ROWS, 6)}
    pixels = torch.arange(ROWS * 2 * 40 * 64 * 3) * 37 % 251
    inputs["rgb"] = pixels.view(ROWS, 2, 40, 64, 3).to(torch.uint8)
    policy.fit(actions.flatten(0, 1), proprio)
    padded = torch.arange(CHUNK) >= torch.tensor([[4], [2], [1]])
    policy.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        losses = policy.losses(inputs, actions, padded)
        plan = policy.plan(inputs, [0] * ROWS)
    found = [float(v) for v in losses.values()] + [float(plan[0, 0, 0]), float(plan[2, 3, 1])]
    assert found == pytest.approx(VERSION_1[name], rel=2e-4)


def squares(count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Grey images of two cameras with a bright square each; row and column of the first one, from -1 to 1."""
    draw = torch.Generator().manual_seed(seed)
    rgb = torch.full((count, 2, 32, 48, 3), 90, dtype=torch.uint8)
    corners = torch.stack([torch.randint(0, edge, (count, 2), generator=draw) for edge in (25, 41)], -1)
    for row in range(count):
        for camera in range(2):
            y, x = corners[row, camera].tolist()
            rgb[row, camera, y : y + 7, x : x + 7] = 255
    where = corners[:, 0].float() / torch.tensor([12.0, 20.0]) - 1
    return {"rgb": rgb, "proprio": torch.zeros(count, 5)}, where.unsqueeze(1).repeat(1, 2, 1)


@pytest.mark.slow
def test_it_learns_what_only_the_pictures_show() -> None:
    """On images it has not seen, by the small preset from random weights; the mean of all actions is 0.5 off."""
    torch.manual_seed(0)
    policy = ACT(specs_of(fields(rgb=(2, 32, 48)), 2), size="small")
    inputs, actions = squares(256, 1)
    policy.fit(actions.flatten(0, 1), inputs["proprio"])
    groups = policy.parameter_groups(RECIPE)
    moved = torch.optim.AdamW([{"params": g.parameters, "lr": g.learning_rate} for g in groups], weight_decay=1e-4)
    free = torch.zeros(16, 2, dtype=torch.bool)
    for step in range(80):
        rows = torch.arange(16 * step, 16 * (step + 1)) % 256
        losses = policy.losses({name: one[rows] for name, one in inputs.items()}, actions[rows], free)
        moved.zero_grad()
        (losses["l1"] + losses["kl"]).backward()
        moved.step()
    fresh, where = squares(40, 2)
    with torch.no_grad():
        off = float((policy.eval().plan(fresh, [0] * 40) - where).abs().mean())
    assert off < 0.42
