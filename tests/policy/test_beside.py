"""Policies beside a representation: how many tokens, what changes the latents, whose weights they begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.act.beside import ACTBeside
from baselines.act.whole import ACT
from baselines.aloha_unleashed.beside import AlohaUnleashedBeside
from baselines.aloha_unleashed.distortion import cropped_size
from baselines.aloha_unleashed.network import FurtherTokens
from baselines.aloha_unleashed.policy import AlohaUnleashed
from baselines.aloha_unleashed.sizes import SIZES
from envs.spec import ActionSpec, FieldSpec
from methods.base import Representation
from methods.card import MethodCard
from methods.clamp.encoder import tile
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.errors import BadMethod, BadWeights
from methods.policy import Policy, PolicySpecs, Recipe, Window
from tests.policy.test_aloha_unleashed import TINY, imagenet

ROWS, WIDTH, TOKENS = 2, 24, 5
FIELDS = {
    "rgb": FieldSpec("rgb", (2, 32, 48, 3), "uint8", "0..255"),
    "proprio": FieldSpec("proprio", (3,), "float32", "rad"),
}
SPECS = PolicySpecs(FIELDS, ActionSpec(("a", "b", "c"), (-2.0,) * 3, (2.0,) * 3, "rad"), window=Window(6, execute=6))


class Frozen(Representation):
    """Tokens that are the field `given` (B, T, D), and their mean."""

    card = MethodCard("given", "given", "", "3d", (), None, "frozen", "3d", "", "MIT")

    def __init__(self, count: int = TOKENS) -> None:
        super().__init__({})
        self.feature_dim = self.token_dim = WIDTH
        self.token_count = count

    def encode(self, observations: Any) -> Tensor:
        return observations["given"].mean(1)

    def encode_tokens(self, observations: Any) -> Tensor:
        return observations["given"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "paper", TINY)


def made(kind: type[Policy], seed: int = 0, representation: Representation | None = None, **options: str) -> Any:
    torch.manual_seed(seed)
    if issubclass(kind, ACT):
        options = {"size": "small", **options}
    beside = kind in (AlohaUnleashedBeside, ACTBeside)
    return kind(SPECS, (representation or Frozen()) if beside else None, **options)


def seen() -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (ROWS, 2, 32, 48, 3), dtype=torch.uint8, generator=draws)
    given = torch.randn(ROWS, TOKENS, WIDTH, generator=draws)
    return {"rgb": pictures, "proprio": torch.rand(ROWS, 3, generator=draws), "given": given}


def specs_of(size: int = 14, steps: int = 50) -> dict[str, FieldSpec]:
    views = (5, 224, 224)
    return {
        "views": FieldSpec("views", (*views, 4), "float32", "m"),
        "views_valid": FieldSpec("views_valid", views, "bool", ""),
        "past_actions": FieldSpec("past_actions", (steps, size), "float32", "rad"),
    }


def test_clamp_gives_980_and_50_tokens_at_the_papers_size() -> None:
    """Built without memory: what both encoders' first layers make of the paper's views and actions."""
    with torch.device("meta"):
        clamp = CLAMP(specs_of())
        views = clamp.images.patch_embed(tile(torch.empty(1, 5, 224, 224, 4)).permute(0, 3, 1, 2))
        past = clamp.actions.embed(torch.empty(1, 50, 14)) + clamp.actions.positions
        assert views.shape == clamp.images.pos_embed.shape == (1, 980, 768) and past.shape == (1, 50, 768)
        assert (clamp.token_count, clamp.token_dim) == (980 + 50, 768)
        further = FurtherTokens(clamp.token_dim, 768, clamp.token_count)
        assert further(torch.cat([views, past], dim=1)).shape == (1, 1030, 768)
    assert sum(p.numel() for p in further.parameters()) == 768 * 768 + 768 + 1030 * 768
    small = CLAMPSmall(specs_of(4))
    assert small.token_count == 5 * 7 * 7 + 50 and small.token_dim == 128


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AlohaUnleashedBeside, ACTBeside])
@pytest.mark.parametrize("condition", ["tokens", "pooled"])
def test_every_token_and_every_picture_is_seen(kind: type[Policy], condition: str) -> None:
    policy, inputs = made(kind, condition=condition).eval(), seen()
    assert policy.sets == (condition,)

    def plan(**changes: Tensor) -> Tensor:
        with torch.no_grad():
            return policy.plan({**inputs, **changes}, [1, 2])

    before = plan()
    assert before.shape == (ROWS, 6, 3) and torch.equal(plan(), before)
    for token in range(TOKENS):
        changed = inputs["given"].clone()
        changed[0, token] += 1
        after = plan(given=changed)
        assert not torch.allclose(after[0], before[0]) and torch.allclose(after[1], before[1], atol=1e-5)
    assert not torch.allclose(plan(rgb=inputs["rgb"] // 2), before)
    ready = {"feature": policy.encode_frozen(inputs), **{name: inputs[name] for name in FIELDS}}
    with torch.no_grad():
        assert torch.equal(policy.plan(ready, [1, 2]), before), "from what was encoded once"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AlohaUnleashedBeside, ACTBeside])
def test_the_order_of_tokens_is_seen(kind: type[Policy]) -> None:
    policy, inputs = made(kind).eval(), seen()
    with torch.no_grad():
        before = policy.plan(inputs, [1, 2])
        after = policy.plan({**inputs, "given": inputs["given"].flip(1)}, [1, 2])
    assert not torch.allclose(before, after)


def test_without_its_tokens_it_is_the_whole_policy() -> None:
    """The same latents, from the same weights, where nothing stands beside."""
    beside, inputs = made(AlohaUnleashedBeside).eval(), seen()
    whole = made(AlohaUnleashed, seed=1).eval()
    own = {n: t for n, t in beside.state_dict().items() if not n.startswith(("further.", "representation."))}
    whole.load_state_dict(own)
    beside._further = lambda _: None
    with torch.no_grad():
        assert torch.equal(beside._latents(inputs), whole._latents(inputs))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "whole"), [(AlohaUnleashedBeside, AlohaUnleashed), (ACTBeside, ACT)])
def test_it_begins_with_the_whole_policys_weights(kind: type[Policy], whole: type[Policy], tmp_path: Path) -> None:
    first = made(whole, seed=1)
    first.fit(torch.tensor([[-3.0, -3, -3], [5, 5, 5]]), torch.tensor([[0.0, 0, 0], [8, 8, 8]]))
    torch.save({"card": "{}", "policy": first.trained_state()}, tmp_path / "first.pt")
    second, fresh = made(kind, seed=2), made(kind, seed=2)
    second.load_weights([tmp_path / "first.pt"])
    state, before = second.state_dict(), fresh.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    beyond = set(state) - set(first.state_dict())
    assert beyond and all(name.startswith("further.") for name in beyond)
    assert all(torch.equal(state[name], before[name]) for name in beyond)
    if kind is AlohaUnleashedBeside:
        ((tuned,), (new,)) = second.parameter_groups(Recipe(1, 1, 0)), fresh.parameter_groups(Recipe(1, 1, 0))
        assert (new.learning_rate, tuned.learning_rate) == (1e-3, 1e-4), "CLAMP's of fine-tuning is a tenth"
    torch.save({"policy": second.trained_state()}, tmp_path / "second.pt")
    with pytest.raises(BadWeights, match=r"stood beside a representation already \(further"):
        made(kind).load_weights([tmp_path / "second.pt"])


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"size": "small"}, "a policy of size=small, and this one has size=paper: give policy.size"),
        ({"positions": "learned"}, r"does not fit: 1 of another shape \(encoder.positions"),
        ({"step": "added"}, "was trained with policy.step=added, and this policy has memory"),
    ],
)
def test_another_policys_weights_are_one_line(there: dict[str, str], said: str, tmp_path: Path) -> None:
    torch.save({"policy": made(AlohaUnleashed, **there).trained_state()}, tmp_path / "other.pt")
    with pytest.raises(BadWeights, match=said) as error:
        made(AlohaUnleashedBeside).load_weights([tmp_path / "other.pt"])
    assert "\n" not in str(error.value)


def test_learned_positions_need_a_known_number_of_tokens() -> None:
    with pytest.raises(BadMethod, match="policy.positions=learned .* given does not say how many"):
        made(AlohaUnleashedBeside, representation=Frozen(0), positions="learned")
    assert made(AlohaUnleashedBeside, positions="learned", condition="pooled").further.positions.shape == (1, 16)


def test_what_is_frozen_gets_no_gradient() -> None:
    policy = AlohaUnleashedBeside(SPECS, CLAMPSmall(specs_of(3)))
    policy.representation.freeze_as_card_says()
    policy.train()
    assert not policy.representation.training and not policy.representation.actions.layers.training
    (group,) = policy.parameter_groups(Recipe(1, 1, 0))
    inside = {id(p) for p in policy.representation.parameters()}
    assert not inside & {id(p) for p in group.parameters}


@pytest.mark.slow
def test_of_a_pretrained_policy_the_decoder_alone(tmp_path: Path) -> None:
    """Its weights and the normalisers; the rest begins as without pre-training, ImageNet's weights among it."""
    first = made(AlohaUnleashed, seed=1)
    first.fit(torch.tensor([[-3.0, -3, -3], [5, 5, 5]]), torch.tensor([[0.0, 0, 0], [8, 8, 8]]))
    torch.save({"card": "{}", "policy": first.trained_state()}, tmp_path / "first.pt")
    theirs = imagenet(tmp_path / "resnet.pth")
    second, fresh = made(AlohaUnleashedBeside, seed=2, begin="decoder"), made(AlohaUnleashedBeside, seed=2)
    second.load_weights([tmp_path / "resnet.pth", tmp_path / "first.pt"])
    state, before = second.state_dict(), fresh.state_dict()
    for name, value in first.state_dict().items():
        if name.startswith(("predictor.", "actions.", "state.", "choices")):
            assert torch.equal(state[name], value), name
        elif "backbones" not in name:
            assert torch.equal(state[name], before[name]), name
    assert torch.equal(second.encoder.backbones[0].conv1.weight, theirs.conv1.weight)
    card = AlohaUnleashedBeside.card
    assert [len(card.under({"begin": begin}).weights) for begin in ("whole", "decoder")] == [0, 1]


def test_pictures_are_cropped_anywhere_in_training_and_in_the_middle_when_it_acts() -> None:
    policy, inputs = made(AlohaUnleashedBeside, crop="random", distortion="none"), seen()
    assert cropped_size(480, 848) == (432, 763) and policy.encoder.cells == [2, 2], "29 x 43 pixels: a map of 1 x 2"
    picture = inputs["rgb"][:, 0]
    policy.eval()
    middle = policy._prepared(picture)
    assert middle.shape == (ROWS, 3, 29, 43) and torch.equal(middle, policy._prepared(picture))
    whole = made(AlohaUnleashedBeside, distortion="none").eval()._prepared(picture)
    assert torch.equal(middle, whole[:, :, 1:30, 2:45])
    policy.train()
    torch.manual_seed(0)
    first, second = policy._prepared(picture), policy._prepared(picture)
    assert first.shape == middle.shape and not torch.equal(first, second)
    assert policy.losses(inputs, torch.zeros(ROWS, 6, 3), torch.zeros(ROWS, 6, dtype=torch.bool))["noise"].isfinite()
