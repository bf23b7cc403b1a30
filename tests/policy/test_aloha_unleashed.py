"""`aloha-unleashed`: its counts, its forward pass and sampling by hand, its masks, its weights, and that it learns."""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.aloha_unleashed import policy as module
from baselines.aloha_unleashed.distortion import distorted, draw
from baselines.aloha_unleashed.network import NoisePredictor, ObservationEncoder, sine_positions
from baselines.aloha_unleashed.policy import AlohaUnleashed
from baselines.aloha_unleashed.sizes import SIZES, Size
from benchmark.data.samples import Samples
from benchmark.experiment import work_folder
from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_of_record import Where
from benchmark.experiment.cell_of_record import cell_of as cell_of_record
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.training.optimizer import make_optimization
from benchmark.training.trainer import Trainer
from envs.spec import ActionSpec, FieldSpec
from methods.errors import BadMethod, BadWeights
from methods.networks.resnet import ResNet
from methods.policy import PolicySpecs, Recipe, Window
from methods.weights import choose_weights
from tests.experiment.test_camera_sizes import settings_of
from tests.pretend_cuda import pretend_cuda

NAME = "aloha-unleashed"
CPU = torch.device("cpu")
TINY = Size(18, 8, 16, 2, 24, 2, 2, 0.1, 1e-3, 1e-4, 4)
WINDOW = Window(chunk=6, execute=6)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "paper", TINY)


def specs(cameras: int = 2, height: int = 32, width: int = 48, numbers: int = 3, **changes: Any) -> PolicySpecs:
    fields = {
        "rgb": FieldSpec("rgb", (cameras, height, width, 3), "uint8", "0..255"),
        "proprio": FieldSpec("proprio", (numbers,), "float32", "rad"),
    }
    names = tuple(f"joint {number}" for number in range(numbers))
    action = ActionSpec(names, (-2.0,) * numbers, (2.0,) * numbers, "rad")
    return dataclasses.replace(PolicySpecs(fields, action, window=WINDOW), **changes)


def made(seed: int = 0, cameras: int = 2, **options: str) -> AlohaUnleashed:
    torch.manual_seed(seed)
    return AlohaUnleashed(specs(cameras), **options)


def seen(rows: int, cameras: int = 2, height: int = 32, width: int = 48) -> dict[str, Tensor]:
    """Made-up observations, the same on every machine."""
    shape = (rows, cameras, height, width, 3)
    numbers = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) * 0.6180339887498949
    state = np.sin(np.arange(rows * 3, dtype=np.float64)).reshape(rows, 3)
    return {
        "rgb": torch.from_numpy((numbers % 1 * 256).astype(np.uint8)),
        "proprio": torch.from_numpy(state.astype(np.float32)),
    }


def chunks(rows: int) -> Tensor:
    return torch.from_numpy(np.sin(np.arange(rows * 18) * 0.7).reshape(rows, 6, 3).astype(np.float32))


def none_padded(rows: int) -> Tensor:
    return torch.zeros(rows, 6, dtype=torch.bool)


# -- counts


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("cameras", "millions"), [(4, 192.4), (2, 145.4)])
def test_parameters_are_clamps_part_by_part(cameras: int, millions: float) -> None:
    with torch.device("meta"):
        policy = AlohaUnleashed(specs(cameras, 480, 848, 14, window=Window(chunk=50, execute=50)))
    encoder, predictor = policy.encoder, policy.predictor
    norm = 2 * 768
    assert count(encoder.transformer) == 29_138_432 + norm and round(count(encoder.transformer) / 1e6, 2) == 29.14
    assert count(predictor.transformer) == 67_539_584 + norm and round(count(predictor.transformer) / 1e6, 2) == 67.54
    assert [count(one) for one in encoder.backbones] == [23_508_032] * cameras
    assert count(encoder.project) == 2048 * 768 + 768
    assert encoder.cells == [15 * 27] * cameras
    small = {
        "state": 14 * 768 + 768,
        "observation positions": (cameras + 1) * 768,
        "actions in": 14 * 768 + 768,
        "step": 50 * 768 + 768,
        "chunk positions": 50 * 768,
        "noise out": 768 * 14 + 14,
    }
    parts = count(encoder.transformer) + count(predictor.transformer) + count(encoder.project)
    assert count(policy) == parts + cameras * 23_508_032 + sum(small.values())
    assert round(count(policy) / 1e6, 1) == millions


