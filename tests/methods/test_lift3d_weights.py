"""Lift3D's checkpoint in its authors' layout: what is merged, renamed, taken from CLIP, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.lift3d import Lift3D
from baselines.lift3d_layout import tokenizer_names
from baselines.lift3d_lora import SCALING
from methods.errors import BadWeights
from tests.methods.test_weights import build, prefixed


class Bottleneck(nn.Module):
    """The tree of modules in which Lift3D keeps a residual layer; `act` is one module under three names."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.net1 = nn.Sequential(nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), self.act)
        self.net2 = nn.Sequential(nn.Conv2d(width, channels, 1), nn.BatchNorm2d(channels))


def their_tokenizer() -> nn.Module:
    """Widths of the three stages 192, 384 and 768; bottlenecks of half, but 32 in the last (networks.py:193)."""
    encoder = nn.Module()
    encoder.raw_point_embed = nn.Module()
    encoder.raw_point_embed.net = nn.Sequential(nn.Conv1d(3, 96, 1, bias=False), nn.BatchNorm1d(96), nn.ReLU())
    encoder.LGA_list = nn.ModuleList()
    for channels, width, count in ((192, 96, 2), (384, 192, 1), (768, 32, 1)):
        stage = nn.Module()
        stage.linear2 = nn.Sequential(*(Bottleneck(channels, width) for _ in range(count)))
        encoder.LGA_list.append(stage)
    return encoder


def lift3d_layout(source: Lift3D) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Lift3D's file after its first LoRA wrap, and the same weights merged."""
    merged, split = {}, {}
    for name, tensor in source.transformer.state_dict().items():
        if ".lora_" in name:
            continue
        block, kind = name.rpartition(".attn.in_proj_")[::2]
        if ".attn.in_proj_" not in name:
            split[name.replace("attn.out_proj", "attn.proj")] = merged[name] = tensor
            continue
        pieces = list(tensor.chunk(3))
        for index, letter in enumerate("qkv"):
            where = f"{block}.attn.{letter}_proj"
            split[f"{where}.{kind}"] = pieces[index]
            if kind == "weight":
                a, b = torch.randn(2, 768), torch.randn(768, 2)
                split[f"{where}.w_lora_A"], split[f"{where}.w_lora_B"] = a, b
                pieces[index] = pieces[index] + SCALING * b @ a
        merged[name] = torch.cat(pieces)
    own = {
        name: torch.randn_like(source.state_dict()[name])
        for name in ("cls_token", "cls_pos", "norm.weight", "norm.bias")
    }
    image = {
        "conv1.weight": torch.zeros(768, 3, 32, 32),
        "class_embedding": torch.zeros(768),
        "ln_pre.weight": torch.ones(768),
    }
    tokens = {
        name: torch.randn(tensor.shape) if tensor.dim() else tensor + 7
        for name, tensor in their_tokenizer().state_dict().items()
    }
    split |= own | image | {"positional_embedding": torch.randn(50, 768)} | prefixed("patch_embed.EncP.", tokens)
    return split, merged | own


def test_the_tokenizers_62_keys_are_those_of_the_authors_modules() -> None:
    assert set(tokenizer_names()) == {f"patch_embed.EncP.{name}" for name in their_tokenizer().state_dict()}
    assert len(set(tokenizer_names().values())) == 62


@pytest.mark.slow
def test_lift3ds_checkpoint_is_merged_its_tokenizer_loaded_and_its_grid_taken(tmp_path: Path) -> None:
    split, merged = lift3d_layout(build(Lift3D, 0))
    torch.save({"model": split}, tmp_path / "lift3d.pth")
    target = build(Lift3D, 1)
    target.load_weights([tmp_path / "lift3d.pth"])
    for name, tensor in target.transformer.state_dict().items():
        if ".lora_" not in name:
            torch.testing.assert_close(tensor, merged[name])
    assert torch.equal(target.norm.bias, merged["norm.bias"])
    assert torch.equal(target.position_grid[:, 2, 3], split["positional_embedding"][1 + 2 * 7 + 3])
    encoder, layers = "patch_embed.EncP", target.tokenizer.stages[2][0].layers
    assert torch.equal(target.tokenizer.embed[0].weight, split[f"{encoder}.raw_point_embed.net.0.weight"][..., 0])
    assert torch.equal(target.tokenizer.embed[1].running_var, split[f"{encoder}.raw_point_embed.net.1.running_var"])
    assert torch.equal(layers[0].weight, split[f"{encoder}.LGA_list.2.linear2.0.net1.0.weight"][..., 0, 0])
    assert torch.equal(layers[3].bias, split[f"{encoder}.LGA_list.2.linear2.0.net2.0.bias"])
    assert torch.equal(layers[4].weight, split[f"{encoder}.LGA_list.2.linear2.0.net2.1.weight"])
    first, second = (layer.layers[0].weight for layer in target.tokenizer.stages[0])
    assert not torch.equal(first, second)
    for absent in ("cls_token", "cls_pos", "norm.weight", f"{encoder}.LGA_list.1.linear2.0.net2.1.running_mean"):
        torch.save({name: tensor for name, tensor in split.items() if name != absent}, tmp_path / "absent.pth")
        with pytest.raises(BadWeights, match=f"lacks {absent}: is it"):
            target.load_weights([tmp_path / "absent.pth"])
    torch.save(split | {f"{encoder}.LGA_list.3.x": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(BadWeights, match=r"1 not of this network \(patch_embed.EncP.LGA_list.3.x\)"):
        target.load_weights([tmp_path / "more.pth"])
    del split["resblocks.0.attn.k_proj.weight"]
    torch.save(split, tmp_path / "broken.pth")
    with pytest.raises(BadWeights, match=r"lacks .*0\.attn\.k_proj"):
        target.load_weights([tmp_path / "broken.pth"])
