"""The CVAE's decoder: latent, proprioception and what is seen to a chunk of actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.act.layers import DecoderLayer, EncoderLayer, xavier
from baselines.act.sizes import Sizes


class ChunkTransformer(nn.Module):
    """Tokens of latent, proprioception, an instruction where there is one, and what is seen, through an encoder; a
    learned query for each action of the chunk, through a decoder over them.

    seen_dim: width of a token of what is seen, 0 for none. language_dim: of an instruction's feature, 0 for none (ACT
    has none; it gets a token and a learned position like the proprioception's).

    The published network has another output, whether an action is padding, which no loss and nobody reads: it is left
    out (width + 1 parameters).
    """

    def __init__(
        self, sizes: Sizes, chunk: int, proprio_dim: int, action_dim: int, seen_dim: int, language_dim: int = 0
    ) -> None:
        super().__init__()
        width = sizes.width
        self.latent, self.proprio = nn.Linear(sizes.latent, width), nn.Linear(proprio_dim, width)
        self.language = nn.Linear(language_dim, width) if language_dim else None
        self.seen = nn.Linear(seen_dim, width) if seen_dim else None
        self.places = nn.Embedding(3 if language_dim else 2, width)
        self.queries = nn.Embedding(chunk, width)
        self.encoder = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.actions = nn.Linear(width, action_dim)
        xavier(self.encoder)
        xavier(self.decoder)

    def forward(
        self,
        latent: Tensor,
        proprio: Tensor,
        seen: Tensor,
        positions: Tensor,
        language: Tensor | None = None,
        further: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """(B, chunk, A) float32, z-scored.

        latent (B, latent), proprio (B, S) z-scored; seen (B, T, seen_dim) with positions (T, width), of which T may be
        0; language (B, D); further: tokens (B, T, width) behind all others, with positions (T, width).
        """
        first = [self.latent(latent), self.proprio(proprio)]
        if self.language is not None:
            assert language is not None, "the suite gives instructions"
            first.append(self.language(language))
        memory, places = torch.stack(first, dim=1), self.places.weight
        if self.seen is not None:
            memory = torch.cat([memory, self.seen(seen)], dim=1)
            places = torch.cat([places, positions], dim=0)
        if further is not None:
            memory, places = torch.cat([memory, further[0]], dim=1), torch.cat([places, further[1]], dim=0)
        for layer in self.encoder:
            memory = layer(memory, places)
        queries = self.queries.weight
        tokens = torch.zeros_like(queries).expand(len(memory), -1, -1)
        for layer in self.decoder:
            tokens = layer(tokens, queries, memory, places)
        return self.actions(self.norm(tokens)).float()
