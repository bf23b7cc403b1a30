"""CLAMP's pre-training as an objective: its triplets, and its model from nothing or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from envs.errors import UserError
from envs.spec import FieldSpec
from methods.clamp.description import describe
from methods.clamp.pretraining import ClampPretraining, Options
from methods.clamp.representation import CLAMP
from methods.clamp.text import TextConfig
from methods.clamp.tokens import Tokenizer, open_tokenizer
from methods.errors import BadWeights
from methods.objective import Batch, FrozenTeacher, Objective, Row, stacked
from methods.weights import latest_folder, load_strictly

ENCODED = ("views", "views_valid", "past_actions")
SAID = ("object_names", "object_places", "progress")
CELLS = 3
"""Of the workspace, along x and y (appendix B)."""


def start_as_big_vision(model: ClampPretraining) -> None:
    """Xavier for weights, normal with a deviation of width^-0.5 for positions and the embedding of tokens.

    With a ViT's usual 0.02 for all sizes, small encoders give nearly the same vector for every input, and SigLIP's loss
    stays where all embeddings are equal.
    """
    for part in (model.representation.images, model.representation.actions, model.text):
        for layer in part.modules() if part is not None else ():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
            elif isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight.view(len(layer.weight), -1))
            elif isinstance(layer, nn.Embedding):
                nn.init.normal_(layer.weight, std=layer.embedding_dim**-0.5)
        for name, parameter in part.named_parameters() if part is not None else ():
            if name in ("pos_embed", "positions"):
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)


class BadActions(UserError, ValueError):
    """Frames whose actions have another width than the encoder's."""


class ClampObjective(Objective):
    """kind: a CLAMP representation. Frames are triplets of views, past actions and what the text is made of."""

    when_diverged = "sign=siglip"
    selections = ("task-step", "trajectory", "all")

    def __init__(
        self,
        kind: type[CLAMP],
        specs: Mapping[str, FieldSpec],
        options: Options,
        text: TextConfig,
        encoder: Mapping[str, str] | None = None,
    ) -> None:
        """encoder: options of `kind`, which a policy over it has to be given, too."""
        self.kind, self.specs, self.options, self.text = kind, specs, options, text
        self.encoder = dict(encoder or {})
        self.fields = (*ENCODED, "step", *SAID)
        self.tokenizer: Tokenizer | None = None
        if options.text:
            self.tokenizer = open_tokenizer(options.tokenizer, latest_folder())

    def batch(self, rows: Sequence[Row], draws: np.random.Generator) -> Batch:
        """Views, their masks, past actions, and the text's tokens (B, T) if there is a text encoder."""
        self._check_width(rows[0])
        found = stacked(rows, ENCODED)
        if self.tokenizer is not None:
            found["tokens"] = torch.from_numpy(
                np.stack([self.tokenizer(self.describe(row), self.text.context) for row in rows])
            )
        return found

    def describe(self, row: Row) -> str:
        """The text of a frame."""
        names = [str(name) for name in row["object_names"]]
        digits, levels = self.options.position_digits, self.options.progress_levels
        return describe(row.instruction, names, row["object_places"], float(row["progress"]), digits, levels)

    def build(
        self, training: Callable[[], Iterable[Row]], teacher: FrozenTeacher | None, say: Callable[[str], None]
    ) -> ClampPretraining:
        """The range of actions is that of the frames that are trained on."""
        representation = self.kind(self.specs, **self.encoder)
        low, high = representation.low.clone(), representation.high.clone()
        low[:], high[:] = torch.inf, -torch.inf
        for row in training():
            self._check_width(row)
            past = torch.from_numpy(np.array(row["past_actions"]))
            low, high = torch.minimum(low, past.amin(0)), torch.maximum(high, past.amax(0))
        representation.low, representation.high = low, high
        representation.fixed = True
        model = ClampPretraining(representation, self.options, self.text)
        start_as_big_vision(model)
        return model

    def load(self, tensors: Mapping[str, Tensor], source: str) -> ClampPretraining:
        """With the range of actions that is in the checkpoint."""
        model = ClampPretraining(self.kind(self.specs, **self.encoder), self.options, self.text)
        model.representation.load_tensors(tensors, source)
        rest: dict[str, Tensor] = {n: t for n, t in tensors.items() if not n.startswith("representation.")}
        for name, part in (("text", model.text), ("logit", model.logit)):
            own = {n.removeprefix(f"{name}."): t for n, t in rest.items() if n.startswith(f"{name}.")}
            if part is not None:
                load_strictly(part, own, f"{source} ({name})")
            elif own:
                raise BadWeights(f"{source} holds a {name} encoder, and its card says that it was trained without")
        return model

    def examples(self, rows: Sequence[Row], trajectories: Sequence[str], selection: str) -> list[int]:
        """Appendix B: of held-out frames at steps that are multiples of 10 those whose first object is in a cell of the
        3 x 3 grid over the workspace in which it has not been before. Before: in this task at this step (`task-step`),
        or in this trajectory (`trajectory`); the paper does not say. `all`: every such step.
        """
        seen: set[tuple[object, ...]] = set()
        chosen = []
        for number, (row, trajectory) in enumerate(zip(rows, trajectories, strict=True)):
            step = int(row["step"])
            if step % 10:
                continue
            place = np.clip(np.floor(row["object_places"][0, :2] * CELLS), 0, CELLS - 1)
            cell = (int(place[0]), int(place[1]))
            group = {"task-step": (row.instruction, step), "trajectory": (trajectory,), "all": (number,)}[selection]
            if (*group, cell) not in seen:
                seen.add((*group, cell))
                chosen.append(number)
        return chosen

    def _check_width(self, row: Row) -> None:
        wanted, found = self.specs["past_actions"].shape, row["past_actions"].shape
        if found != wanted:
            raise BadActions(
                f"frames have past actions of {found[0]} steps of {found[1]} numbers, and this encoder reads "
                f"{wanted[0]} of {wanted[1]}: they are of another robot"
            )
