"""CLAMP's objective: its loss against a double loop, its printed sign, its text, its sizes, what it refuses."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.settings.pretraining import load_pretrain
from envs.aloha.env import MOST_OBJECTS
from envs.aloha.instructions import INSTRUCTIONS as ALOHA
from envs.aloha.objects import NAMES
from envs.description import describe as describe_env
from envs.metaworld_objects import OBJECTS, objects
from envs.metaworld_tasks import INSTRUCTIONS
from methods.clamp.description import NoText, describe
from methods.clamp.encoder import ActionEncoder, ImageEncoder
from methods.clamp.loss import Scales, siglip
from methods.clamp.text import SMALL, TextConfig, TextEncoder
from methods.clamp.tokens import END, MT5_VOCABULARY, HashedWords, TextTooLong, open_tokenizer
from methods.errors import BadWeights, PackageMissing, WeightsMissing
from methods.frozen import count_parameters


def unit(rows: int, width: int, seed: int) -> Tensor:
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(made, dim=-1)


@pytest.mark.parametrize("sign", ["siglip", "as_printed"])
def test_the_loss_and_its_gradient_are_those_of_a_double_loop(sign: str) -> None:
    ours = [unit(7, 5, 0), unit(7, 5, 1), torch.tensor(3.0).double(), torch.tensor(-1.5).double()]
    theirs = [one.clone().requires_grad_() for one in ours]
    ours = [one.requires_grad_() for one in ours]
    x, y, t, b = theirs
    total = torch.zeros((), dtype=torch.float64)
    for i in range(7):
        for j in range(7):
            label = 1 if i == j else -1
            inner = -t * (x[i] @ y[j]) + b if sign == "as_printed" else -(t * (x[i] @ y[j]) + b)
            total = total - torch.log(1 / (1 + torch.exp(label * inner)))
    (total / 7).backward()
    found = siglip(*ours, sign)
    found.backward()
    torch.testing.assert_close(found, total / 7)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_printed_sign_begins_by_taking_every_pair_for_a_match() -> None:
    """At t = 10 and b = -10: about 10 for each row's own pair, and 10 for each of the others as printed."""
    batch, (t, b) = 64, Scales(3).of(2)
    x, y = unit(batch, 256, 0).float(), unit(batch, 256, 1).float()
    cosines = (x * y).sum(-1)
    positive = functional.softplus(10 - 10 * cosines).mean()
    negatives = (batch - 1) * math.exp(-10)
    assert siglip(x, y, t, b).item() == pytest.approx(positive.item() + negatives, rel=0.02)
    assert siglip(x, y, t, b).item() == pytest.approx(10, rel=0.05)
    printed = siglip(x, y, t, b, "as_printed")
    assert printed.item() == pytest.approx(10 * (batch - 1), rel=0.02)
    torch.testing.assert_close(printed, siglip(x, y, t, -b))
    pulls = {}
    for sign in ("siglip", "as_printed"):  # on a pair that belongs together
        one = x[:1].clone().requires_grad_()
        siglip(one, y[:1], t.detach(), b.detach(), sign).backward()
        assert one.grad is not None
        pulls[sign] = -(one.grad * y[:1]).sum().item()
    assert pulls["siglip"] == pytest.approx(10, rel=0.05) and 0 < pulls["as_printed"] < 0.01


def test_counts_are_the_papers() -> None:
    with torch.device("meta"):
        counts = (ImageEncoder(), 94), (ActionEncoder(50, 14), 18), (TextEncoder(MT5_VOCABULARY), 277)
    for encoder, millions in counts:
        assert count_parameters(encoder) / 1e6 == pytest.approx(millions, rel=0.01)


def test_a_text_is_read_whole_and_from_both_sides() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(50, TextConfig(width=16, depth=2, heads=2, hidden=32, context=8)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.3)
    tokens = torch.tensor([[5, 6, 7, 8, END, END, END, END]])
    inner: list[Tensor] = []
    encoder.blocks[-1].register_forward_hook(lambda *hook: inner.append(hook[2]))
    encoder(tokens)
    later = tokens.clone()
    later[0, 3] = 9
    encoder(later)
    assert not torch.allclose(inner[0][0, 0], inner[1][0, 0]), "the first token sees the fourth: it is not causal"


