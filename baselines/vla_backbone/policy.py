"""CLAMP's baseline "VLA Backbone": "a VLA model with the pi-0 architecture", trained from scratch.

CLAMP says that sentence and that it is pre-trained on the data of CLAMP's own pre-training; no size, no rate, no number
of steps, no preparation of images. What is here is pi-0 as its authors' openpi has it (Black et al. 2024,
arXiv:2410.24164; Physical-Intelligence/openpi, siglip.py, gemma.py, pi0.py), written anew:

- every camera's image through one SigLIP So400m/14, 256 tokens each; Gemma 2B over all of them; an action expert of
  311 M over state and chunk, flow matching (Lipman et al. 2023), ten Euler steps;
- state and actions by mean and deviation.

It is not pi-0 in this: an instruction enters as its feature, one token, where pi-0 has a tokenizer and an embedding for
each of 257,152 words (527 M of its parameters); images are stretched to 224 x 224 where openpi pads them; there is no
clipping of gradients, no average of weights, no decay of the rate, no augmentation, no weights of anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.vla_backbone.network import ActionExpert, Cache, Transformer, Vision
from baselines.vla_backbone.sizes import SIZES
from methods.base import Representation
from methods.card import ImageInput, MethodOption, VectorInput
from methods.errors import BadMethod, BadWeights
from methods.pictures import Pictures
from methods.policy import Inputs, ParameterGroup, Policy, PolicySpecs, Recipe
from methods.policy_card import PolicyCard
from methods.preprocess import VectorPreprocess
from methods.weights import load_strictly, read_tensors

STEPS = 10
"""Of Euler's method, from noise (1) to actions (0)."""


class VLABackbone(Policy):
    """(B, V, H, W, 3) uint8, or an image of each camera, and (B, S) to (B, chunk, A)."""

    card = PolicyCard(
        name="vla-backbone",
        title="VLA Backbone",
        summary="pi-0's architecture from scratch: SigLIP and Gemma over images, an action expert, flow matching",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(224, (0, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize="stretch"),
        training="end-to-end",
        batch="2d",
        paper="Black et al., pi-0, arXiv:2410.24164, as a baseline of CLAMP, section IV-C",
        licence="MIT (this code, written anew)",
        parameters_source="openpi: SigLIP So400m/14, gemma_2b, gemma_300m (311 M), without the words' embedding",
        options=(
            MethodOption(
                "size",
                "pi-0",
                ("pi-0", "small"),
                "small: images of 112 pixels, vision of width 96 and 2 layers, backbone of width 128 and action "
                "expert of width 96 with 3 layers; rate 5e-4",
            ),
            MethodOption(
                "learning_rate",
                "auto",
                ("auto", "5e-4", "1e-4", "5e-5", "2.5e-5", "1e-5"),
                "auto: openpi's 2.5e-5; of size=small 5e-4, and 5e-5 where a pre-trained policy is loaded",
            ),
            MethodOption(
                "instruction",
                "auto",
                ("auto", "none", "token"),
                "token: the instruction's feature is a token of the backbone; auto: where the suite has instructions",
            ),
        ),
        reported_as="VLA Backbone",
        representation=False,
        token_sets=(),
        chunk=50,
        execute=50,
        notes=(
            "CLAMP says no more of it than its architecture and its data; what is chosen here is in docs/policies.md",
        ),
    )
    camera_sizes = True
    optimizer = "adamw"

    def __init__(
        self,
        specs: PolicySpecs,
        representation: Representation | None = None,
        size: str = "pi-0",
        learning_rate: str = "auto",
        instruction: str = "auto",
    ) -> None:
        super().__init__(specs, representation)
        if instruction == "token" and not specs.language:
            raise BadMethod("policy.instruction=token: this suite has no instructions (suite.language); leave it out")
        self.size, self.rate, self.pretrained = SIZES[size], learning_rate, False
        assert isinstance(self.card.input, ImageInput)
        self.input = ImageInput(self.size.picture, (0, 1), self.card.input.mean, self.card.input.std, resize="stretch")
        self.pictures = Pictures(specs.observation, "rgb")
        state = specs.observation["proprio"].shape[0]
        self.vision = Vision(self.size)
        told = specs.language > 0 and instruction != "none"
        self.embed_language = nn.Linear(specs.language, self.size.backbone.width) if told else None
        self.backbone = Transformer(self.size.backbone, self.size)
        self.expert = ActionExpert(self.size, state, self.action_dim)
        self.state = VectorPreprocess(VectorInput("proprio", "standardize"), state)
        self.actions = VectorPreprocess(VectorInput("action", "standardize"), self.action_dim)

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        """Those of a pre-trained policy stay."""
        if not self.pretrained:
            self.actions.fit(actions)
            self.state.fit(proprio)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        """The velocity's mean squared error over actions of the episode itself; times of Beta(1.5, 1), 1 is noise."""
        clean = self.actions(actions if actions.dim() == 3 else actions.unsqueeze(1))
        noise = torch.randn_like(clean)
        time = torch.rand(len(clean), device=clean.device) ** (1 / 1.5) * 0.999 + 0.001
        share = time.view(-1, 1, 1)
        found = self.expert(
            share * noise + (1 - share) * clean, time, self.state(inputs["proprio"]), self._seen(inputs)
        )
        gap = (found.float() - (noise - clean)).square()
        kept = (~padded).unsqueeze(2)
        return {"velocity": (gap * kept).sum() / (kept.sum() * self.action_dim)}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        seen, state = self._seen(inputs), self.state(inputs["proprio"])
        shape = (self.chunk, self.action_dim)
        draws = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        values = torch.stack(draws).to(state.device)
        for step in range(STEPS):
            time = torch.full((len(values),), 1 - step / STEPS, device=values.device)
            values = values - self.expert(values, time, state, seen).float() / STEPS
        return values * self.actions.deviation + self.actions.mean

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """One: AdamW, betas and decay of openpi, warmed up and then constant."""
        own = self.size.fine_tuning if self.pretrained else self.size.learning_rate
        rate = own if self.rate == "auto" else float(self.rate)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [ParameterGroup(trained, rate, 1e-10, (0.9, 0.95), warmup_steps=self.size.warmup_steps)]

    def load_weights(self, paths: Sequence[Path]) -> None:
        """A whole policy of this kind. Raises `BadWeights`."""
        (path,) = paths
        tensors: Mapping[str, Tensor] = read_tensors(path)
        tensors = {name.removeprefix("policy."): value for name, value in tensors.items()}
        if "expert.embed_state.weight" not in tensors:
            raise BadWeights(f"{path} is no policy vla-backbone")
        theirs = len(tensors["expert.embed_state.weight"])
        if theirs != self.size.action.width:
            names = {one.action.width: name for name, one in SIZES.items()}
            there, own = names.get(theirs, f"of width {theirs}"), names[self.size.action.width]
            raise BadWeights(f"{path} is a policy of size={there}, and this one has size={own}: give policy.size")
        load_strictly(self, tensors, str(path))
        self.pretrained = True

    def _seen(self, inputs: Inputs) -> Cache:
        """What the backbone keeps of images and instruction."""
        tokens = self.vision(self.pictures.prepare(inputs, self.input))
        tokens = tokens.unflatten(0, (-1, self.pictures.cameras)).flatten(1, 2)
        if self.embed_language is not None:
            told = self.embed_language(inputs["language"].float()).unsqueeze(1)
            tokens = torch.cat([tokens, told.to(tokens.dtype)], dim=1)
        _, cache = self.backbone(tokens)
        return cache
