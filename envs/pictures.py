"""Pictures of several cameras as fields of an observation: one stack of them, or a field of each camera.

Where all cameras of a request have one size, `rgb` (V,H,W,3) and `depth` (V,H,W) are stacks. Where they differ, each
camera's image is a field of its own, `rgb@corner` (H,W,3) and `depth@corner` (H,W), in the order of the cameras. The
camera is named without its shift, so that a policy meets the same fields whichever place a camera is moved to. A
request, and a method's card, say `rgb` either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from envs.camera_sizes import short_names
from envs.errors import SpecMismatch
from envs.spec import FieldSpec, Observation, ObservationRequest

PICTURES = ("rgb", "depth")
OF = "@"


def base_name(field: str) -> str:
    """`rgb` of `rgb@corner`; of another field its name."""
    base, sign, _ = field.partition(OF)
    return base if sign and base in PICTURES else field


def fields_of(names: Iterable[str], given: Iterable[str]) -> list[str]:
    """Which of the fields that are given stand for these: `rgb` itself, or `rgb@corner` and `rgb@corner2` in their
    order. What is not given at all is left out.
    """
    known = list(given)
    return [field for name in names for field in known if field == name or base_name(field) == name]


def field_names(request: ObservationRequest) -> list[str]:
    """What an observation holds for a request: its fields, `rgb` and `depth` as one or as those of the cameras."""
    labels = _labels(request) if request.sizes else []
    found: list[str] = []
    for name in request.fields:
        found += [f"{name}{OF}{label}" for label in labels] if labels and name in PICTURES else [name]
    return found


def picture_specs(request: ObservationRequest) -> list[FieldSpec]:
    """`rgb` and `depth` of a request, as every simulator has them. Raises `SpecMismatch` for cameras whose names make
    one field.
    """
    shapes: dict[str, tuple[int, ...]] = {"": (len(request.cameras), request.height, request.width)}
    if request.sizes:
        shapes = {f"{OF}{n}": request.size_of(c) for n, c in zip(_labels(request), request.cameras, strict=True)}
    upright, along = "upright, unmirrored", "along the optical axis, inf for nothing"
    rgb = [FieldSpec(f"rgb{of}", (*s, 3), "uint8", "0..255", "picture", upright) for of, s in shapes.items()]
    return rgb + [FieldSpec(f"depth{of}", s, "float32", "m", "camera", along) for of, s in shapes.items()]


def as_fields(name: str, pictures: Sequence[np.ndarray], request: ObservationRequest) -> Observation:
    """`rgb` or `depth` of an observation from one image of each camera, in the order of the cameras."""
    if not request.sizes:
        return {name: np.stack(pictures)}
    return {f"{name}{OF}{label}": one for label, one in zip(_labels(request), pictures, strict=True)}


def each_picture(name: str, observation: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """One image of each camera, in their order, from an observation in either form."""
    if name in observation:
        return list(observation[name])
    return [observation[field] for field in fields_of([name], observation)]


def _labels(request: ObservationRequest) -> list[str]:
    """What cameras are called in names of fields, which name files and groups of files as well."""
    found = [name.replace("/", ".") for name in short_names(request.cameras)]
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise SpecMismatch(f"two cameras would be called {twice} in the names of fields: give all cameras one size")
    return found
