"""What an encoder is given outside any suite: fields as the simulator's specs describe them."""

from __future__ import annotations

from envs.description import describe
from envs.spec import FieldSpec, ObservationRequest
from methods.card import MethodCard, PointInput, past_actions_spec


def encoder_specs(card: MethodCard, env: str = "metaworld", camera: str = "corner") -> dict[str, FieldSpec]:
    """The fields an encoder is verified on: MetaWorld's, one camera."""
    points = card.input.num_points if isinstance(card.input, PointInput) else 1024
    fields = tuple(name for name in dict.fromkeys((*card.observes, "proprio")) if name != "past_actions")
    kind = describe(env)
    request = ObservationRequest(fields=fields, cameras=(camera,), num_points=points, layout=card.layout)
    return kind.specs(request) | past_actions_spec(card, kind.action_spec)
