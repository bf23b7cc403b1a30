"""ALOHA Unleashed's diffusion policy as CLAMP describes it: images and state to chunks of 50 actions.

A ResNet of its own for each camera's image, one projection for all their last maps, the state as one more token, an
encoder over all; a decoder over the noised chunk attends to the latents and says the noise in it. Sections III-C and
VII-C of CLAMP; what they leave open is an option of the card. Images are normalised by ImageNet's mean and deviation,
the state by its own in the training data, actions by their range there: of a policy that was pre-trained, in the
data of the pre-training.

It is not CLAMP's baseline in what all methods share: batch, steps and scoring are the protocol's, cameras and their
size (CLAMP's is 848 x 480) the suite's. Step n of the warm-up has (n + 1) / 5000 of the rate, CLAMP's n / 5000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.aloha_unleashed.backbones import hold_statistics, load_imagenet
from baselines.aloha_unleashed.card import CARD
from baselines.aloha_unleashed.distortion import crop as cropped
from baselines.aloha_unleashed.distortion import cropped_size, distorted, draw
from baselines.aloha_unleashed.network import NoisePredictor, ObservationEncoder
from baselines.aloha_unleashed.sizes import SIZES
from baselines.images import IMAGENET_MEAN, IMAGENET_STD
from envs.pictures import fields_of
from methods.base import Representation
from methods.card import VectorInput
from methods.errors import BadMethod, BadWeights
from methods.policy import Inputs, ParameterGroup, Policy, PolicySpecs, Recipe
from methods.preprocess import VectorPreprocess
from methods.range_normalizer import RangeNormalizer
from methods.weights import load_strictly, read_tensors

ROOTS = ("conv1.weight", "encoder.project.weight", "policy.encoder.project.weight")
"""By which tensor a file is known: of a ResNet, of this policy, and of this policy with a wrapper around its names."""
CHOICES = {"step": ("memory", "added"), "schedule": ("squaredcos_cap_v2", "linear")}
"""Options that weights belong to and no shape tells: they lie beside the weights."""


class AlohaUnleashed(Policy):
    """(B, V, H, W, 3) uint8, or an image (B, H, W, 3) of each camera, and (B, S) to (B, chunk, A)."""

    card = CARD
    camera_sizes = True

    def __init__(
        self,
        specs: PolicySpecs,
        representation: Representation | None = None,
        size: str = "paper",
        norm: str = "auto",
        positions: str = "sine",
        layer_norm: str = "before",
        step: str = "memory",
        diffusion_steps: str = "50",
        schedule: str = "squaredcos_cap_v2",
        sampler: str = "ddpm",
        distortion: str = "tensor2robot",
        crop: str = "none",
        learning_rate: str = "auto",
        instruction: str = "none",
    ) -> None:
        super().__init__(specs, representation)
        self.size, self.norm, self.group = SIZES[size], norm, norm == "group" or (norm, size) == ("auto", "small")
        self.steps, self.schedule, self.sampler = int(diffusion_steps), schedule, sampler
        self.distorts, self.crops, self.rate = distortion != "none", crop != "none", learning_rate
        self.told = instruction == "token"
        if self.told and not specs.language:
            raise BadMethod("policy.instruction=token: this suite has no instructions (suite.language); leave it out")
        self.loaded, self.pretrained = False, False
        state = specs.observation["proprio"].shape[0]
        vectors = [state, specs.language] if self.told else [state]
        first = layer_norm == "before"
        sizes = [cropped_size(*one) if self.crops else one for one in _sizes(specs)]
        self.encoder = ObservationEncoder(
            self.size, sizes, vectors, self.group, positions == "learned", norm_first=first
        )
        self.predictor = NoisePredictor(
            self.size, self.chunk, self.action_dim, self.steps, step == "added", norm_first=first
        )
        self.choices: Tensor
        said = {"step": step, "schedule": schedule}
        self.register_buffer("choices", torch.tensor([float(CHOICES[name].index(said[name])) for name in CHOICES]))
        self.state = VectorPreprocess(VectorInput("proprio", "standardize"), state)
        self.actions = RangeNormalizer(self.action_dim)

    def train(self, mode: bool = True) -> AlohaUnleashed:
        super().train(mode)
        if self.norm == "frozen" or (self.norm == "auto" and self.loaded):
            for network in self.encoder.backbones:
                hold_statistics(network)  # type: ignore[arg-type]
        return self

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        """Those of a pre-trained policy stay. Raises `BadWeights` where there are no statistics to keep."""
        if self.norm == "frozen" and not self.loaded:
            raise BadWeights(
                "policy.norm=frozen keeps the statistics of weights that are loaded, and none are (--weights random, "
                "or size=small): take policy.norm=batch or policy.norm=group"
            )
        if not self.pretrained:
            self.actions.fit(actions)
            self.state.fit(proprio)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        """The noise's mean squared error, over actions of the episode itself."""
        latents = self._latents(inputs)
        clean = self.actions(actions if actions.dim() == 3 else actions.unsqueeze(1))
        noise = torch.randn_like(clean)
        step = torch.randint(self.steps, (len(clean),), device=clean.device)
        noised = self._scheduler("ddpm").add_noise(clean, noise, step)
        gap = (self.predictor(noised, step, latents).float() - noise).square()
        kept = (~padded).unsqueeze(2)
        return {"noise": (gap * kept).sum() / (kept.sum() * self.action_dim)}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        latents = self._latents(inputs)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (self.chunk, self.action_dim)
        values = torch.stack([torch.randn(shape, generator=one) for one in draws]).to(latents.device)
        kind, _, fewer = self.sampler.partition("-")
        scheduler = self._scheduler(kind)
        scheduler.set_timesteps(int(fewer or self.steps))
        # each row's noise from its own generator; DDIM draws none
        options: dict[str, Any] = {"generator": draws if len(draws) > 1 else draws[0]} if kind == "ddpm" else {}
        for step in scheduler.timesteps:
            guess = self.predictor(values, step.expand(len(values)).to(values.device), latents).float()
            values = scheduler.step(guess, step, values, **options).prev_sample
        return self.actions.undo(values)

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """One, CLAMP's: Adam with weight decay 1e-4 (in the gradient), warmed up and then constant."""
        own = self.size.fine_tuning if self.pretrained else self.size.learning_rate
        rate = own if self.rate == "auto" else float(self.rate)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [ParameterGroup(trained, rate, 1e-4, warmup_steps=self.size.warmup_steps)]

    def load_weights(self, paths: Sequence[Path]) -> None:
        """A ResNet of ImageNet for every camera, or a whole policy of this kind. Raises `BadWeights`."""
        (path,) = paths
        tensors = read_tensors(path)
        kind = next((name for name in ROOTS if name in tensors), None)
        if kind is None:
            raise BadWeights(f"{path} is neither torchvision's ResNet-{self.size.depth} nor a policy aloha-unleashed")
        if kind == ROOTS[0]:
            for network in self.encoder.backbones:
                load_imagenet(network, tensors, str(path))  # type: ignore[arg-type]
        else:
            tensors = {name.removeprefix("policy."): value for name, value in tensors.items()}
            self._refuse_other(tensors, path)
            self._take(tensors, str(path))
            self.pretrained = True
        self.loaded = True

    def _take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """The weights of a whole policy. Raises `BadWeights`."""
        load_strictly(self, tensors, source)

    def _refuse_other(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Raises `BadWeights` for a policy of another size, or of other cameras."""
        theirs, own = len(tensors["encoder.project.weight"]), self.size.width
        if theirs != own:
            names = {one.width: name for name, one in SIZES.items()}
            there = names.get(theirs, f"of width {theirs}")
            raise BadWeights(
                f"{path} is a policy of size={there}, and this one has size={names[own]}: give policy.size"
            )
        found = {name.split(".")[2] for name in tensors if name.startswith("encoder.backbones.")}
        if len(found) != len(self.encoder.backbones):
            raise BadWeights(
                f"{path} is a policy with {len(found)} cameras, and this suite has {len(self.encoder.backbones)}: each "
                "has a network of its own, so take a suite with as many (suite.observation.cameras)"
            )
        for name, there, here in zip(CHOICES, tensors.get("choices", self.choices).tolist(), self.choices, strict=True):
            if there != here:
                raise BadWeights(
                    f"{path} was trained with policy.{name}={CHOICES[name][int(there)]}, and this policy has "
                    f"{CHOICES[name][int(here)]}: give the same"
                )

    def _latents(self, inputs: Inputs) -> Tensor:
        """(B, T, width) of the observation."""
        pictures = [self._prepared(one) for one in _of_cameras(inputs)]
        vectors = [self.state(inputs["proprio"])]
        if self.told:
            vectors.append(inputs["language"].float())
        return self.encoder(pictures, vectors, self._further(inputs))

    def _further(self, inputs: Inputs) -> Tensor | None:
        """Tokens (B, T, width) beside those of images and state."""
        return None

    def _prepared(self, rgb: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32."""
        if rgb.dtype != torch.uint8:
            raise TypeError(f"rgb must be uint8 in 0..255, not {rgb.dtype}: its range would be a guess")
        pictures = rgb.permute(0, 3, 1, 2).float() / 255
        if self.crops:
            pictures = cropped(pictures, random=self.training)
        if self.training and self.distorts:
            pictures = distorted(pictures, draw(len(pictures)))
        mean, std = (pictures.new_tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
        return (pictures - mean) / std

    def _scheduler(self, kind: str) -> Any:
        from diffusers import DDIMScheduler, DDPMScheduler

        return {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}[kind](
            num_train_timesteps=self.steps,
            beta_schedule=self.schedule,
            prediction_type="epsilon",
            clip_sample=True,
        )


def _sizes(specs: PolicySpecs) -> list[tuple[int, int]]:
    """Height and width of each camera's image."""
    names = fields_of(["rgb"], specs.observation)
    shapes = [specs.observation[name].shape for name in names]
    if names == ["rgb"]:
        shapes = [shapes[0][1:]] * shapes[0][0]
    return [(shape[0], shape[1]) for shape in shapes]


def _of_cameras(inputs: Inputs) -> list[Tensor]:
    """(B, H, W, 3) of each camera, in their order."""
    if "rgb" in inputs:
        return list(inputs["rgb"].unbind(1))
    return [inputs[name] for name in fields_of(["rgb"], inputs)]
