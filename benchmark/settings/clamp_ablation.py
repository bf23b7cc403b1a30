"""The rows of CLAMP's Tables III and IV: what of encoders and policy each leaves out or has otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.system.errors import ConfigError
from envs.aloha.options import BY_JOINTS

SUITE = "clamp-ablation"
UNLEASHED, ACT = "aloha-unleashed", "act"
TABLE_3, TABLE_4 = 3, 4


@dataclass(frozen=True, eq=False)
class ClampVariant:
    """row: as the table prints it. table: 3 or 4, 0 for the policy that both compare with.

    without: parts of the encoders' pre-training that are off; None is no pre-training. pretraining: its other settings.
    method, policy: options of the cells. beside: the policy that has the encoders' tokens. control: what actions say
    (`envs.aloha.control`); all that is trained for the row has these, and so has the policy that it begins with.
    """

    row: str
    name: str
    table: int
    without: tuple[str, ...] | None = ()
    method: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    beside: str = UNLEASHED
    pretraining: Mapping[str, str] = field(default_factory=dict)
    control: str = BY_JOINTS

    @property
    def trained(self) -> str:
        """The variant of the encoders' pre-training, as its card has it (`ClampPretrainConfig.variant`)."""
        if self.without is None:
            return "none"
        off = ["without", *(part.replace("_", "-") for part in self.without)] if self.without else []
        return "-".join([*self.pretraining.values(), *off]) or "full"


ORTHOGONAL, POINTS, DOME = {"layout": "orthogonal"}, {"image": "dp3"}, {"layout": "dome"}
"""Of the pre-training, and of the cells' method under the same names."""

FULL = ClampVariant("ALOHA Unleashed with CLAMP", "full", 0)
VARIANTS = (
    FULL,
    ClampVariant("Without virtual wrist views", "without-wrist-views", 3, ("wrist_views",), {"views": "fixed"}),
    ClampVariant("Standard virtual five views", "standard-views", 3, method=ORTHOGONAL, pretraining=ORTHOGONAL),
    ClampVariant("Pre-training w/o text encoder", "without-text", 3, ("text",)),
    ClampVariant("Replace ViT with DP3", "dp3", 3, method=POINTS, pretraining=POINTS),
    ClampVariant("Without STRING", "without-string", 3, ("string",), {"string": "false"}),
    ClampVariant("Without pre-training encoders", "none", 3, None, {"frozen": "false"}),
    ClampVariant("Unfrozen encoders (fine-tuning)", "unfrozen", 3, (), {"frozen": "false"}),
    ClampVariant("ACT with CLAMP", "act", 3, beside=ACT),
    ClampVariant("Image random cropping", "random-crop", 4, policy={"crop": "random"}),
    ClampVariant("Pre-training decoder only", "decoder-only", 4, policy={"begin": "decoder"}),
    ClampVariant("Dome images", "dome", 4, method=DOME, pretraining=DOME),
    ClampVariant("Pooled encoder features (fine-tuning)", "pooled", 4, policy={"condition": "pooled"}),
    ClampVariant("Absolute Cartesian control", "cartesian", 4, control="cartesian"),
    ClampVariant("Relative Cartesian control", "relative-cartesian", 4, control="relative-cartesian"),
)
OPTIONS_OF_METHOD = ("views", "string", "frozen", "layout", "image")
OPTIONS_OF_POLICY = ("crop", "begin", "condition")
"""Which tell the rows apart; others, such as a size, are the user's."""


def choose_clamp(names: Sequence[str] | None) -> tuple[ClampVariant, ...]:
    """The variants of these names, or all that have joint targets, in the tables' order. Raises `ConfigError`."""
    known = {variant.name: variant for variant in VARIANTS}
    for name in names or []:
        if name not in known:
            raise ConfigError(f"--variants {name} is none of {', '.join(known)}")
    if len({known[name].control for name in names or []}) > 1:
        apart = ", ".join(variant.name for variant in VARIANTS if variant.control != BY_JOINTS)
        raise ConfigError(
            f"--variants {','.join(names or [])}: actions that say different things; of {apart} give each alone, with "
            "the policy that was pre-trained with its actions"
        )
    return tuple(one for one in VARIANTS if (one.name in names if names else one.control == BY_JOINTS))
