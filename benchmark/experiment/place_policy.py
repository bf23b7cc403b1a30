"""`--policy FILE.py:Class`: in the place of a head where it stands over a representation, else of a method."""

from __future__ import annotations

from benchmark.system.errors import ConfigError


def place_policy(
    policy: str | None, methods: list[str] | None, head: str | None
) -> tuple[list[str] | None, str | None]:
    """Methods and head of a run. Raises `ConfigError` for what does not go together."""
    if policy is None:
        return methods, head
    from benchmark.settings.catalog import register_baselines
    from methods.registry import is_known, policy_class

    register_baselines()
    card = policy_class(policy).card
    if head is not None:
        raise ConfigError(f"--policy {policy} stands in the place of a head: leave --head {head} out")
    if methods and card.as_head and is_known(policy):
        return methods, card.as_head
    if not card.representation:
        if methods:
            raise ConfigError(f"{policy} is a whole policy and takes no representation: leave --method out")
        return [policy], None
    if not methods:
        raise ConfigError(f"{policy} stands over a representation: name it with --method (`bench list methods`)")
    return methods, policy
