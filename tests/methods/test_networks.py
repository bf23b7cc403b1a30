"""Our networks against independent implementations, on the same random weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from methods.networks.clip import VIT_B32, CLIPConfig, TextTower, VisionTower
from methods.networks.resnet import ResNet
from methods.networks.vit import ViT, ViTConfig

transformers = pytest.importorskip("transformers", reason="the oracle for networks: pip install -e .[dev]")
SMALL = CLIPConfig(
    patch=16, size=64, width=128, depth=3, embed=96, context=20, vocabulary=300, text_width=64, text_depth=2
)


def close(ours: Tensor, theirs: Tensor) -> None:
    error = ((ours - theirs).norm() / theirs.norm()).item()
    assert error < 1e-5, f"relative error {error:.1e}"


def randomize(module: nn.Module) -> None:
    """Every parameter and statistic something that matters: an initial zero or one would hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator)
                scale = 0.5 * max(value[0].numel(), 1) ** -0.5 if value.dim() > 1 else 0.1
                center = (
                    1.0
                    if "var" in name or (("norm" in name or "ln_" in name or "bn" in name) and "weight" in name)
                    else 0
                )
                value.copy_(center + noise.abs() * scale if center else noise * scale)


def their_clip(config: CLIPConfig) -> nn.Module:
    vision = transformers.CLIPVisionConfig(
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        image_size=config.size,
        patch_size=config.patch,
        projection_dim=config.embed,
        hidden_act="quick_gelu",
    )
    text = transformers.CLIPTextConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.text_width,
        intermediate_size=4 * config.text_width,
        num_hidden_layers=config.text_depth,
        num_attention_heads=config.text_heads,
        projection_dim=config.embed,
        max_position_embeddings=config.context,
        hidden_act="quick_gelu",
        eos_token_id=config.vocabulary - 1,
        bos_token_id=config.vocabulary - 2,
        pad_token_id=0,
    )
    whole = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=config.embed
    )
    return transformers.CLIPModel(whole).eval()