def test_the_small_size_is_what_the_card_says() -> None:
    with torch.device("meta"):
        policy = AlohaUnleashed(specs(2, 96, 96, 14, window=Window(chunk=50, execute=50)), size="small")
    assert count(policy) == 2_102_702 and [count(one) for one in policy.encoder.backbones] == [702_096] * 2
    assert not any(isinstance(one, nn.BatchNorm2d) for one in policy.modules())
    assert policy.encoder.backbones[0].feature_dim == 128


# -- the forward pass by hand


def linear(x: np.ndarray, state: dict[str, np.ndarray], name: str) -> np.ndarray:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return np.array([[sum(w * v for w, v in zip(row, one, strict=True)) for row in weight] for one in x]) + bias


def normed(x: np.ndarray, state: dict[str, np.ndarray], name: str) -> np.ndarray:
    middle, spread = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - middle) / np.sqrt(spread + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]


def attended(x: np.ndarray, memory: np.ndarray, state: dict[str, np.ndarray], name: str, heads: int) -> np.ndarray:
    width = x.shape[1]
    weight, bias = state[f"{name}.in_proj_weight"], state[f"{name}.in_proj_bias"]
    asked, keys, values = (
        of @ weight[i * width : (i + 1) * width].T + bias[i * width : (i + 1) * width]
        for i, of in enumerate((x, memory, memory))
    )
    each, found = width // heads, np.zeros_like(x)
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        for row in range(len(x)):
            scores = np.array([asked[row, part] @ key / np.sqrt(each) for key in keys[:, part]])
            shares = np.exp(scores - scores.max())
            for share, value in zip(shares / shares.sum(), values[:, part], strict=True):
                found[row, part] += share * value
    return linear(found, state, f"{name}.out_proj")


def layers_by_hand(
    x: np.ndarray, memory: np.ndarray | None, state: dict[str, np.ndarray], name: str, before: bool
) -> np.ndarray:
    """An encoder's layers, or a decoder's where there is a memory."""
    for number in range(TINY.encoder_layers):
        own = f"{name}.layers.{number}"

        def attend(y: np.ndarray, own: str = own) -> np.ndarray:
            return attended(y, y, state, f"{own}.self_attn", TINY.heads)

        def look(y: np.ndarray, own: str = own) -> np.ndarray:
            assert memory is not None
            return attended(y, memory, state, f"{own}.multihead_attn", TINY.heads)

        def feed(y: np.ndarray, own: str = own) -> np.ndarray:
            return linear(np.maximum(linear(y, state, f"{own}.linear1"), 0), state, f"{own}.linear2")

        parts: list[Callable[[np.ndarray], np.ndarray]] = [attend, feed] if memory is None else [attend, look, feed]
        for place, part in enumerate(parts):
            norm = f"{own}.norm{place + 1}"
            x = x + part(normed(x, state, norm)) if before else normed(x + part(x), state, norm)
    return normed(x, state, f"{name}.norm") if before else x


