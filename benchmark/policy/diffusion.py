"""The diffusion head: a chunk of actions, denoised under the observation as condition.

Schedules and sampling steps are those of the diffusers library. Actions and proprioception are mapped to [-1, 1] by
their range in the training data (ALOHA Unleashed, DP3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.policy.denoisers import TransformerDenoiser, UNetDenoiser
from benchmark.policy.head import Head
from benchmark.settings.head import DiffusionConfig, left_out
from envs.spec import ActionSpec
from methods.action_terms import BadTerms
from methods.policy import Average, Recipe
from methods.range_normalizer import RangeNormalizer


class DiffusionHead(Head):
    """See `benchmark/conf/head/diffusion.yaml` for each number's source."""

    optimizer = "adamw"
    scaled = "range"

    def __init__(
        self, config: DiffusionConfig, feature_dim: int, proprio_dim: int, action_dim: int, language_dim: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.chunk, self.lead, self.execute = config.chunk, config.lead, config.execute
        self.obs_steps, self.ensemble = config.obs_steps, config.ensemble
        self.left_out = left_out(vars(config))
        self.average = Average(config.ema_power, config.ema_after) if config.ema_power else None
        self.action_dim = action_dim
        self.actions: RangeNormalizer = RangeNormalizer(action_dim)
        self.proprio = RangeNormalizer(proprio_dim)
        self.denoiser: nn.Module
        if config.denoiser == "transformer":
            self.embed_feature = nn.Linear(feature_dim, config.width) if feature_dim else None
            self.embed_proprio: nn.Module = nn.Linear(proprio_dim, config.width)
            self.embed_language = nn.Linear(language_dim, config.width) if language_dim else None
            self.denoiser = TransformerDenoiser(config, action_dim)
        else:
            self.embed_feature = None
            self.embed_proprio = nn.Sequential(nn.Linear(proprio_dim, 64), nn.ReLU(), nn.Linear(64, 64))
            self.embed_language = nn.Linear(language_dim, 64) if language_dim else None
            instruction = 64 if language_dim else 0
            self.denoiser = UNetDenoiser(config, action_dim, config.obs_steps * (feature_dim + 64 + instruction))

    def describe_action(self, action: ActionSpec, loss: str, scaling: str) -> None:
        super().describe_action(action, loss, scaling)
        if self.terms and self.config.prediction == "epsilon":
            raise BadTerms("protocol.action_loss scores actions: it takes head.prediction=sample, which predicts them")

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        self.actions.fit(actions)
        self.proprio.fit(proprio)

    def _memory(self, condition: Tensor, proprio: Tensor, language: Tensor | None) -> Tensor:
        """The observation as tokens (B, T, D). condition is (B, D), (B, obs_steps, D) or tokens (B, T, D)."""
        state = self.embed_proprio(self.proprio(proprio))
        condition, state = (x if x.dim() == 3 else x.unsqueeze(1) for x in (condition.float(), state))
        instruction = [] if self.embed_language is None else [self.embed_language(language).unsqueeze(1)]
        if self.config.denoiser == "unet":
            return torch.cat([condition, state, *(one.expand(-1, state.shape[1], -1) for one in instruction)], dim=-1)
        seen = [] if self.embed_feature is None else [self.embed_feature(condition)]
        return torch.cat([*seen, state, *instruction], dim=1)

    def group_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Its own: the protocol's recipe is of the direct heads."""
        c = self.config
        return {
            "learning_rate": c.learning_rate,
            "weight_decay": c.weight_decay,
            "betas": c.betas,
            "schedule": "cosine",
            "warmup_steps": c.warmup_steps,
        }

    def losses(
        self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None
    ) -> dict[str, Tensor]:
        clean = self.actions(actions if actions.dim() == 3 else actions.unsqueeze(1))
        noise = torch.randn_like(clean)
        step = torch.randint(self.config.train_steps, (len(clean),), device=clean.device)
        noised = self._scheduler("ddpm").add_noise(clean, noise, step)
        guess = self.denoiser(noised, step, self._memory(condition, proprio, language))
        target = noise if self.config.prediction == "epsilon" else clean
        if self.config.prediction == "epsilon" and not self.terms:
            return {"action": functional.mse_loss(guess.float(), target)}  # of noise, which has no two signs
        return self.action_losses(guess.float(), target)

    def plan(self, condition: Tensor, proprio: Tensor, seeds: Sequence[int], language: Tensor | None = None) -> Tensor:
        memory = self._memory(condition, proprio, language)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (self.chunk, self.action_dim)
        values = torch.stack([torch.randn(shape, generator=draw) for draw in draws]).to(memory.device)
        scheduler = self._scheduler(self.config.sampler)
        scheduler.set_timesteps(self.config.sample_steps)
        options: dict[str, Any] = {}
        if self.config.sampler == "ddpm":  # each row's noise from its own generator; DDIM (eta 0) draws none
            options["generator"] = draws if len(draws) > 1 else draws[0]
        for step in scheduler.timesteps:
            guess = self.denoiser(values, step.expand(len(values)).to(values.device), memory).float()
            values = scheduler.step(guess, step, values, **options).prev_sample
        return self.actions.undo(values)

    def _scheduler(self, kind: str) -> Any:
        from diffusers import DDIMScheduler, DDPMScheduler

        c = self.config
        return {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}[kind](
            num_train_timesteps=c.train_steps, beta_schedule=c.schedule, prediction_type=c.prediction, clip_sample=True
        )
