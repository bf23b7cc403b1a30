"""The contract of a representation as tests that anyone can inherit.

    from methods.testing import RepresentationContract

    class TestMine(RepresentationContract):
        method = "path/to/mine.py:Mine"      # or a registered name

Each test is one rule, and says which one is broken.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from envs.camera_sizes import Sizes
from envs.description import describe
from envs.pictures import base_name
from envs.spec import FieldSpec, ObservationRequest
from methods.base import Representation, has_tokens
from methods.card import ImageInput, PointInput, past_actions_spec
from methods.frozen import count_parameters, fingerprint
from methods.registry import method_class

SMALL = 30_000_000
"""Parameters up to which a method is built once more, for cameras of different sizes."""
_built: list[object] = ["", None, None]
"""What was built last: its name and options, the representation, and its feature of the random observations."""


class RepresentationContract:
    """Inherit, set `method`, and let pytest collect it."""

    method: ClassVar[str]
    options: ClassVar[Mapping[str, str]] = {}
    """Of the method, as `method.NAME=VALUE` gives them."""
    env: ClassVar[str] = "metaworld"
    cameras: ClassVar[tuple[str, ...]] = ("corner",)
    batch: ClassVar[int] = 6
    """Samples in a batch; fewer for a network that takes seconds for each."""

    def kind(self) -> type[Representation]:
        return method_class(self.method).under(self.options)

    def specs(self) -> dict[str, FieldSpec]:
        return self._specs(self.cameras, ())

    def _specs(self, cameras: tuple[str, ...], sizes: Sizes) -> dict[str, FieldSpec]:
        card = self.kind().card
        points = card.input.num_points if isinstance(card.input, PointInput) else 1024
        fields = tuple(name for name in dict.fromkeys((*card.observes, "proprio")) if name != "past_actions")
        env = describe(self.env)
        specs = env.specs(ObservationRequest(fields=fields, cameras=cameras, num_points=points, sizes=sizes))
        return specs | past_actions_spec(card, env.action_spec)

    def new(self, specs: Mapping[str, FieldSpec]) -> Representation:
        """The method with random weights, as its constructor leaves it."""
        return self.kind()(specs, **self.options)

    def build(self) -> Representation:
        """The method with random weights. Built once for all rules, since some have a billion parameters."""
        if _built[0] != (type(self), self.method, dict(self.options)):
            _built[:] = [(type(self), self.method, dict(self.options)), None, None]  # let the last one go first
            torch.manual_seed(0)
            representation = self.new(self.specs())
            representation.fit(random_observations(self.specs(), self.batch))
            representation.freeze_as_card_says()
            _built[1] = representation
        assert isinstance(_built[1], Representation)
        _built[1].zero_grad(set_to_none=True)
        return _built[1]

    def feature(self) -> Tensor:
        """Of the random observations, in eval mode: (batch, feature_dim). Encoded once for all rules."""
        representation = self.build().eval()
        if _built[2] is None:
            with torch.no_grad():
                _built[2] = representation.encode(random_observations(self.specs(), self.batch))
        assert isinstance(_built[2], Tensor), "encode must give a tensor"
        return _built[2]

    def test_feature(self) -> None:
        representation, feature = self.build().eval(), self.feature()
        assert feature.shape == (self.batch, representation.feature_dim), "encode must give (B, feature_dim)"
        assert feature.dtype == torch.float32, "a feature is float32"
        assert torch.isfinite(feature).all(), "a feature is finite"

    def test_tokens(self) -> None:
        if not has_tokens(self.kind()):
            return
        representation = self.build().eval()
        with torch.no_grad():
            tokens = representation.encode_tokens(random_observations(self.specs(), self.batch))
        assert tokens.dim() == 3, "encode_tokens must give (B, T, D)"
        assert (len(tokens), tokens.shape[2]) == (self.batch, representation.token_dim), "(B, T, token_dim)"
        assert torch.isfinite(tokens).all(), "a token is finite"

    def test_evaluation_is_deterministic_and_independent_of_the_batch(self) -> None:
        representation = self.build().eval()
        observations = random_observations(self.specs(), self.batch)
        with torch.no_grad():
            whole = self.feature()
            assert torch.equal(whole, representation.encode(observations)), "eval mode must be deterministic"
            single = torch.cat(
                [representation.encode({k: v[i : i + 1] for k, v in observations.items()}) for i in range(self.batch)]
            )
        torch.testing.assert_close(single, whole, rtol=1e-4, atol=1e-5, msg="a feature depends on its batch")

    def test_what_is_trained_is_what_the_card_says(self) -> None:
        representation = self.build().train()
        before = fingerprint(representation)
        part = representation.frozen_part
        trunk = fingerprint(part) if part is not None else None
        feature = representation.encode(random_observations(self.specs(), self.batch))
        trained = [p for p in representation.parameters() if p.requires_grad]
        if representation.card.frozen:
            assert not trained, "the card says frozen, but parameters ask for gradients"
            assert before == fingerprint(representation), "a frozen method changed in a forward pass: BatchNorm?"
            assert not any(
                m.training for m in representation.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))
            )
            return
        assert part is None or fingerprint(part) == trunk, "the frozen part changed in a forward pass: BatchNorm?"
        feature.square().sum().backward()
        frozen = [p for p in representation.parameters() if not p.requires_grad]
        assert all(p.grad is None for p in frozen), "a gradient reaches what is frozen"
        if representation.card.training == "end-to-end":
            assert len(trained) == len(list(representation.parameters())), "end-to-end, but something is frozen"
        without = [n for n, p in representation.named_parameters() if p.requires_grad and p.grad is None]
        assert not without, f"no gradient reaches {without}"

    def test_the_frozen_part_and_the_projection_make_the_feature(self) -> None:
        representation = self.build().eval()
        if representation.frozen_part is None:
            return
        observations = random_observations(self.specs(), self.batch)
        with torch.no_grad():
            whole = self.feature()
            parts = representation.project(representation.encode_frozen(observations))
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6, msg="encode is not project(encode_frozen)")

    def test_parameter_count(self) -> None:
        card = self.kind().card
        if card.parameters is not None:
            assert count_parameters(self.build()) == card.parameters, f"published: {card.parameters_source}"

    def test_save_and_load(self) -> None:
        representation = self.build()
        file = io.BytesIO()
        torch.save(representation.state_dict(), file)
        file.seek(0)
        torch.manual_seed(1)
        other = self.new(self.specs())
        other.load_state_dict(torch.load(file, weights_only=True))
        assert fingerprint(other) == fingerprint(representation), "load(save(x)) is not x"

    def test_pixel_range(self) -> None:
        card = self.kind().card
        if not isinstance(card.input, ImageInput):
            return
        representation = self.build().eval()
        specs = self.specs()
        features = []
        for value in (0, 128, 255):
            observations = random_observations(specs, 1)
            observations["rgb"] = torch.full_like(observations["rgb"], value)
            with torch.no_grad():
                features.append(representation.encode(observations))
        assert not torch.allclose(features[0], features[1]), "0 and 128 look the same: wrong pixel range"
        assert not torch.allclose(features[1], features[2]), "128 and 255 look the same: wrong pixel range"

    def test_cameras_of_different_sizes(self) -> None:
        """Of methods that say that they take them, and that are quickly built."""
        card, cameras = self.kind().card, describe(self.env).cameras[:2]
        if not self.kind().camera_sizes or len(cameras) < 2 or count_parameters(self.build()) > SMALL:
            return
        if isinstance(card.input, ImageInput) and card.input.resize == "none":
            return
        specs = self._specs(cameras, ((cameras[1], 160, 120),))
        torch.manual_seed(0)
        representation = self.new(specs)
        representation.fit(random_observations(specs, 2))
        representation.freeze_as_card_says()
        observations = random_observations(specs, 2)
        apart = [name for name in specs if name != base_name(name)]
        assert len(apart) >= 2, "the card observes no images: then camera_sizes says nothing"
        with torch.no_grad():
            feature = representation.eval().encode(observations)
            assert feature.shape == (2, representation.feature_dim), "encode must give (B, feature_dim)"
            for name in apart:
                other = {**observations, name: observations[name] // 2}
                assert not torch.equal(representation.encode(other), feature), f"{name} does not reach the feature"

    def test_padding_is_never_seen(self) -> None:
        if "points_valid" not in self.kind().card.observes:
            return
        representation = self.build().eval()
        observations = random_observations(self.specs(), 2)
        observations["points_valid"][:, 100:] = False
        other = dict(observations)
        other["points"] = observations["points"].clone()
        other["points"][:, 100:] = 7.0
        with torch.no_grad():
            same = torch.equal(representation.encode(observations), representation.encode(other))
        assert same, "what stands in padded rows reaches the feature"


def random_observations(specs: dict[str, FieldSpec], batch: int) -> dict[str, Tensor]:
    """Plausible random fields: points in a box of a metre, everything valid."""
    generator = torch.Generator().manual_seed(0)
    made: dict[str, Tensor] = {}
    for name, spec in specs.items():
        shape = (batch, *spec.shape)
        if spec.dtype == "bool":
            made[name] = torch.ones(shape, dtype=torch.bool)
        elif spec.dtype == "uint8":
            made[name] = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        else:
            made[name] = torch.rand(shape, generator=generator)
    return made
