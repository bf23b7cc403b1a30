"""The settings of CLAR's pre-training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from benchmark.settings.bounds import Factor, Range, Share
from benchmark.settings.pretraining import PretrainConfig
from benchmark.system.errors import ConfigError

if TYPE_CHECKING:
    from envs.spec import FieldSpec
    from methods.base import Representation
    from methods.clar.objective import ClarObjective
    from methods.clar.pretraining import Options

FORMATS = {"dcl_as_printed": 2}
"""Of forms whose meaning has changed; 1 for all others. Until 2 `dcl_as_printed` was what is `dcl` now."""


@dataclass(frozen=True)
class ClarPretrainConfig(PretrainConfig):
    """See `benchmark/conf/pretrain/clar.yaml` for each value's source, `methods.clar.pretraining` for what it does."""

    parts: ClassVar[tuple[str, ...]] = ("mae", "contrast", "local")
    teachers: ClassVar[tuple[str, ...]] = ("clip", "random")

    mae: bool
    contrast: bool
    local: bool
    weight_mae: Factor
    weight_image: Factor
    weight_text: Factor
    weight_local: Factor
    mask_low: Share
    mask_high: Share
    decoder_depth: Annotated[int, Range(1, 64)]
    cd_scale: Annotated[float, Range(0, 1_000_000, above_low=True)]
    form: str
    local_width: Annotated[int, Range(1, 16_384)]
    local_heads: Annotated[int, Range(1, 256)]
    local_points: Annotated[int, Range(1, 1_024)]
    local_negatives: str
    augment: str
    norm: str
    feature: str

    def __post_init__(self) -> None:
        super().__post_init__()
        from methods.clar.representation import NORMS

        if self.norm not in NORMS:
            raise ConfigError(f"norm={self.norm} is none of {', '.join(NORMS)}")
        try:
            self.options()
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def options(self) -> Options:
        """Raises ValueError."""
        from methods.clar.pretraining import Options

        return Options(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Options)})

    def objective(self, kind: type[Representation], specs: Mapping[str, FieldSpec]) -> ClarObjective:
        from methods.clar.objective import ClarObjective
        from methods.clar.representation import CLAR

        if not issubclass(kind, CLAR):
            raise ConfigError(f"{kind.__name__} is no CLAR encoder and has no pre-training here")
        return ClarObjective(kind, specs, self.options(), self.norm, self.feature)

    @property
    def taught(self) -> bool:
        return self.contrast or self.local

    @property
    def variant(self) -> str:
        if self.mae and self.contrast and self.local:
            return "full"
        off = [name for name in ("mae", "local", "contrast") if not getattr(self, name)]
        return "mae-only" if off == ["local", "contrast"] else "without-" + "-".join(off)

    @property
    def format(self) -> int:
        return FORMATS.get(self.form, 1)
