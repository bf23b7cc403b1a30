"""CLIP's tokenizer against transformers' on one vocabulary, and the text tower from files in OpenAI's layout."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
import torch

from methods.card import ImageInput
from methods.clar import teacher
from methods.clip_layout import MEAN, STD
from methods.errors import BadWeights, WeightsMissing
from methods.networks.clip import CLIPConfig, TextTower, VisionTower
from methods.networks.clip_tokens import END, START, WORD_END, Tokenizer, byte_symbols
from methods.preprocess import prepare_images
from methods.text import CARD, ClipText
from tests.methods import tiny_clip
from tests.methods.tiny_clip import MERGES

transformers = pytest.importorskip("transformers", reason="the oracle for the tokenizer: pip install -e .[dev]")
SENTENCES = [
    "press the button",
    "Pull the LEVER, and press   the button!",
    "the robot's hand & the lever...",
    "banana bananana",
    "it is 224 cm",
    "don't they've we'll",
    "&amp; the",
    "a-b_c d@e #1",
    "",
]


def test_the_bytes_are_in_openais_order() -> None:
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert symbols[:3] == ["!", '"', "#"]
    assert symbols[188] == "Ā", "the first byte that cannot be printed"


def test_it_is_the_tokenizer_of_transformers(tmp_path: Path) -> None:
    ours = Tokenizer(MERGES)
    (tmp_path / "vocab.json").write_text(json.dumps(ours.ids))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, MERGES)) + "\n")
    theirs = transformers.CLIPTokenizer.from_pretrained(str(tmp_path))
    for sentence in SENTENCES:
        clean = sentence.replace("&amp;", "&")  # ours undoes HTML as OpenAI's does
        expected = theirs(clean)["input_ids"]
        assert [ours.ids[START], *ours.encode(sentence), ours.ids[END]] == expected, sentence
    ids = ours(SENTENCES)
    assert ids.shape == (len(SENTENCES), 77)
    assert ids[0].tolist()[:5] == [
        ours.ids[w] for w in (START, "press" + WORD_END, "the" + WORD_END, "button" + WORD_END, END)
    ]
    assert not ids[0, 5:].any()


def test_what_it_cannot_read_is_an_error() -> None:
    ours = Tokenizer(MERGES, context=6)
    with pytest.raises(ValueError, match="more than 6"):
        ours(["press the button and the lever"])
    with pytest.raises(ValueError, match="not ASCII"):
        ours(["drücke den Knopf"])


def test_the_text_tower_comes_from_openais_files(tmp_path: Path) -> None:
    config = tiny_clip.config()
    card = dataclasses.replace(CARD, weights=tuple(dataclasses.replace(f, sha256=None) for f in CARD.weights))
    with pytest.raises(WeightsMissing, match="bench weights clip-text --fetch"):
        ClipText.load(tmp_path, config, card)
    tower = tiny_clip.write_files(tmp_path, config)
    words = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    text = ClipText.load(tmp_path, config, card)
    features = text(["press the button", "pull the lever", "press  the BUTTON"])
    assert features.shape == (3, 24)
    torch.testing.assert_close(features[0], tower(text.tokenizer(["press the button"]))[0])
    assert torch.equal(features[0], features[2])
    assert not torch.allclose(features[0], features[1])
    assert not any(p.requires_grad for p in text.tower.parameters())
    words.write_bytes(words.read_bytes()[:40])
    with pytest.raises(BadWeights, match="not CLIP's vocabulary"):
        ClipText.load(tmp_path, config, card)


def test_clars_teacher_is_both_towers_of_one_file(tmp_path: Path) -> None:
    config = CLIPConfig(
        patch=56, width=64, depth=2, embed=24, context=12, vocabulary=514 + len(MERGES), text_width=64, text_depth=1
    )
    files = tuple(dataclasses.replace(f, sha256=None) for f in teacher.CARD.weights)
    card = dataclasses.replace(teacher.CARD, weights=files)
    with pytest.raises(WeightsMissing, match="bench weights clar-teacher --fetch"):
        teacher.Teacher.load(tmp_path, config, card)
    torch.manual_seed(0)
    vision, tower = VisionTower(config).eval(), TextTower(config).eval()
    whole = {f"visual.{n}": t for n, t in vision.state_dict().items()} | tower.state_dict()
    torch.save({**whole, "logit_scale": torch.ones(())}, tmp_path / "ViT-B-16.pt")
    with gzip.open(tmp_path / "bpe_simple_vocab_16e6.txt.gz", "wt") as file:
        file.write('"bpe_simple_vocab_16e6.txt#version: 0.2\n' + "\n".join(map(" ".join, MERGES)) + "\nmore pairs\n")
    found = teacher.Teacher.load(tmp_path, config, card)
    assert (found.dim, found.map_dim, found.cells) == (24, 64, 4)
    rgb = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    feature, cells = found.images(rgb)
    pixels = prepare_images(rgb, ImageInput(224, (0, 1), MEAN, STD))
    torch.testing.assert_close(feature, vision(pixels))
    patches = vision.ln_post(vision.tokens(pixels))[:, 1:]
    torch.testing.assert_close(cells[1, 2, 3], patches[1, 2 * 4 + 3], msg="row by row")
    assert found.texts(["press the button", "pull the lever"]).shape == (2, 24)
    assert not feature.requires_grad and not any(p.requires_grad for p in found.vision.parameters())  # type: ignore[attr-defined]
    assert found.identity().startswith("clip-vitb16-")