def shaken(network: nn.Module) -> dict[str, np.ndarray]:
    """Norms and biases that are not ones and zeros; the network's tensors in float64."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("learned", [True, False])
def test_the_encoder_is_the_one_by_hand(before: bool, learned: bool) -> None:
    torch.manual_seed(0)
    network = ObservationEncoder(TINY, [(32, 64), (64, 32)], [3, 5], True, learned, norm_first=before).eval()
    state = shaken(network)
    pictures = [torch.randn(1, 3, 32, 64), torch.randn(1, 3, 64, 32)]
    vectors = [torch.randn(1, 3), torch.randn(1, 5)]
    found = network(pictures, vectors)[0].detach().numpy()
    maps = [of.tokens(one)[0].detach().double().numpy() for of, one in zip(network.backbones, pictures, strict=True)]  # type: ignore[operator]
    tokens = [linear(one, state, "project") for one in maps]
    tokens += [linear(one.double().numpy(), state, f"vectors.{i}") for i, one in enumerate(vectors)]
    x = np.concatenate(tokens)
    assert x.shape == (2 + 2 + 2, TINY.width)
    if learned:
        x = x + state["positions"]
    else:
        at = np.concatenate([sine_positions(1, 2, 16).numpy(), sine_positions(2, 1, 16).numpy(), np.zeros((2, 16))])
        x = x + at + state["positions"][[0, 0, 1, 1, 2, 3]]
    np.testing.assert_allclose(found, layers_by_hand(x, None, state, "transformer", before), atol=2e-5)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("added", [True, False])
def test_the_predictor_is_the_one_by_hand(before: bool, added: bool) -> None:
    torch.manual_seed(0)
    network = NoisePredictor(TINY, 6, 3, 50, added, norm_first=before).eval()
    state = shaken(network)
    noised, latents, step = torch.randn(1, 6, 3), torch.randn(1, 4, TINY.width), 17
    found = network(noised, torch.tensor([step]), latents)[0].detach().numpy()
    at = state["embed_step.weight"][:, step] + state["embed_step.bias"]
    x = linear(noised[0].double().numpy(), state, "embed_action") + state["positions"]
    memory = latents[0].double().numpy()
    x, memory = (x + at, memory) if added else (x, np.concatenate([memory, at[None]]))
    by_hand = linear(layers_by_hand(x, memory, state, "transformer", before), state, "out")
    np.testing.assert_allclose(found, by_hand, atol=2e-5)


def test_positions_tell_cells_apart() -> None:
    found = sine_positions(15, 27, 768)
    assert found.shape == (405, 768) and float(found.abs().max()) <= 1
    assert float(torch.cdist(found, found).fill_diagonal_(9).min()) > 0.1
    rows = found.view(15, 27, 768)
    assert torch.equal(rows[3, 0, :384], rows[3, 9, :384]), "the first half says the row"
    assert torch.equal(rows[0, 9, 384:], rows[3, 9, 384:]), "the second the column"


# -- noise


def survival(schedule: str, steps: int) -> np.ndarray:
    """The share of the signal's variance that is left at each level (Nichol and Dhariwal 2021, equation 17)."""
    if schedule == "linear":
        return np.cumprod(1 - np.linspace(1e-4, 0.02, steps))
    bar = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - bar[1:] / bar[:-1], 0.999))


@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize("steps", ["50", "100"])
def test_the_levels_of_noise_are_those_of_the_formula(tiny: None, schedule: str, steps: str) -> None:
    policy = made(schedule=schedule, diffusion_steps=steps)
    kept = survival(schedule, int(steps))
    np.testing.assert_allclose(policy._scheduler("ddpm").alphas_cumprod.numpy(), kept, rtol=1e-4, atol=1e-7)
    clean, noise = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    noised = policy._scheduler("ddpm").add_noise(clean, noise, torch.tensor([7, 31]))
    for row, level in enumerate((7, 31)):
        expected = np.sqrt(kept[level]) * clean[row].numpy() + np.sqrt(1 - kept[level]) * noise[row].numpy()
        np.testing.assert_allclose(noised[row].numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim-10"])
def test_sampling_is_the_formulas(tiny: None, sampler: str) -> None:
    """Ho et al. 2020, equations 6 and 7; Song et al. 2021, equation 12 without noise. The clean guess is clipped."""
    policy = made(norm="batch", sampler=sampler).eval()
    policy.fit(torch.tensor([[-1.0, -2, 0], [1, 4, 0.5]]), seen(4)["proprio"])
    inputs, kept = seen(1), survival("squaredcos_cap_v2", 50)
    draws = torch.Generator().manual_seed(5)
    levels = list(range(49, -1, -1)) if sampler == "ddpm" else [5 * i for i in range(9, -1, -1)]
    with torch.no_grad():
        found = policy.plan(inputs, [5])
        latents = policy._latents(inputs)
        x = torch.randn(6, 3, generator=draws).double().numpy()
        for place, level in enumerate(levels):
            guess = policy.predictor(torch.from_numpy(x).float()[None], torch.tensor([level]), latents)[0].numpy()
            now = kept[level]
            before = kept[levels[place + 1]] if place + 1 < len(levels) else (1.0 if sampler == "ddpm" else kept[0])
            clean = np.clip((x - np.sqrt(1 - now) * guess) / np.sqrt(now), -1, 1)
            if sampler == "ddpm":
                beta = 1 - now / before
                x = (np.sqrt(before) * beta * clean + np.sqrt(1 - beta) * (1 - before) * x) / (1 - now)
                if level:
                    spread = np.sqrt((1 - before) / (1 - now) * beta)
                    x = x + spread * torch.randn(1, 6, 3, generator=draws)[0].numpy()
            else:
                last = place + 1 == len(levels)
                before = 1.0 if last else before  # diffusers' set_alpha_to_one
                x = np.sqrt(before) * clean + np.sqrt(1 - before) * guess
    middle, half = np.array([0, 1, 0.25]), np.array([1, 3, 0.25])
    np.testing.assert_allclose(found[0].numpy(), x * half + middle, atol=2e-4)


@pytest.mark.slow
def test_a_plan_is_its_rows_own(tiny: None) -> None:
    policy = made(norm="batch").eval()
    inputs = seen(3)
    with torch.no_grad():
        together = policy.plan(inputs, [1, 2, 3])
        alone = policy.plan({name: value[1:2] for name, value in inputs.items()}, [2])
        other = policy.plan({name: value[1:2] for name, value in inputs.items()}, [9])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)
    assert float((alone - other).abs().max()) > 1e-2