def test_text_of_a_moment() -> None:
    places = np.array([[0.5123, 0.3, -0.0206], [1, 0, 0]])
    found = describe("press the button", ["button", ""], places, 0.4, 3, 100)
    assert found == "press the button; button at 0.512 0.300 -0.021; progress 40"
    assert describe("go", [], np.zeros((0, 3)), 1.0, 2, 10) == "go; progress 10"
    with pytest.raises(NoText, match="no instruction.*--without text"):
        describe("  ", [], np.zeros((0, 3)), 0.0)
    with pytest.raises(NoText, match="frame of 'go' has an object's place .* NaN"):
        describe("go", ["a"], np.full((1, 3), np.nan), 0.0)


def test_hashed_words_are_the_same_everywhere_and_no_text_is_cut() -> None:
    words = HashedWords()
    tokens = words("press the button; 0.12", 12)
    assert tokens.tolist()[:3] == [79, 3188, 3158] and (tokens[8:] == END).all()
    assert tokens[5] != tokens[6] and not np.array_equal(tokens, words("press the button; 0.21", 12))
    longest = max(
        describe(text, OBJECTS[task], np.full((len(OBJECTS[task]), 3), -0.123), 1.0)
        for task, text in INSTRUCTIONS.items()
    )
    words(longest, SMALL.context)
    for task, text in INSTRUCTIONS.items():
        words(describe(text, OBJECTS[task], np.full((len(OBJECTS[task]), 3), -1.123), 1.0), SMALL.context)
    with pytest.raises(TextTooLong, match="text of 8 tokens does not fit into 8"):
        words("press the button; 0.12", 8)


def test_every_task_of_metaworld_names_the_objects_that_it_observes() -> None:
    assert set(OBJECTS) == set(INSTRUCTIONS)
    assert objects("push") == (("puck", 4),)
    assert describe_env("metaworld").objects("hammer") == (("hammer", 4), ("nail", 11))


def test_every_task_of_aloha_names_its_objects_in_the_words_of_its_instruction() -> None:
    assert set(NAMES) == set(ALOHA)
    for task, told in ALOHA.items():
        names, entries = zip(*describe_env("aloha").objects(task), strict=True)
        assert names[0] in told and all(name in told for name in names[:2] if len(NAMES[task]) > 1), task
        assert entries == tuple(range(0, 7 * len(names), 7)) and len(set(names)) == len(names) <= MOST_OBJECTS


def test_the_small_encoder_takes_the_longest_text_of_aloha() -> None:
    """Six objects, all of them left of and below the crop's box."""
    context = load_pretrain("clamp-small").context  # type: ignore[attr-defined]
    task = "can-opener-in-right-compartment"
    names = [name for name, _ in describe_env("aloha").objects(task)]
    text = describe(ALOHA[task], names, np.full((6, 3), -0.123), 1.0)
    assert HashedWords()(text, context)[-1] == END
    with pytest.raises(TextTooLong, match="into 96 with its end, and would into context=1"):
        HashedWords()(text, SMALL.context)


def test_mt5_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsMissing, match="clamp-text"):
        open_tokenizer("mt5", tmp_path)
    (tmp_path / "spiece.model").write_bytes(b"no model")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(PackageMissing, match="pip install sentencepiece; or .*tokenizer=hashed"):
        open_tokenizer("mt5", tmp_path)

    class Broken:
        def __init__(self, model_file: str) -> None:
            raise RuntimeError("could not parse\nModelProto")

    monkeypatch.setitem(sys.modules, "sentencepiece", SimpleNamespace(SentencePieceProcessor=Broken))  # type: ignore[arg-type]
    with pytest.raises(BadWeights, match="no SentencePiece model .could not parse ModelProto"):
        open_tokenizer("mt5", tmp_path)
