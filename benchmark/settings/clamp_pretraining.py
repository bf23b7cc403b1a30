"""The settings of CLAMP's pre-training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from benchmark.settings.bounds import Count, Range
from benchmark.settings.pretraining import PretrainConfig
from benchmark.system.errors import ConfigError
from envs.identity import later

if TYPE_CHECKING:
    from envs.spec import FieldSpec
    from methods.base import Representation
    from methods.clamp.objective import ClampObjective
    from methods.clamp.pretraining import Options


@dataclass(frozen=True)
class ClampPretrainConfig(PretrainConfig):
    """See `benchmark/conf/pretrain/clamp.yaml` for each value's source, `methods.clamp` for what it does."""

    parts: ClassVar[tuple[str, ...]] = ("text", "string", "wrist_views")

    steps_per_epoch: Count
    text: bool
    sign: str
    scales: str
    temperature: Annotated[float, Range(0, 1_000, above_low=True)]
    bias: Annotated[float, Range(-1_000, 1_000)]
    tokenizer: str
    position_digits: Annotated[int, Range(0, 9)]
    progress_levels: Annotated[int, Range(1, 1_000_000)]
    context: Annotated[int, Range(0, 4_096)] = later(0)
    string: bool = later(True)
    wrist_views: bool = later(True)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            self.options()
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def options(self) -> Options:
        """Raises ValueError."""
        from methods.clamp.pretraining import Options

        return Options(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Options)})

    def objective(self, kind: type[Representation], specs: Mapping[str, FieldSpec]) -> ClampObjective:
        from methods.clamp.objective import ClampObjective
        from methods.clamp.representation import CLAMP

        if not issubclass(kind, CLAMP):
            raise ConfigError(f"{kind.__name__} is no CLAMP encoder and has no pre-training here")
        return ClampObjective(kind, specs, self.options(), kind.text_config, self.encoder_options())

    def encoder_options(self) -> dict[str, str]:
        """Options of the method that its checkpoint is loaded with; those at their default left out."""
        return ({} if self.string else {"string": "false"}) | ({} if self.wrist_views else {"views": "fixed"})

    def epoch(self, steps_of_a_pass: int) -> int:
        return self.steps_per_epoch

    @property
    def variant(self) -> str:
        off = [name.replace("_", "-") for name in self.parts if not getattr(self, name)]
        return "-".join(["without", *off]) if off else "full"
