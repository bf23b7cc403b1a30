"""Triplets with a planted correspondence: where a block stands decides its view, the past actions and the text.

It stands on one of 5 x 5 places, each of which is a trajectory, so that a batch has no two frames of one place.
"""

from __future__ import annotations

import numpy as np

from benchmark.pretrain.data.frames import Frames, Shard
from methods.clamp.encoder import EncoderConfig
from methods.clamp.text import TextConfig

SIDE, SIZE, HISTORY, ACTIONS = 5, 20, 50, 4
FRAMES, HELD_OUT = 9, 1
"""Of each place."""

ENCODER = EncoderConfig(
    width=32, heads=2, hidden=64, depth=1, patch=10, action_depth=1, feedforward=64, views=1, size=SIZE
)
TEXT = TextConfig(width=32, depth=1, heads=2, hidden=64, context=24)


def shard(shuffled: bool = False, task: str = "push", actions: int = ACTIONS, text: str = "move it") -> Shard:
    """shuffled: views, actions and texts of other places each, drawn anew for every frame."""
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(SIDE**2), FRAMES)
    of_view, of_action, of_text = (rng.permutation(place) if shuffled else place for _ in range(3))
    total = len(place)
    views, valid = np.zeros((total, 1, SIZE, SIZE, 4), np.float32), np.zeros((total, 1, SIZE, SIZE), bool)
    for frame, (row, column) in enumerate(zip(*divmod(of_view, SIDE), strict=True)):
        inside = (frame, 0, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
        valid[inside] = True
        views[inside] = [1.0, *(2 * np.array(_xy(of_view[frame])) - 1), 0.05]
    views += valid[..., None] * rng.normal(0, 0.01, views.shape).astype(np.float32)
    past = np.zeros((total, HISTORY, actions), np.float32)
    past[:, -20:, :2] = np.stack([_xy(one) for one in of_action])[:, None] * 2 - 0.9
    past[:, -20:] += rng.normal(0, 0.02, (total, 20, actions))
    places = np.stack([[[*_xy(one), 0.0]] for one in of_text]).astype(np.float32)
    return Shard(
        source="planted",
        task=task,
        instructions=(text,) * total,
        fields={
            "views": views,
            "views_valid": valid,
            "past_actions": past,
            "step": np.full(total, 10, np.int32),
            "object_names": np.broadcast_to(np.array(["block"]), (total, 1)),
            "object_places": places,
            "progress": rng.uniform(0, 1, total).astype(np.float32),
        },
        trajectories=tuple(f"planted/{one}" for one in place),
        held_out=np.tile(np.arange(FRAMES) >= FRAMES - HELD_OUT, SIDE**2),
        key=f"planted-{task}-{shuffled}",
        licence="ours",
    )


def frames(*shards: Shard) -> Frames:
    return Frames(shards or (shard(),), {"planted": 1.0})


def _xy(place: int) -> tuple[float, float]:
    row, column = divmod(int(place), SIDE)
    return (column + 0.5) / SIDE, (row + 0.5) / SIDE
