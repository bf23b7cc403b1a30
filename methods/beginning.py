"""A policy beside a representation begins with the weights of the whole policy that it extends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from methods.errors import BadWeights
from methods.weights import load_strictly

REPRESENTATION = "representation."


def load_whole(policy: nn.Module, tensors: Mapping[str, Tensor], source: str, own: Sequence[str]) -> None:
    """Fill `policy` with a whole policy's weights, every one of them; what it has beyond, stays as it is.

    own: how names begin that the whole policy does not have, beside those of the representation. Raises `BadWeights`,
    also for a file of a policy that already stood beside a representation: what it learnt to read of that one's tokens
    means nothing with another's.
    """
    beyond = (REPRESENTATION, *own)
    if there := next((name for name in tensors if name.startswith(beyond)), None):
        raise BadWeights(
            f"{source} is a policy that stood beside a representation already ({there}): give what `bench pretrain "
            "--policy` leaves, which has seen none"
        )
    kept = {name: value for name, value in policy.state_dict().items() if name.startswith(beyond)}
    load_strictly(policy, {**kept, **tensors}, source)
