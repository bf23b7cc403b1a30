"""The CVAE's encoder: what style of motion a demonstrated chunk has. It is used in training alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.act.layers import EncoderLayer
from baselines.act.positions import sine_1d
from baselines.act.sizes import Sizes


class Posterior(nn.Module):
    """Proprioception (B, S) and a chunk (B, chunk, A), both z-scored, to mean and log variance (B, latent) each.

    The tokens are [CLS], proprioception and one for each action; actions past an episode's end are not looked at.
    """

    positions: Tensor

    def __init__(self, sizes: Sizes, chunk: int, proprio_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cls = nn.Embedding(1, sizes.width)
        self.proprio = nn.Linear(proprio_dim, sizes.width)
        self.actions = nn.Linear(action_dim, sizes.width)
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.posterior_layers))
        self.output = nn.Linear(sizes.width, 2 * sizes.latent)
        self.register_buffer("positions", sine_1d(2 + chunk, sizes.width), persistent=False)

    def forward(self, proprio: Tensor, actions: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        first = self.cls.weight.expand(len(actions), 1, -1)
        tokens = torch.cat([first, self.proprio(proprio).unsqueeze(1), self.actions(actions)], dim=1)
        hidden = torch.cat([padded.new_zeros(len(padded), 2), padded], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, self.positions, hidden)
        mean, log_variance = self.output(tokens[:, 0]).float().chunk(2, dim=1)
        return mean, log_variance


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A latent (B, latent), by torch's global generator."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, variance) from N(0, 1), the sum over the latent's numbers and the mean over rows: a scalar."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
