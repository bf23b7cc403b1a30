"""CLAMP's pre-training as an objective: its triplets, and its model from nothing or from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.clamp.description import describe
from methods.clamp.pretraining import BadActions, ClampPretraining, Options
from methods.clamp.representation import CLAMP
from methods.clamp.text import TextConfig
from methods.clamp.tokens import Tokenizer, open_tokenizer
from methods.errors import BadWeights
from methods.objective import Batch, FrozenTeacher, Objective, Row, stacked
from methods.weight_places import latest_folder
from methods.weights import load_strictly

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


class ClampObjective(Objective):
    """kind: a CLAMP representation. Frames are triplets of views, past actions and what the text is made of.

    specs: of its inputs, those of any robot: how many numbers an action has is taken from the frames.
    """

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
        self.kind, self.specs, self.options = kind, specs, options
        self.text = dataclasses.replace(text, context=options.context or text.context)
        self.encoder = dict(encoder or {})
        self.fields = (*ENCODED, "step", *SAID)
        self.tokenizer: Tokenizer | None = None
        if options.text:
            self.tokenizer = open_tokenizer(options.tokenizer, latest_folder())

    def batch(self, rows: Sequence[Row], draws: np.random.Generator) -> Batch:
        """Views, their masks, past actions, and the text's tokens (B, T) if there is a text encoder."""
        self._check_alike(rows)
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
        """The range of actions is that of the frames that are trained on, all of which are of one robot."""
        low = high = first = None
        for row in training():
            first = first or row
            self._check_alike((first, row))
            past = torch.from_numpy(np.array(row["past_actions"]))
            low = past.amin(0) if low is None else torch.minimum(low, past.amin(0))
            high = past.amax(0) if high is None else torch.maximum(high, past.amax(0))
        if low is None or high is None:
            raise ValueError("there are no frames to take the range of actions from")
        representation = self._representation(len(low))
        representation.low, representation.high = low, high
        representation.fixed = True
        model = ClampPretraining(representation, self.options, self.text)
        start_as_big_vision(model)
        return model

    def load(self, tensors: Mapping[str, Tensor], source: str) -> ClampPretraining:
        """With the range of actions, and as many numbers of an action, as in the checkpoint."""
        embed = tensors.get("representation.actions.embed.weight")
        model = ClampPretraining(
            self._representation(embed.shape[1] if embed is not None and embed.dim() == 2 else None),
            self.options,
            self.text,
        )
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

    def _representation(self, actions: int | None) -> CLAMP:
        """actions: numbers of one, None for as many as the specs say."""
        past = self.specs["past_actions"]
        shape = (past.shape[0], actions or past.shape[1])
        return self.kind({**self.specs, "past_actions": dataclasses.replace(past, shape=shape)}, **self.encoder)

    def _check_alike(self, rows: Sequence[Row]) -> None:
        """Raises `BadActions` unless all are of one robot and as many steps as the encoder reads."""
        steps, shapes = self.specs["past_actions"].shape[0], [row["past_actions"].shape for row in rows]
        for found in shapes:
            if found[0] != steps:
                raise BadActions(f"frames have past actions of {found[0]} steps, and this encoder reads {steps}")
            if found != shapes[0]:
                raise BadActions(
                    f"frames have past actions of {shapes[0][1]} numbers and others of {found[1]}: they are of "
                    "different robots, and an action encoder is of one; pre-train on data of one simulator"
                )
