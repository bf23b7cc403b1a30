"""ACT from its paper's formulas (Zhao et al. 2023, section IV and appendix C), token by token, in float64 and numpy.

Parameters come by the names they have in `baselines.act`; nothing else of it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]


def linear(p: Weights, name: str, x: Array) -> Array:
    return p[f"{name}.weight"] @ x + p[f"{name}.bias"]


def norm(p: Weights, name: str, x: Array) -> Array:
    centred = x - x.mean()
    return p[f"{name}.weight"] * centred / math.sqrt((centred**2).mean() + 1e-5) + p[f"{name}.bias"]


def attend(
    p: Weights, name: str, heads: int, queries: Sequence[Array], keys: Sequence[Array], values: Sequence[Array]
) -> list[Array]:
    """softmax(q k / sqrt(d)) v of each query and head, the heads side by side, through the output's layer."""
    width = len(queries[0])
    size = width // heads
    weight, bias = p[f"{name}.in_proj_weight"], p[f"{name}.in_proj_bias"]
    made = [
        [weight[n * width : (n + 1) * width] @ x + bias[n * width : (n + 1) * width] for x in given]
        for n, given in enumerate((queries, keys, values))
    ]
    found = []
    for query in made[0]:
        parts = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [math.exp(float(query[part] @ key[part]) / math.sqrt(size)) for key in made[1]]
            mixed = np.zeros(size)
            for score, value in zip(scores, made[2], strict=True):
                mixed = mixed + score / sum(scores) * value[part]
            parts.append(mixed)
        found.append(linear(p, f"{name}.out_proj", np.concatenate(parts)))
    return found


def added(p: Weights, name: str, tokens: Sequence[Array], found: Sequence[Array]) -> list[Array]:
    return [norm(p, f"{name}.norm", x + y) for x, y in zip(tokens, found, strict=True)]


def feed(p: Weights, name: str, tokens: Sequence[Array]) -> list[Array]:
    return added(
        p, name, tokens, [linear(p, f"{name}.outer", np.maximum(linear(p, f"{name}.inner", x), 0)) for x in tokens]
    )


def plus(tokens: Sequence[Array], places: Sequence[Array]) -> list[Array]:
    return [x + y for x, y in zip(tokens, places, strict=True)]


def encode(
    p: Weights, name: str, layers: int, heads: int, tokens: list[Array], places: list[Array], seen: list[bool]
) -> list[Array]:
    """seen: which tokens may be looked at."""
    for number in range(layers):
        one = f"{name}.{number}"
        placed = plus(tokens, places)
        keys = [x for x, there in zip(placed, seen, strict=True) if there]
        values = [x for x, there in zip(tokens, seen, strict=True) if there]
        tokens = added(
            p, f"{one}.attention", tokens, attend(p, f"{one}.attention.attention", heads, placed, keys, values)
        )
        tokens = feed(p, f"{one}.feed", tokens)
    return tokens


def sine(place: int, width: int) -> Array:
    return np.array([(math.cos if i % 2 else math.sin)(place / 10_000 ** (2 * (i // 2) / width)) for i in range(width)])


def posterior(
    p: Weights, layers: int, heads: int, proprio: Array, actions: Array, padded: Array
) -> tuple[Array, Array]:
    tokens = [p["posterior.cls.weight"][0], linear(p, "posterior.proprio", proprio)]
    tokens += [linear(p, "posterior.actions", action) for action in actions]
    places = [sine(i, len(tokens[0])) for i in range(len(tokens))]
    seen = [True, True, *(not one for one in padded)]
    first = encode(p, "posterior.layers", layers, heads, tokens, places, seen)[0]
    both = linear(p, "posterior.output", first)
    return both[: len(both) // 2], both[len(both) // 2 :]


def chunk(p: Weights, layers: tuple[int, int], heads: int, latent: Array, proprio: Array, seen: Array) -> list[Array]:
    """Actions of the decoder's last layer. layers: of encoder and decoder; seen (T, D)."""
    memory = [linear(p, "transformer.latent", latent), linear(p, "transformer.proprio", proprio)]
    places = list(p["transformer.places.weight"])
    memory += [linear(p, "transformer.seen", one) for one in seen]
    places += [sine(i, len(memory[0])) for i in range(len(seen))]
    memory = encode(p, "transformer.encoder", layers[0], heads, memory, places, [True] * len(memory))
    queries = list(p["transformer.queries.weight"])
    tokens = [np.zeros_like(query) for query in queries]
    for number in range(layers[1]):
        one = f"transformer.decoder.{number}"
        placed = plus(tokens, queries)
        tokens = added(
            p, f"{one}.attention", tokens, attend(p, f"{one}.attention.attention", heads, placed, placed, tokens)
        )
        looked = attend(p, f"{one}.cross.attention", heads, plus(tokens, queries), plus(memory, places), memory)
        tokens = feed(p, f"{one}.feed", added(p, f"{one}.cross", tokens, looked))
    return [linear(p, "transformer.actions", norm(p, "transformer.norm", x)) for x in tokens]


def losses(
    p: Weights,
    layers: tuple[int, int, int],
    heads: int,
    batch: Sequence[tuple[Array, Array, Array, Array, Array]],
) -> tuple[float, float]:
    """Masked L1 and KL of rows (proprio, seen, actions, padded, noise), all z-scored; layers: of the posterior,
    encoder, decoder."""
    gap, count, divergence = 0.0, 0, 0.0
    for proprio, seen, actions, padded, noise in batch:
        mean, log_variance = posterior(p, layers[0], heads, proprio, actions, padded)
        latent = mean + np.exp(log_variance / 2) * noise
        divergence += sum(-0.5 * (1 + v - m**2 - math.exp(v)) for m, v in zip(mean, log_variance, strict=True))
        for guess, action, past in zip(
            chunk(p, layers[1:], heads, latent, proprio, seen), actions, padded, strict=True
        ):
            count += len(action)
            gap += 0.0 if past else float(np.abs(guess - action).sum())
    return gap / count, divergence / len(batch)
