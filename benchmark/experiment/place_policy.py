"""`--policy FILE.py:Class`: in the place of a head where it stands over a representation, else of a method."""

from __future__ import annotations

from benchmark.system.errors import ConfigError


def place_policy(
    policy: str | None, methods: list[str] | None, head: str | None
) -> tuple[list[str] | None, str | None]:
    """Methods and head of a run: `POLICY+METHOD` is the policy that stands beside a method's tokens, in the place of a
    head. Raises `ConfigError` for what does not go together.
    """
    methods, beside = _apart(methods)
    if beside is not None and (given := policy or head):
        raise ConfigError(f"{beside} brings its policy along: leave {given} out, or give it with the method's own name")
    if policy is None:
        return methods, head if beside is None else beside
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


def _apart(methods: list[str] | None) -> tuple[list[str] | None, str | None]:
    """`aloha-unleashed+clamp` as `clamp`, and the policy that stands beside it; None where no method is such a pair."""
    pairs = [name for name in methods or [] if "+" in name and ":" not in name.partition("+")[0]]
    if not methods or not pairs:
        return methods, None
    from benchmark.settings.catalog import register_baselines
    from methods.registry import policy_class

    register_baselines()
    found = {pair.partition("+")[0] for pair in pairs}
    if len(found) > 1 or len(pairs) < len(methods):
        raise ConfigError(f"--method {','.join(methods)}: one policy at a time beside methods: give several commands")
    policy = policy_class(found.pop()).card
    if not policy.beside:
        raise ConfigError(f"{policy.name} stands beside no method's tokens: {pairs[0]} is not to be had")
    return [pair.partition("+")[2] for pair in pairs], policy.beside
