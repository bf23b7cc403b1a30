"""CLAR's contrastive objective (eqs 2 to 4 and 6) and its global form against CLIP's image and text features.

Stated: S(U, V)_i = log(exp(U_i V_i / t) / sum over j != i of exp(U_i V_j / t)), both directions, t learnable.

As printed the positive is not among the denominator's terms. That objective has no lower bound: once positives win, a
falling temperature drives it to minus infinity. Every public code the paper builds on (ULIP, CLIP) keeps the positive
in. And as printed a row's positive is its own pair alone: another frame with the same instruction, whose text feature
is the same, is a negative like any other. Three forms:

- `infonce`, the default: frames that share an instruction are each other's positives, and stay in the denominator;
- `dcl`: the same positives, and none of them in the denominator (decoupled contrastive learning, Yeh et al., 2022,
  where each row has one);
- `dcl_as_printed`: eq. 4 to the letter. The positive is the pair i, i; every j != i is in the denominator, those with
  the same instruction too.

For images, where every frame has its own image, the last two are the same. Silent, with our default: features are
L2-normalised (without it t means nothing); sums over i are means in all three forms, so that eq. 7's weights do not
depend on the batch; t starts at 0.07 and 1/t stays within [1, 100] (salesforce/ULIP f194ddb).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Form = Literal["infonce", "dcl", "dcl_as_printed"]
FORMS: tuple[Form, ...] = ("infonce", "dcl", "dcl_as_printed")


class Temperature(nn.Module):
    """Multiplies by a learnable 1/t, kept as its logarithm."""

    largest = math.log(100)

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, scores: Tensor) -> Tensor:
        return scores * self.log_scale.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """Call after every optimiser step."""
        self.log_scale.clamp_(0, self.largest)


def share(scores: Tensor, positive: Tensor, valid: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """S of eq. 4 for every row, and which rows have one: scores (..., n, n), positive and valid bool of that shape.

    A row's S is the mean over its positives; `dcl_as_printed` has none but the diagonal. Columns that are not valid are
    neither positive nor negative. A row without a positive or without a negative says nothing and has no S (its value
    is 0).
    """
    if form == "dcl_as_printed":
        positive = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device).expand(scores.shape)
    positive = positive & valid
    negative = valid & ~positive
    said = positive.any(dim=-1) & negative.any(dim=-1)
    columns = valid if form == "infonce" else negative
    # rows that say nothing get a harmless column, or their gradient would be NaN even where it is masked out
    usable = columns | ~said.unsqueeze(-1)
    total = scores.masked_fill(~usable, -torch.inf).logsumexp(dim=-1)
    mean = (scores * positive).sum(dim=-1) / positive.sum(dim=-1).clamp(min=1)
    return torch.where(said, mean - total, torch.zeros_like(total)), said


def contrast(
    scores: Tensor, positive: Tensor | None = None, valid: Tensor | None = None, form: Form = "infonce"
) -> Tensor:
    """Eqs 2, 3 and 6 as a mean: scores (..., n, n), row i and column i of one pair, to a scalar.

    positive: bool of that shape; None for the diagonal. valid: (..., n) items that take part; None for all. Zero, with
    a gradient of zero, if no item has both a positive and a negative.
    """
    n = scores.shape[-1]
    if positive is None:
        positive = torch.eye(n, dtype=torch.bool, device=scores.device).expand(scores.shape)
    if valid is None:
        valid = torch.ones(scores.shape[:-1], dtype=torch.bool, device=scores.device)
    pairs = valid.unsqueeze(-1) & valid.unsqueeze(-2)
    terms = [
        share(scores.float(), positive, pairs, form),
        share(scores.float().transpose(-1, -2), positive.transpose(-1, -2), pairs, form),
    ]
    return -sum(value.sum() / said.sum().clamp(min=1) for value, said in terms) / 2  # type: ignore[return-value]


class GlobalContrast(nn.Module):
    """Clouds' features into CLIP's space by one matrix (ULIP), against images and instructions with one t."""

    def __init__(self, feature_dim: int, teacher_dim: int, form: Form = "infonce") -> None:
        super().__init__()
        self.form = form
        self.project = nn.Linear(feature_dim, teacher_dim, bias=False)
        nn.init.normal_(self.project.weight, std=teacher_dim**-0.5)
        self.temperature = Temperature()

    def embed(self, features: Tensor) -> Tensor:
        """(B, feature_dim) to unit vectors (B, teacher_dim)."""
        return functional.normalize(self.project(features).float(), dim=-1)

    def forward(self, clouds: Tensor, images: Tensor, texts: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """The losses against images (eq. 2) and instructions (eq. 3).

        clouds: (B, D) unit vectors of `embed`. images, texts: (B, D) frozen features. said: (B,) int, equal where
        instructions are.
        """
        images, texts = (functional.normalize(teacher.float(), dim=-1) for teacher in (images, texts))
        same = said.unsqueeze(0) == said.unsqueeze(1)
        return (
            contrast(self.temperature(clouds @ images.T), form=self.form),
            contrast(self.temperature(clouds @ texts.T), same, form=self.form),
        )