def block_names(prefix: str, ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """OpenAI's names of a tower's blocks to those of transformers."""
    renamed = {}
    for name, tensor in ours.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, rest = name.removeprefix("transformer.resblocks.").split(".", 1)
        layer = f"{prefix}.encoder.layers.{number}"
        if rest.startswith("attn.in_proj"):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"{layer}.self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = piece
            continue
        for old, new in (
            ("attn.out_proj", "self_attn.out_proj"),
            ("ln_1", "layer_norm1"),
            ("ln_2", "layer_norm2"),
            ("mlp.c_fc", "mlp.fc1"),
            ("mlp.c_proj", "mlp.fc2"),
        ):
            rest = rest.replace(old, new)
        renamed[f"{layer}.{rest}"] = tensor
    return renamed


@pytest.mark.parametrize("config", [SMALL, pytest.param(VIT_B32, marks=pytest.mark.slow)], ids=["small", "vit-b32"])
def test_clips_image_tower_is_that_of_transformers(config: CLIPConfig) -> None:
    ours = VisionTower(config).eval()
    randomize(ours)
    state = ours.state_dict()
    theirs = their_clip(config)
    translated = block_names("vision_model", state) | {
        "vision_model.embeddings.class_embedding": state["class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "vision_model.pre_layrnorm.weight": state["ln_pre.weight"],
        "vision_model.pre_layrnorm.bias": state["ln_pre.bias"],
        "vision_model.post_layernorm.weight": state["ln_post.weight"],
        "vision_model.post_layernorm.bias": state["ln_post.bias"],
        "visual_projection.weight": state["proj"].T,
    }
    unused = theirs.load_state_dict(translated, strict=False)
    assert not unused.unexpected_keys
    assert not [key for key in unused.missing_keys if key.startswith("vis")]
    images = torch.randn(2, 3, config.size, config.size)
    with torch.no_grad():
        close(ours(images), theirs.get_image_features(pixel_values=images).pooler_output)


def test_clips_text_tower_is_that_of_transformers() -> None:
    ours = TextTower(SMALL).eval()
    randomize(ours)
    state = ours.state_dict()
    theirs = their_clip(SMALL)
    translated = block_names("text_model", state) | {
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_model.final_layer_norm.weight": state["ln_final.weight"],
        "text_model.final_layer_norm.bias": state["ln_final.bias"],
        "text_projection.weight": state["text_projection"].T,
    }
    unused = theirs.load_state_dict(translated, strict=False)
    assert not unused.unexpected_keys
    assert not [key for key in unused.missing_keys if key.startswith("text")]
    ids = torch.randint(1, SMALL.vocabulary - 2, (3, SMALL.context))
    for row, end in enumerate((4, 19, 10)):
        ids[row, 0], ids[row, end], ids[row, end + 1 :] = SMALL.vocabulary - 2, SMALL.vocabulary - 1, 0
    with torch.no_grad():
        close(ours(ids), theirs.get_text_features(input_ids=ids).pooler_output)


def test_the_vit_is_that_of_transformers() -> None:
    ours = ViT(ViTConfig(size=64, patch=16, width=128, depth=3, heads=4)).eval()
    randomize(ours)
    state = ours.state_dict()
    theirs = transformers.ViTModel(
        transformers.ViTConfig(
            hidden_size=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=512,
            image_size=64,
            patch_size=16,
            layer_norm_eps=1e-6,
            hidden_act="gelu",
        ),
        add_pooling_layer=False,
    ).eval()
    translated = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    for index in range(3):
        a, b = (
            f"blocks.{index}",
            f"layers.{index}"
            if any(k.startswith("layers") for k in theirs.state_dict())
            else (f"encoder.layer.{index}"),
        )
        for kind in ("weight", "bias"):
            pieces = dict(zip("qkv", state[f"{a}.attn.qkv.{kind}"].chunk(3), strict=True))
            pairs = {
                ("q",): pieces["q"],
                ("k",): pieces["k"],
                ("v",): pieces["v"],
                ("o",): state[f"{a}.attn.proj.{kind}"],
                ("norm1",): state[f"{a}.norm1.{kind}"],
                ("norm2",): state[f"{a}.norm2.{kind}"],
                ("fc1",): state[f"{a}.mlp.fc1.{kind}"],
                ("fc2",): state[f"{a}.mlp.fc2.{kind}"],
            }
            for (part,), tensor in pairs.items():
                translated[f"{b}.{vit_name(part, theirs)}.{kind}"] = tensor
    theirs.load_state_dict(translated)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(ours(images), theirs(images).last_hidden_state)


def vit_name(part: str, model: nn.Module) -> str:
    """The name transformers gives a part of a block; it renamed them between its versions 4 and 5."""
    new = any(".attention.q_proj." in key for key in model.state_dict())
    names = {
        "q": ("attention.q_proj", "attention.attention.query"),
        "k": ("attention.k_proj", "attention.attention.key"),
        "v": ("attention.v_proj", "attention.attention.value"),
        "o": ("attention.o_proj", "attention.output.dense"),
        "norm1": ("layernorm_before",) * 2,
        "norm2": ("layernorm_after",) * 2,
        "fc1": ("mlp.fc1", "intermediate.dense"),
        "fc2": ("mlp.fc2", "output.dense"),
    }
    return names[part][0 if new else 1]


@pytest.mark.slow
@pytest.mark.parametrize("depth", [18, 34, 50])
def test_resnets_are_those_of_transformers(depth: int) -> None:
    ours = ResNet(depth).eval()
    randomize(ours)
    state = ours.state_dict()
    bottleneck = depth == 50
    counts = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth]
    theirs = transformers.ResNetModel(
        transformers.ResNetConfig(
            layer_type="bottleneck" if bottleneck else "basic",
            depths=counts,
            hidden_sizes=[256, 512, 1024, 2048] if bottleneck else [64, 128, 256, 512],
        )
    ).eval()
    translated = {}
    for name, tensor in state.items():
        kind = name.rpartition(".")[2]
        if name.startswith(("conv1", "bn1")):
            part = "convolution" if name.startswith("conv1") else "normalization"
            translated[f"embedder.embedder.{part}.{kind}"] = tensor
            continue
        level, block, rest = name.removeprefix("layer").split(".", 2)
        where = f"encoder.stages.{int(level) - 1}.layers.{block}"
        if rest.startswith("downsample"):
            part = "convolution" if rest.startswith("downsample.0") else "normalization"
            translated[f"{where}.shortcut.{part}.{kind}"] = tensor
        else:
            part = "convolution" if rest.startswith("conv") else "normalization"
            number = int(rest.split(".")[0][-1]) - 1
            translated[f"{where}.layer.{number}.{part}.{kind}"] = tensor
    theirs.load_state_dict(translated)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(ours(images), theirs(images).pooler_output.flatten(1))
