"""What a simulator's class has to say of itself before anything is made from it (`envs.base.Env`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs.errors import SpecMismatch, UserError
from envs.names import UnsafeName, safe_name
from envs.pictures import field_names
from envs.spec import ActionSpec, FieldSpec, ObservationRequest

if TYPE_CHECKING:
    from envs.base import Env

METHODS = ("specs", "instruction", "reset", "step", "observe", "fingerprint", "close")


class BadSimulator(UserError, TypeError):
    """A simulator that lacks something of `envs.base.Env`, or says it in another type."""


def check_simulator(name: str, found: Any) -> None:
    """name: `path/to/file.py:Class`, for the message. Raises `BadSimulator`."""
    if not isinstance(found, type):
        raise BadSimulator(f"{name} is a {type(found).__name__}, not a class; envs/base.py says what a simulator has")
    needed = METHODS + (("state", "set_state") if restorable(found) else ())
    missing = [one for one in needed if not callable(getattr(found, one, None))]
    if not any(callable(getattr(found, one, None)) for one in ("expert_action", "expert_episode")):
        missing.append("expert_action")
    if missing:
        raise BadSimulator(f"{name} is no simulator: it has no {', '.join(missing)} (envs/base.py says what each does)")
    try:
        safe_name(f"{name}: its name", getattr(found, "name", None))
    except UnsafeName as error:
        raise BadSimulator(str(error)) from None
    version = getattr(found, "version", None)
    if not isinstance(version, str) or not version:
        raise BadSimulator(f"{name} has version={version!r}; it is a text, such as 'mine==1', as numbers depend on it")
    for one in ("tasks", "cameras", "proprio_names", "provides"):
        value = getattr(found, one, None)
        if not isinstance(value, tuple | list | set | frozenset) or not all(isinstance(part, str) for part in value):
            kind = "a set" if one == "provides" else "a tuple"
            raise BadSimulator(f"{name} has {one}={value!r}; it is {kind} of texts")
    if not isinstance(getattr(found, "action_spec", None), ActionSpec):
        raise BadSimulator(f"{name} has no action_spec; it is an envs.spec.ActionSpec")


def restorable(kind: Any) -> bool:
    """Whether a simulator's states can be restored; where not, demonstrations hold what was observed."""
    return bool(getattr(kind, "restorable", True))


def check_sizes(kind: type[Env], request: ObservationRequest) -> None:
    """Raises `SpecMismatch` for cameras of different sizes where the simulator draws all in one, which it would do."""
    seen = request.renders or "intrinsics" in request.fields
    if request.sizes and seen and not getattr(kind, "camera_sizes", False):
        raise SpecMismatch(
            f"{kind.name} draws all cameras in one size: leave suite.observation.sizes out, or let it draw each in its "
            "own and say camera_sizes = True (envs/base.py)"
        )


def specs_of(kind: type[Env], request: ObservationRequest) -> dict[str, FieldSpec]:
    """What a simulator's class says of a request. Raises `BadSimulator`, and `SpecMismatch` for what it cannot give."""
    check_sizes(kind, request)
    try:
        found = kind.specs(request)
    except UserError:
        raise
    except Exception as error:
        raise BadSimulator(f"{kind.name}: its specs raised {type(error).__name__}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(spec, FieldSpec) for spec in found.values()):
        raise BadSimulator(f"{kind.name}: its specs give no dict of envs.spec.FieldSpec")
    if missing := sorted(set(field_names(request)) - set(found)):
        raise BadSimulator(f"{kind.name}: its specs leave out {', '.join(missing)}, which were asked for")
    return found