# -- the loss


def test_padded_actions_are_not_learned(tiny: None) -> None:
    policy = made(norm="batch")
    inputs, padded = seen(2), none_padded(2)
    padded[0, 2:] = True
    losses, gradients = [], []
    for change in (0.0, 5.0):
        actions = chunks(2)
        torch.manual_seed(1)
        policy.zero_grad()
        policy.predictor.embed_action.register_forward_pre_hook(lambda _, given: (given[0] * (~padded).unsqueeze(2),))
        actions[0, 2:] += change
        loss = policy.losses(inputs, actions, padded)["noise"]
        loss.backward()
        losses.append(loss.item())
        gradients.append(policy.predictor.out.weight.grad.clone())  # type: ignore[union-attr]
    assert losses[0] == losses[1] and torch.equal(*gradients)
    torch.manual_seed(1)
    assert policy.losses(inputs, chunks(2), none_padded(2))["noise"].item() != losses[0]


def test_the_loss_is_the_mean_over_actions_of_the_episode(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = made(norm="batch", distortion="none")
    padded = none_padded(2)
    padded[1, 1:] = True
    monkeypatch.setattr(policy.predictor, "forward", lambda noised, step, latents: torch.zeros_like(noised))
    torch.manual_seed(3)
    loss = policy.losses(seen(2), chunks(2), padded)["noise"]
    torch.manual_seed(3)
    policy._latents(seen(2))  # draws for dropout
    noise = torch.randn(2, 6, 3)
    torch.testing.assert_close(loss, torch.cat([noise[0], noise[1, :1]]).square().mean())


# -- images


def by_colorsys(pixel: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    brightness, saturation, hue, _ = drawn
    h, s, v = colorsys.rgb_to_hsv(*np.clip(pixel + brightness, 0, 1))
    return colorsys.hsv_to_rgb((h + hue) % 1, min(s * saturation, 1), v)


def test_a_distortion_is_the_one_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(3, 3, 4, 5)
    pictures[0, :, 0, 0], pictures[0, :, 0, 1] = 0.5, torch.tensor([1.0, 0, 0])
    drawn = draw(3)
    expected = np.zeros((3, 3, 4, 5))
    for row in range(3):
        for y in range(4):
            for x in range(5):
                expected[row, :, y, x] = by_colorsys(
                    pictures[row, :, y, x].double().numpy(), drawn[row].double().numpy()
                )
        mean = expected[row].mean((1, 2), keepdims=True)
        expected[row] = np.clip((expected[row] - mean) * float(drawn[row, 3]) + mean, 0, 1)
    np.testing.assert_allclose(distorted(pictures, drawn).numpy(), expected, atol=1e-5)
    nothing = torch.tensor([[0.0, 1, 0, 1]] * 3)
    torch.testing.assert_close(distorted(pictures, nothing), pictures, atol=1e-6, rtol=0)
    many = draw(20_000)
    for column, (low, high) in enumerate(((-0.125, 0.125), (0.5, 1.5), (-0.2, 0.2), (0.5, 1.5))):
        assert low <= float(many[:, column].min()) < low + 0.01 and high - 0.01 < float(many[:, column].max()) <= high


def test_pictures_are_distorted_in_training_alone_and_by_its_seed(tiny: None) -> None:
    policy, rgb = made(), seen(2)["rgb"][:, 0]
    plain = (rgb.permute(0, 3, 1, 2) / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    torch.testing.assert_close(policy.eval()._prepared(rgb), plain)
    torch.testing.assert_close(made(distortion="none").train()._prepared(rgb), plain)
    found = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        found.append(policy.train()._prepared(rgb))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    with pytest.raises(TypeError, match="rgb must be uint8"):
        policy._prepared(rgb.float())


def test_every_camera_has_a_network_of_its_own_whatever_its_size(tiny: None) -> None:
    fields = {
        "rgb@left": FieldSpec("rgb@left", (40, 33, 3), "uint8", ""),
        "rgb@right": FieldSpec("rgb@right", (64, 96, 3), "uint8", ""),
        "proprio": FieldSpec("proprio", (3,), "float32", ""),
    }
    policy = AlohaUnleashed(dataclasses.replace(specs(), observation=fields), norm="batch").eval()
    assert policy.encoder.cells == [2 * 2, 2 * 3]
    torch.manual_seed(0)
    inputs = {
        name: torch.randint(0, 256, (1, *one.shape), dtype=torch.uint8) if "rgb" in name else torch.rand(1, 3)
        for name, one in fields.items()
    }
    with torch.no_grad():
        before = policy._latents(inputs)
        for name in ("rgb@left", "rgb@right", "proprio"):
            other = {**inputs, name: inputs[name] // 2 if "rgb" in name else inputs[name] + 1}
            assert not torch.allclose(policy._latents(other), before)


def test_an_instruction_is_one_more_token(tiny: None) -> None:
    with pytest.raises(BadMethod, match="this suite has no instructions"):
        made(instruction="token")
    torch.manual_seed(0)
    policy = AlohaUnleashed(specs(language=5), norm="batch", instruction="token").eval()
    with torch.no_grad():
        near, far = (policy._latents({**seen(1), "language": torch.full((1, 5), value)}) for value in (0.0, 1.0))
    assert near.shape == (1, 2 * 2 + 2, TINY.width) and not torch.allclose(near, far)


def test_it_computes_in_bf16_too(tiny: None) -> None:
    for options in ({}, {"layer_norm": "after", "step": "added"}):
        policy = made(norm="batch", sampler="ddim-10", **options)
        with torch.autocast("cpu", torch.bfloat16):
            loss = policy.losses(seen(2), chunks(2), none_padded(2))["noise"]
            assert loss.dtype == torch.float32 and loss.isfinite()
            with torch.no_grad():
                assert policy.eval().plan(seen(1), [3]).dtype == torch.float32


@pytest.mark.slow
def test_everything_lies_on_the_device(tiny: None) -> None:
    """On a pretended GPU, which refuses what mixes devices."""
    with pretend_cuda():
        for options in ({}, {"positions": "learned", "sampler": "ddim-10"}):
            policy = made(norm="batch", **options).to("cuda")
            inputs = {name: value.to("cuda") for name, value in seen(2).items()}
            policy.fit(chunks(2).flatten(0, 1).to("cuda"), inputs["proprio"])
            loss = policy.losses(inputs, chunks(2).to("cuda"), none_padded(2).to("cuda"))["noise"]
            loss.backward()
            with torch.no_grad():
                plan = policy.eval().plan(inputs, [3, 4])
            assert plan.device.type == "cuda" and bool(plan.isfinite().all())


# -- weights


def imagenet(path: Path, base: int = TINY.base) -> ResNet:
    """A file in torchvision's layout: with its classifier, without counters."""
    torch.manual_seed(7)
    network = ResNet(18, base)
    network.train()
    network(torch.randn(4, 3, 64, 64))
    tensors = {n: t for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save({**tensors, "fc.weight": torch.zeros(1000, 8 * base), "fc.bias": torch.zeros(1000)}, path)
    return network


def statistics(policy: AlohaUnleashed) -> list[Tensor]:
    return [t.clone() for n, t in policy.state_dict().items() if "running_" in n]


def trained_once(policy: AlohaUnleashed) -> None:
    policy.train()
    policy.losses(seen(4), chunks(4), none_padded(4))["noise"].backward()


@pytest.mark.slow
def test_imagenets_weights_go_to_every_camera_and_their_statistics_stay(tiny: None, tmp_path: Path) -> None:
    theirs = imagenet(tmp_path / "resnet18.pth")
    policy = made()
    policy.load_weights([tmp_path / "resnet18.pth"])
    for network in policy.encoder.backbones:
        for name, value in theirs.state_dict().items():
            assert name.endswith("num_batches_tracked") or torch.equal(network.state_dict()[name], value), name
    before = statistics(policy)
    trained_once(policy)
    assert all(map(torch.equal, before, statistics(policy))), "norm=auto keeps those of loaded weights"
    affine = [p for n, p in policy.named_parameters() if "backbones" in n and "bn" in n]
    assert affine and all(p.grad is not None for p in affine), "scales and shifts are trained"
    free = made(norm="batch")
    free.load_weights([tmp_path / "resnet18.pth"])
    trained_once(free)
    assert not all(map(torch.equal, before, statistics(free)))
    grouped = made(norm="group")
    grouped.load_weights([tmp_path / "resnet18.pth"])
    assert not statistics(grouped) and grouped.encoder.backbones[1].conv1.weight.equal(theirs.conv1.weight)  # type: ignore[union-attr, operator]


def test_random_weights_learn_statistics_and_cannot_keep_any(tiny: None) -> None:
    policy = made()
    before = statistics(policy)
    policy.fit(chunks(2).flatten(0, 1), seen(4)["proprio"])
    trained_once(policy)
    assert not all(map(torch.equal, before, statistics(policy)))
    with pytest.raises(BadWeights, match=r"norm=frozen keeps .* take policy.norm=batch or policy.norm=group"):
        made(norm="frozen").fit(chunks(2).flatten(0, 1), seen(4)["proprio"])


@pytest.mark.slow
def test_a_policy_is_where_another_begins(tiny: None, tmp_path: Path) -> None:
    """With its normalisers and a tenth of the rate."""
    first = made(seed=1)
    first.fit(torch.tensor([[-3.0, -3, -3], [5, 5, 5]]), torch.tensor([[0.0, 0, 0], [8, 8, 8]]))
    torch.save({"card": "{}", "policy": first.trained_state()}, tmp_path / "first.pt")
    second = made(seed=2)
    second.load_weights([tmp_path / "first.pt"])
    second.fit(chunks(3).flatten(0, 1), seen(3)["proprio"])
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert float(second.actions.high[0]) == 5, "the normalisers are those of its pre-training"
    recipe = Recipe(1.0, 1.0, 0.0)
    (fresh,), (tuned,) = first.parameter_groups(recipe), second.parameter_groups(recipe)
    assert (fresh.learning_rate, tuned.learning_rate) == (1e-3, 1e-4)
    (said,) = made(learning_rate="5e-5").parameter_groups(recipe)
    assert said.learning_rate == 5e-5 and said.weight_decay == 1e-4 and said.schedule == "constant"
    assert not said.follows_protocol and said.warmup_steps == TINY.warmup_steps


def test_the_papers_rates() -> None:
    paper = SIZES["paper"]
    assert (paper.learning_rate, paper.fine_tuning, paper.warmup_steps) == (1e-4, 1e-5, 5000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({"cameras": 4}, {}, r"a policy with 4 cameras, and this suite has 2: .*observation.cameras"),
        ({"size": "small"}, {}, r"a policy of size=small, and this one has size=paper: give policy.size"),
        ({}, {"size": "small"}, r"a policy of size=paper, and this one has size=small"),
        ({"positions": "learned"}, {}, r"does not fit: 1 of another shape \(encoder.positions"),
        ({"norm": "group"}, {}, r"does not fit: .* missing"),
        ({"step": "added"}, {}, r"was trained with policy.step=added, and this policy has memory"),
        ({}, {"schedule": "linear"}, r"with policy.schedule=squaredcos_cap_v2, and this policy has linear"),
        ({"diffusion_steps": "100"}, {}, r"does not fit: 1 of another shape \(predictor.embed_step"),
    ],
)
def test_another_policys_weights_are_refused_in_one_line(
    tiny: None, tmp_path: Path, there: dict[str, Any], here: dict[str, Any], said: str
) -> None:
    torch.save({"policy": made(**there).trained_state()}, tmp_path / "other.pt")
    with pytest.raises(BadWeights, match=said) as error:
        made(**here).load_weights([tmp_path / "other.pt"])
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_refused(tiny: None, tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(BadWeights, match="neither torchvision's ResNet-18 nor a policy aloha-unleashed"):
        made().load_weights([tmp_path / "x.pt"])
    imagenet(tmp_path / "wide.pth", base=16)
    with pytest.raises(BadWeights, match="of another shape"):
        made().load_weights([tmp_path / "wide.pth"])


def test_the_small_size_asks_for_no_weights_and_takes_a_policy(tmp_path: Path) -> None:
    small = AlohaUnleashed.card.under({"size": "small"})
    assert choose_weights(small, None, tmp_path).label == "none"
    (tmp_path / "mine.pt").write_bytes(b"x")
    assert choose_weights(small, str(tmp_path / "mine.pt"), tmp_path).label == "mine"
    with pytest.raises(FileNotFoundError, match="bench weights aloha-unleashed --fetch"):
        choose_weights(AlohaUnleashed.card, None, tmp_path)


# -- it learns


@pytest.mark.slow
def test_a_few_samples_are_learned_by_heart() -> None:
    """The small size on two observations with opposite chunks; a chunk that is sampled is the observation's own."""
    torch.manual_seed(0)
    policy = AlohaUnleashed(specs(1, 32, 32), size="small", sampler="ddim-10", learning_rate="1e-3")
    inputs = seen(2, 1, 32, 32)
    inputs["rgb"][1] //= 4
    ramp = torch.linspace(0.9, 0.1, 18).view(6, 3)
    actions, rows = torch.stack([-ramp, ramp]), [0, 1] * 4
    policy.fit(actions.flatten(0, 1), inputs["proprio"])
    protocol = load_settings("metaworld-15", "quick", "mlp").protocol
    optimization = make_optimization(policy, protocol)
    losses = []
    for _ in range(30):
        batch = {name: value[rows] for name, value in inputs.items()}
        loss = policy.losses(batch, actions[rows], none_padded(8))["noise"]
        optimization.optimizer.zero_grad()
        loss.backward()
        optimization.before_step(199, 10**6)  # at the full rate from the first step on
        optimization.optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        found = policy.eval().plan(inputs, [1, 2])
    own, other = (float((found - one).abs().mean()) for one in (actions, actions.flip(0)))
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:4]) and own < 0.45 * other, (own, other)


GOLDEN = {
    "loss": [1.4152],
    "noise": [
        0.77957,
        -0.30142,
        0.28656,
        0.60418,
        -0.14146,
        0.31522,
        0.32921,
        -0.13881,
        0.077909,
        0.82935,
        0.043234,
        0.42838,
        0.72511,
        0.092873,
        0.39113,
        0.44759,
        0.21245,
        0.25776,
    ],
    "state": [0.21539, 0.67962, 0.54066, 0.87475, -1.1483, -1.1539],
}


def figures() -> dict[str, list[float]]:
    policy = made(size="small").eval()
    policy.fit(chunks(3).flatten(0, 1), seen(3)["proprio"])
    torch.manual_seed(1)
    with torch.no_grad():
        loss = policy.losses(seen(2), chunks(2), none_padded(2))["noise"]
        noise = policy.predictor(chunks(2), torch.tensor([3, 40]), policy._latents(seen(2)))
        state = policy.state(seen(2)["proprio"])
    found = {"loss": loss, "noise": noise[:, ::2], "state": state}
    return {name: [float(f"{one:.5g}") for one in value.flatten()] for name, value in found.items()}


def test_it_computes_what_its_version_says() -> None:
    """Raise `version` on its card with these figures."""
    assert AlohaUnleashed.card.version == 1
    for name, value in figures().items():
        np.testing.assert_allclose(value, GOLDEN[name], rtol=2e-3, atol=1e-3, err_msg=name)


# -- as a cell


def cell_of(settings: Settings, **options: Any) -> Cell:
    few = {"steps": 4, "evaluate_every": 2, "rollouts": 1, "retest_rollouts": 1, "train_demos": 2, "horizon": 12}
    protocol = dataclasses.replace(settings.protocol, name="tiny", batch_size={"2d": 4, "3d": 4}, **few)
    chosen = {"size": "small", "sampler": "ddim-10", "chunk": 8, "execute": 8, **options}
    settings = dataclasses.replace(settings_of(settings), protocol=protocol, policy_options=chosen, head_asked=False)
    (cell,) = make_cells(settings, ["near"], [NAME], [0])
    return cell


@pytest.fixture(scope="module")
def run(toy_settings_once: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, Paths, Record]:
    folder = tmp_path_factory.mktemp("unleashed")
    cell, paths = cell_of(toy_settings_once), Paths(folder / "runs", folder / "data")
    return cell, paths, run_cell(cell, paths, "test")[0]


@pytest.mark.slow
def test_its_record_says_what_it_is(run: tuple[Cell, Paths, Record]) -> None:
    _, _, record = run
    assert record.method == "aloha-unleashed+sampler=ddim-10+size=small"
    assert record.head == "whole+chunk=8,execute=8"
    assert (record.identity["head"]["chunk"], record.identity["head"]["execute"]) == (8, 8)
    assert record.identity["method"]["options"] == {"size": "small", "sampler": "ddim-10"}
    assert record.identity["method"]["version"] == 1 and "diffusers" in record.identity["method"]["packages"]
    assert record.training["optimizer_steps"] == 4 and not list(contradictions(record)) and not record.errors


class Killed(BaseException):
    pass


@pytest.mark.slow
def test_killed_it_ends_with_the_same_weights(
    run: tuple[Cell, Paths, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _, record = run
    monkeypatch.setattr(work_folder, "SAVE_EVERY", 0.0)
    monkeypatch.setattr("benchmark.training.trainer.PART", 1)
    real: Callable[..., int] = Trainer.advance

    def dying(trainer: Trainer, samples: Samples) -> int:
        if trainer.steps == 3:
            raise Killed
        return real(trainer, samples)

    paths = Paths(tmp_path / "runs", run[1].data)
    monkeypatch.setattr(Trainer, "advance", dying)
    with pytest.raises(Killed):
        run_cell(cell, paths, "test")
    left = sorted(file.name for file in cell.work(paths).glob("*.pt"))
    assert left == ["epoch-0001.pt", "resume-0001-000000003.pt"]
    monkeypatch.setattr(Trainer, "advance", real)
    resumed, _ = run_cell(cell, paths, "test")
    assert resumed.evaluations == record.evaluations, "hashes of weights and actions, losses and outcomes"
    assert resumed.retest.checkpoint == record.retest.checkpoint


@pytest.mark.slow
def test_it_travels(run: tuple[Cell, Paths, Record], tmp_path: Path) -> None:
    cell, paths, record = run
    policy = load_policy(export_policy(record, cell, paths, tmp_path / "bundle"))
    sent = policy.act({name: np.zeros(spec.shape, spec.dtype) for name, spec in policy.observation.items()})
    assert sent.shape == (2,) and np.isfinite(sent).all()


def test_the_audit_builds_its_cell_again(run: tuple[Cell, Paths, Record], monkeypatch: pytest.MonkeyPatch) -> None:
    cell, _, record = run
    monkeypatch.setattr("benchmark.experiment.cell_of_record.choices", lambda kind: [getattr(record, kind)])
    monkeypatch.setattr("benchmark.experiment.cell_of_record.load_settings", lambda *_: cell.settings)
    assert cell_of_record(record, Where()).identity() == cell.identity()


def test_its_size_may_be_said_as_a_methods_option(toy_settings: Settings) -> None:
    settings = dataclasses.replace(settings_of(toy_settings), method_options={"size": "small"}, head_asked=False)
    (cell,) = make_cells(settings, ["near"], [NAME], [0])
    assert cell.method_name == "aloha-unleashed+size=small" and cell.weights.label == "none"


def test_the_papers_window_is_the_default() -> None:
    card = AlohaUnleashed.card
    assert (card.chunk, card.execute, card.lead, card.obs_steps, card.ensemble) == (50, 50, 0, 1, -1.0)
    assert module.CARD is card and not card.representation
