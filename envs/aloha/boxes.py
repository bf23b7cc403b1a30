"""Boxes that overlap or do not, as aloha_sim judges by them whether an object is inside another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Box:
    """centre (3,), rotation (3, 3) whose columns are its axes, half (3,) of its edges, metres."""

    centre: np.ndarray
    rotation: np.ndarray
    half: np.ndarray

    def moved(self, place: np.ndarray, rotation: np.ndarray) -> Box:
        """From a body's frame to the world, the body being there."""
        return Box(place + rotation @ self.centre, rotation @ self.rotation, self.half)


def box(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Box:
    """One along the axes of its frame."""
    return Box(np.array(centre), np.eye(3), np.array(half))


def overlap(a: Box, b: Box) -> bool:
    """No plane across one of their six axes parts them.

    aloha_sim tries no other plane either, so two boxes that are only near at an edge may count as overlapping.
    """
    between = b.centre - a.centre
    axes = np.hstack([a.rotation, b.rotation]).T
    reach = np.abs(axes @ a.rotation) @ a.half + np.abs(axes @ b.rotation) @ b.half
    return bool((np.abs(axes @ between) <= reach).all())


@dataclass(frozen=True)
class BodyBox:
    """A box that moves with one shape of a model, or with a body's inertial frame (geom: -1)."""

    body: int
    geom: int
    centre: np.ndarray
    half: np.ndarray

    def at(self, data: Any) -> Box:
        if self.geom < 0:
            place, rotation = data.xipos[self.body], data.ximat[self.body]
        else:
            place, rotation = data.geom_xpos[self.geom], data.geom_xmat[self.geom]
        matrix = rotation.reshape(3, 3)
        return Box(place + matrix @ self.centre, matrix.copy(), self.half)


def body_boxes(model: Any, body: int) -> list[BodyBox]:
    """As aloha_sim bounds an object: one box for the whole of a body of several shapes, along its inertial axes."""
    root = model.body_bvhadr[body]
    if root >= 0 and (model.bvh_child[root] != -1).any():
        bounds = model.bvh_aabb[root]
        return [BodyBox(body, -1, bounds[:3].copy(), bounds[3:].copy())]
    geoms = np.flatnonzero(model.geom_bodyid == body)
    return [BodyBox(body, int(g), model.geom_aabb[g][:3].copy(), model.geom_aabb[g][3:].copy()) for g in geoms]
