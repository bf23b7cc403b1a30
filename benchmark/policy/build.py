"""The head and the policy that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.policy.direct import BatchNormMLPHead, MLPHead
from benchmark.policy.head import Head
from benchmark.policy.policy import HeadPolicy, plain_action
from benchmark.settings.head import DiffusionConfig, HeadConfig, left_out
from benchmark.settings.policy import PolicyConfig
from envs.spec import ActionSpec, FieldSpec
from methods.base import Representation
from methods.policy import Policy, PolicySpecs, Window
from methods.registry import policy_class

DIRECT: dict[str, type[MLPHead] | type[BatchNormMLPHead]] = {"mlp": MLPHead, "bnmlp": BatchNormMLPHead}


def make_head(
    config: HeadConfig | DiffusionConfig, feature_dim: int, proprio_dim: int, action_dim: int, language_dim: int = 0
) -> Head:
    """feature_dim: width of the pooled feature or of one token, whichever the head is conditioned on.

    language_dim: of an instruction's features, 0 in suites without.
    """
    if isinstance(config, DiffusionConfig):
        from benchmark.policy.diffusion import DiffusionHead

        return DiffusionHead(config, feature_dim, proprio_dim, action_dim, language_dim)
    return DIRECT[config.direct_kind](config, feature_dim, proprio_dim, action_dim, language_dim)


def make_policy(
    config: HeadConfig | DiffusionConfig,
    representation: Representation,
    proprio_dim: int,
    action: ActionSpec | int,
    language_dim: int = 0,
    loss: str = "",
    scaling: str = "",
) -> HeadPolicy:
    """The head that `config` describes, over the representation's feature or tokens.

    loss, scaling: of the action's parts, `protocol.action_loss` and `action_scaling`. Raises `BadTerms`.
    """
    condition = config.condition if isinstance(config, DiffusionConfig) else "pooled"
    width = representation.token_dim if condition == "tokens" else representation.feature_dim
    action = plain_action(action)
    head = make_head(config, width, proprio_dim, action.size, language_dim)
    head.describe_action(action, loss, scaling)
    return HeadPolicy(representation, head, condition, action)


def build_policy(
    config: PolicyConfig,
    observation: Mapping[str, FieldSpec],
    action: ActionSpec,
    representation: Representation | None,
    options: Mapping[str, str],
    language_dim: int = 0,
    loss: str = "",
    scaling: str = "",
) -> Policy:
    """A policy of the contract, for what it may observe and the action it gives. Raises what its constructor raises."""
    specs = PolicySpecs(observation, action, language_dim, window_of(config), loss, scaling)
    return policy_class(config.policy)(specs, representation, **options)


def window_of(config: PolicyConfig) -> Window:
    """Which observations and actions belong to a sample."""
    return Window(config.chunk, config.lead, config.execute, config.obs_steps, left_out(vars(config)), config.ensemble)
