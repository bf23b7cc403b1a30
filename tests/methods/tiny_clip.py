"""A CLIP of a few thousand parameters in the layout of OpenAI's files."""

from __future__ import annotations

import gzip
from pathlib import Path

import torch

from methods.networks.clip import CLIPConfig, TextTower, VisionTower

MERGES = [
    ("t", "h"),
    ("th", "e</w>"),
    ("p", "r"),
    ("pr", "e"),
    ("s", "s</w>"),
    ("pre", "ss</w>"),
    ("b", "u"),
    ("t", "t"),
    ("o", "n</w>"),
    ("bu", "tt"),
    ("butt", "on</w>"),
    ("e", "r</w>"),
    ("l", "e"),
    ("le", "v"),
    ("lev", "er</w>"),
    ("a", "n"),
    ("an", "d</w>"),
    ("n", "a"),
    ("na", "na"),
    ("'", "s</w>"),
    ("2", "2</w>"),
    (".", ".</w>"),
]


def config(context: int = 12) -> CLIPConfig:
    return CLIPConfig(
        patch=56,
        width=64,
        depth=1,
        embed=24,
        context=context,
        vocabulary=514 + len(MERGES),
        text_width=64,
        text_depth=2,
    )


def write_files(folder: Path, small: CLIPConfig) -> TextTower:
    """`ViT-B-32.pt` and the tokenizer's merges; returns the tower that is in them."""
    torch.manual_seed(0)
    tower = TextTower(small).eval()
    whole = {f"visual.{n}": t for n, t in VisionTower(small).state_dict().items()} | tower.state_dict()
    torch.save({**whole, "logit_scale": torch.ones(())}, folder / "ViT-B-32.pt")
    with gzip.open(folder / "bpe_simple_vocab_16e6.txt.gz", "wt") as file:
        file.write('"bpe_simple_vocab_16e6.txt#version: 0.2\n' + "\n".join(map(" ".join, MERGES)) + "\nmore pairs\n")
    return tower
