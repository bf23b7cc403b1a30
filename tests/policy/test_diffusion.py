"""The diffusion head: its windows, its noise, its average, its horizon, and that it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data.episodes import Episodes
from benchmark.data.observation_source import histories
from benchmark.data.samples import Samples
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.act import act, latest
from benchmark.policy.build import make_head, make_policy
from benchmark.policy.diffusion import DiffusionHead
from benchmark.policy.episode_memory import Memory
from benchmark.policy.policy import HeadPolicy
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.settings.head import DiffusionConfig
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from benchmark.training.checkpoint import load_policy
from benchmark.training.trainer import Trainer
from envs.errors import SpecMismatch
from methods.range_normalizer import RangeNormalizer
from methods.registry import method_class
from methods.testing import random_observations
from tests.methods.test_contract import contract

CPU = torch.device("cpu")
SMALL = {
    "width": 32,
    "heads": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "dropout": 0.0,
    "channels": (16, 32),
    "groups": 4,
    "step_embedding": 16,
    "chunk": 8,
    "execute": 3,
    "train_steps": 20,
    "sample_steps": 5,
    "learning_rate": 1e-2,
    "warmup_steps": 5,
}


def config(name: str = "diffusion", **changes: Any) -> DiffusionConfig:
    found = load_settings("metaworld-15", "clar", name).head
    assert isinstance(found, DiffusionConfig)
    return dataclasses.replace(found, **{**SMALL, "lead": min(found.lead, 1), **changes})


def make(method: str = "proprio-only", **changes: Any) -> HeadPolicy:
    specs = contract(method).specs()
    torch.manual_seed(0)
    representation = method_class(method)(specs)
    representation.freeze_as_card_says()
    return make_policy(config(**changes), representation, 4, 2).eval()


def test_the_files_say_what_the_papers_say() -> None:
    dp3 = load_settings("metaworld-15", "clar", "dp3").head
    assert isinstance(dp3, DiffusionConfig)
    assert (dp3.obs_steps, dp3.chunk, dp3.lead, dp3.execute, dp3.train_steps, dp3.sample_steps) == (
        2,
        16,
        1,
        8,
        100,
        10,
    )
    assert (dp3.prediction, dp3.denoiser, dp3.channels) == ("sample", "unet", (512, 1024, 2048))
    with torch.device("meta"):
        head = make_head(dp3, 64, 4, 4)
    count = sum(p.numel() for p in head.denoiser.parameters())
    assert 250e6 < count < 260e6, "Diffusion Policy's U-Net at DP3's widths has 255 M"


def test_windows_stay_in_their_episode() -> None:
    """Episodes of 5 steps; the action of step t of episode e is 10 e + t."""
    numbers = torch.tensor([10.0 * e + t for e in range(3) for t in range(5)]).unsqueeze(1)
    samples = Samples({"proprio": numbers}, numbers, steps=5)
    head = DiffusionHead(config(chunk=4, execute=2, lead=1, obs_steps=3), 0, 1, 1)
    inputs, actions, _ = samples.batch(torch.tensor([0, 3, 6, 14]), CPU, head)
    assert inputs["proprio"][..., 0].tolist() == [[0, 0, 0], [1, 2, 3], [10, 10, 11], [22, 23, 24]]
    assert actions[..., 0].tolist() == [[0, 0, 1, 2], [2, 3, 4, 4], [10, 11, 12, 13], [23, 24, 24, 24]]


def test_past_actions_are_zeros_then_newest_last() -> None:
    actions = [np.array([float(i), -i], np.float32) for i in range(1, 4)]
    assert latest(actions, 5, 2)[:, 0].tolist() == [0, 0, 1, 2, 3]
    assert latest(actions, 2, 2)[:, 0].tolist() == [2, 3]
    assert latest(actions, 2, 2, ago=1)[:, 0].tolist() == [1, 2]
    assert latest([], 3, 2).tolist() == [[0, 0]] * 3
    demos = np.concatenate([np.stack(actions), -np.stack(actions)])
    past = histories(demos, Episodes((3, 3)), 2)
    assert past.shape == (6, 2, 2)
    assert past[:, :, 0].tolist() == [[0, 0], [0, 1], [1, 2], [0, 0], [0, -1], [-1, -2]]


def test_ranges_become_minus_one_to_one_and_back() -> None:
    values = torch.rand(50, 3) * torch.tensor([1.0, 20, 0]) + 5
    normalize = RangeNormalizer(3)
    normalize.fit(values)
    out = normalize(values)
    assert out[:, :2].amin().item() == pytest.approx(-1)
    assert out[:, :2].amax().item() == pytest.approx(1)
    assert out[:, 2].abs().max() == 0
    torch.testing.assert_close(normalize.undo(out), values)


def test_the_noise_is_that_of_the_papers_equation() -> None:
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e with a_t the squared cosine (Nichol and Dhariwal), written out."""
    head = DiffusionHead(config(train_steps=50, sample_steps=10), 4, 4, 2)
    scheduler = head._scheduler("ddpm")

    def bar(t: float) -> float:
        return float(np.cos((t / 50 + 0.008) / 1.008 * np.pi / 2) ** 2)

    product = 1.0
    for t in range(50):
        product *= 1 - min(1 - bar(t + 1) / bar(t), 0.999)
        assert scheduler.alphas_cumprod[t].item() == pytest.approx(product, rel=1e-4)
    clean, noise = torch.randn(3, 8, 2), torch.randn(3, 8, 2)
    step = torch.tensor([0, 20, 49])
    a = scheduler.alphas_cumprod[step].view(3, 1, 1)
    torch.testing.assert_close(scheduler.add_noise(clean, noise, step), a.sqrt() * clean + (1 - a).sqrt() * noise)


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_perfect_denoiser_gives_the_clean_chunk(sampler: str, prediction: str) -> None:
    head = DiffusionHead(config(sampler=sampler, prediction=prediction, sample_steps=20), 0, 4, 2).eval()
    clean = torch.rand(2, 8, 2) * 1.6 - 0.8
    bars = head._scheduler("ddpm").alphas_cumprod

    class Perfect(torch.nn.Module):
        def forward(self, noised: torch.Tensor, step: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            a = bars[step].view(-1, 1, 1)
            return clean if prediction == "sample" else (noised - a.sqrt() * clean) / (1 - a).sqrt()

    head.denoiser = Perfect()
    torch.testing.assert_close(head.plan(torch.zeros(2, 0), torch.zeros(2, 4), [1, 2]), clean, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("denoiser", ["transformer", "unet"])
def test_a_plan_depends_on_its_own_seed_and_not_on_the_batch(denoiser: str, sampler: str) -> None:
    policy = make(denoiser=denoiser, sampler=sampler)
    proprio = torch.rand(4, 4)
    with torch.no_grad():
        whole = policy.plan({"proprio": proprio}, [1, 2, 3, 4])
        for row in range(4):
            alone = policy.plan({"proprio": proprio[row : row + 1]}, [row + 1])
            torch.testing.assert_close(alone[0], whole[row], rtol=1e-4, atol=1e-5)
        other = policy.plan({"proprio": proprio}, [1, 2, 3, 5])
    assert torch.equal(other[:3], whole[:3])
    assert not torch.equal(other[3], whole[3])


def test_k_of_n_actions_are_played_before_the_next_look() -> None:
    policy = make(execute=3, lead=2, obs_steps=2)
    memory, looks = Memory(7), []
    real = policy.plan

    def counting(inputs: Any, seeds: Any) -> torch.Tensor:
        looks.append((inputs["proprio"].clone(), list(seeds)))
        return real(inputs, seeds)

    policy.plan = counting  # type: ignore[method-assign]
    played = []
    for step in range(7):
        action = act(policy, {"proprio": np.full((1, 4), step, np.float32)}, [memory], CPU, False)
        memory.actions.append(action[0])
        played.append(action[0])
    assert [look[0][0, :, 0].tolist() for look in looks] == [[0, 0], [2, 3], [5, 6]], "two latest observations"
    assert len({look[1][0] for look in looks}) == 3, "every look draws its own noise"
    with torch.no_grad():
        first = real({"proprio": looks[0][0]}, looks[0][1])[0]
    np.testing.assert_allclose(played[:3], first[2:5].numpy(), rtol=1e-5)


def data(rows: int = 60) -> Samples:
    proprio = torch.rand(rows, 4, generator=torch.Generator().manual_seed(1))
    return Samples({"proprio": proprio}, torch.stack([proprio[:, 0] * 8, -proprio[:, 1]], 1), steps=20)


def trainer(**changes: Any) -> Trainer:
    protocol = load_settings("metaworld-15", "quick", "diffusion", ["protocol.epochs=40"]).protocol
    policy = make(**changes)
    policy.head.fit(data().actions, data().inputs["proprio"])
    return Trainer(policy, protocol, 0, 16, CPU, False)


@pytest.mark.slow
def test_the_rate_is_warmed_up_and_lowered_and_the_average_lags() -> None:
    one = trainer()
    rates = []
    for step in range(100):
        one.optimization.before_step(step, 100)
        rates.append(one.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(1e-2 / 5)
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] < 1e-4
    one.train_epoch(data())
    raw = {n: p.detach().clone() for n, p in one.policy.named_parameters()}
    with one.optimization.averaged():
        assert any(not torch.equal(raw[n], p) for n, p in one.policy.named_parameters())
    assert all(torch.equal(raw[n], p) for n, p in one.policy.named_parameters())


@pytest.mark.parametrize("denoiser", ["transformer", pytest.param("unet", marks=pytest.mark.slow)])
def test_training_that_stopped_continues_to_the_same_weights_and_the_average_is_what_is_played(
    denoiser: str, tmp_path: Path
) -> None:
    whole, stopped, resumed = (trainer(denoiser=denoiser) for _ in range(3))
    for _ in range(4):
        whole.train_epoch(data())
    for _ in range(2):
        stopped.train_epoch(data())
    stopped.save(tmp_path / "c.pt", "me")
    resumed.restore(tmp_path / "c.pt", "me")
    for _ in range(2):
        resumed.train_epoch(data())
    for a, b in zip(whole.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    whole.save(tmp_path / "d.pt", "me")
    played = make(denoiser=denoiser)
    load_policy(played, tmp_path / "d.pt")
    with whole.optimization.averaged():
        for a, b in zip(whole.policy.parameters(), played.parameters(), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(played.head.actions.high, whole.policy.head.actions.high)  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize(("denoiser", "prediction"), [("transformer", "epsilon"), ("unet", "sample")])
def test_it_learns_to_act(denoiser: str, prediction: str) -> None:
    """The action at every step is a function of proprio; after training the plan's first action is near it."""
    one = trainer(denoiser=denoiser, prediction=prediction, learning_rate=3e-3, ema_power=0.0)
    samples = Samples(data(240).inputs, data(240).actions, steps=1)  # every window repeats its own action
    for _ in range(40):
        one.train_epoch(samples)
    one.policy.eval()
    with torch.no_grad():
        plan = one.policy.plan(samples.inputs, range(240))[:, 0]
    error = (plan - samples.actions).abs().mean(0) / samples.actions.std(0)
    assert error.max() < 0.35, f"mean error {error.tolist()} deviations"


@pytest.mark.slow
def test_tokens_condition_it_where_a_method_keeps_them(toy_settings: Settings) -> None:
    specs = contract("clar").specs()
    representation = method_class("clar")(specs)
    policy = make_policy(config(condition="tokens"), representation, 4, 2).eval()
    observations = random_observations(specs, 2)
    with torch.no_grad():
        assert policy.encode(observations).shape == (2, 64, 384)
        assert policy.plan(observations, [0, 1]).shape == (2, 8, 2)
    settings = load_settings("metaworld-15", "quick", "diffusion", ["head.condition=tokens"])
    with pytest.raises(SpecMismatch, match="dp3 keeps no tokens"):
        make_cells(settings, ["reach"], ["dp3"], [0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"execute": 9}, "head.execute=9"),
        ({"sampler": "euler"}, "head.sampler='euler'"),
        ({"chunk": 7, "denoiser": "unet"}, "multiple of 2"),
        ({"width": 30}, "multiple of head.heads"),
        ({"condition": "tokens", "obs_steps": 2}, "one observation"),
        ({"sample_steps": 21}, "head.sample_steps=21"),
        ({"denoiser": "unet", "condition": "tokens"}, "tokens need"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**change)


@pytest.mark.slow
def test_a_cell_under_the_diffusion_head(toy_settings: Settings, tmp_path: Path) -> None:
    # a head that is changed by hand has a name of its own
    settings = dataclasses.replace(toy_settings, head=dataclasses.replace(config(pad_after=3), name="small"))
    (cell,) = make_cells(settings, ["near"], ["state"], [0])
    record, new = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert new
    assert record.head == "small"
    assert record.identity["head"]["chunk"] == 8
    frames = record.training["samples"] - 4 * record.demos["train"]
    assert record.training["optimizer_steps"] == -(-frames // cell.batch_size) * record.training["epochs"]
    assert not list(contradictions(record))
    again, new = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert not new
    assert again == record
