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
from envs.view_layouts import FIVE, LAYOUTS

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
    layout: str = later(FIVE)
    image: str = later("vit")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("layout", tuple(LAYOUTS)), ("image", ("vit", "dp3"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name}={getattr(self, name)} is none of {', '.join(allowed)}")
        from methods.clamp.representation import check_together

        try:
            check_together(self.encoder_options())
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
        said = {
            "string": "true" if self.string else "false",
            "views": "five" if self.wrist_views else "fixed",
            "layout": self.layout,
            "image": self.image,
        }
        usual = {"string": "true", "views": "five", "layout": FIVE, "image": "vit"}
        return {name: value for name, value in said.items() if value != usual[name]}

    @property
    def view_layout(self) -> str:
        return self.layout

    def epoch(self, steps_of_a_pass: int) -> int:
        return self.steps_per_epoch

    @property
    def variant(self) -> str:
        off = [name.replace("_", "-") for name in self.parts if not getattr(self, name)]
        other = [*([self.layout] if self.layout != FIVE else []), *([self.image] if self.image != "vit" else [])]
        return "-".join([*other, *(["without", *off] if off else [])]) or "full"
