"""Official checkpoint layouts, built here, saved, and loaded through each method; and what is refused."""

from __future__ import annotations

import dataclasses
import os
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.clip import CLIP
from baselines.r3m import R3MResNet18
from baselines.spa import SPA
from baselines.vc1 import VC1
from methods.base import Representation
from methods.card import MethodCard, WeightFile
from methods.clar.representation import CLAR
from methods.errors import BadWeights, WeightsMissing
from methods.frozen import fingerprint
from methods.networks.clip import CLIPConfig, TextTower, VisionTower
from methods.networks.vit import ViTConfig
from methods.testing import RepresentationContract
from methods.weights import RANDOM, choose_weights, read_tensors

TINY_VIT = ViTConfig(size=224, patch=56, width=24, depth=2, heads=2)
TINY_CLIP = CLIPConfig(patch=56, width=64, depth=2, embed=24, context=8, vocabulary=50, text_width=64, text_depth=1)


class TinyVC1(VC1):
    config = TINY_VIT


class TinySPA(SPA):
    config = TINY_VIT


class TinyCLIP(CLIP):
    config = TINY_CLIP


def build(kind: type[Representation], seed: int = 0, **options: str) -> Any:
    contract = RepresentationContract()
    contract.method = kind.card.name  # type: ignore[misc]
    torch.manual_seed(seed)
    return kind(contract.specs(), **options)


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def r3m_layouts(state: dict[str, Tensor]) -> dict[str, Any]:
    trunk = prefixed("module.convnet.", state)
    others = {
        "module.lang_enc.model.embeddings.weight": torch.zeros(3, 3),
        "module.lang_rew.pred.0.weight": torch.zeros(2),
    }
    return {
        "official": {"r3m": {**trunk, **others}},
        "flat": trunk,
        "mirror": prefixed("convnet.", state),
        "bare": state,
    }


def vc1_layouts(state: dict[str, Tensor]) -> dict[str, Any]:
    decoder = {
        "decoder_blocks.0.norm1.weight": torch.zeros(3),
        "mask_token": torch.zeros(1),
        "decoder_pos_embed": torch.zeros(2),
    }
    return {
        "official": {"model": {**state, **decoder}, "epoch": 3, "args": Namespace(lr=1.0)},
        "flat": {**state, **decoder},
    }


def spa_layouts(state: dict[str, Tensor]) -> dict[str, Any]:
    whole = prefixed("model.img_backbone.", state)
    whole |= {"model.img_backbone.decoder.weight": torch.zeros(2), "model.render.weight": torch.zeros(2)}
    return {"ckpt": {"state_dict": whole}, "flat": whole}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "layouts"),
    [(R3MResNet18, r3m_layouts), (TinyVC1, vc1_layouts), (TinySPA, spa_layouts)],
    ids=["r3m", "vc1", "spa"],
)
def test_official_layouts_load_strictly(kind: type[Representation], layouts: Any, tmp_path: Path) -> None:
    source, target = build(kind, 0), build(kind, 1)
    network = source.network.vit if hasattr(source.network, "vit") else source.network
    for name, content in layouts(network.state_dict()).items():
        torch.save(content, tmp_path / f"{name}.pth")
        other = build(kind, 2)
        other.load_weights([tmp_path / f"{name}.pth"])
        assert fingerprint(other) == fingerprint(source) != fingerprint(target), name


def test_spas_safetensors_are_read_by_prefix(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source, target = build(TinySPA, 0), build(TinySPA, 1)
    whole = prefixed("model.img_backbone.", source.network.vit.state_dict()) | {"model.render.w": torch.zeros(3)}
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, tmp_path / "spa.safetensors")
    assert "model.render.w" not in read_tensors(tmp_path / "spa.safetensors", prefixes=("model.img_backbone.",))
    target.load_weights([tmp_path / "spa.safetensors"])
    assert fingerprint(target) == fingerprint(source)


class OpenAIModule(nn.Module):
    """The module tree of OpenAI's archive, with the three facts that it keeps as tensors."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.visual = VisionTower(config)
        for name, module in TextTower(config).named_children():
            setattr(self, name, module)
        text = TextTower(config)
        self.positional_embedding, self.text_projection = text.positional_embedding, text.text_projection
        self.logit_scale = nn.Parameter(torch.ones(()))
        for name in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(name, torch.tensor(224))

    def forward(self, images: Tensor) -> Tensor:
        return self.visual(images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("half", [False, True])
def test_openais_torchscript_archive_is_read_without_running_it(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    module = OpenAIModule(TINY_CLIP)
    traced = torch.jit.trace(module, torch.zeros(1, 3, 224, 224))
    torch.jit.save(traced.half() if half else traced, tmp_path / "ViT-B-32.pt")
    target = build(TinyCLIP, 1)
    target.load_weights([tmp_path / "ViT-B-32.pt"])
    for name, tensor in module.visual.state_dict().items():
        expected = tensor.half().float() if half else tensor
        assert torch.equal(target.network.state_dict()[name], expected), name
        assert target.network.state_dict()[name].dtype == torch.float32
    torch.save({**module.state_dict(), "visual.extra": torch.zeros(1)}, tmp_path / "extra.pt")
    with pytest.raises(BadWeights, match="1 not of this network"):
        target.load_weights([tmp_path / "extra.pt"])


@pytest.mark.slow
def test_clars_checkpoint_keeps_its_workspace(tmp_path: Path) -> None:
    source, target = build(CLAR, 0, norm="workspace"), build(CLAR, 1, norm="workspace")
    source.preprocess.high.fill_(3.0)
    torch.save({"representation": source.state_dict(), "decoder": {"w": torch.zeros(2)}}, tmp_path / "clar.pt")
    target.load_weights([tmp_path / "clar.pt"])
    target.fit({"points": torch.rand(4, 50, 3), "points_valid": torch.ones(4, 50, dtype=torch.bool)})
    assert fingerprint(target) == fingerprint(source)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/repbench-was-here",)


def test_what_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "evil.pt").open("wb") as file:
        pickle.dump({"model": Evil()}, file)
    torch.save({"model": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(BadWeights, match="run code, which is refused"):
            read_tensors(tmp_path / name)
    assert not Path("/tmp/repbench-was-here").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_cannot_smuggle_code_either(tmp_path: Path) -> None:
    import zipfile

    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good, zipfile.ZipFile(tmp_path / "evil.pt", "w") as evil:
        for name in good.namelist():
            evil.writestr(name, pickle.dumps(Evil()) if name.endswith("/data.pkl") else good.read(name))
    with pytest.raises(BadWeights, match="posix.system.*refused"):
        read_tensors(tmp_path / "evil.pt")


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    source = build(TinyVC1)
    torch.save(source.network.vit.state_dict(), tmp_path / "whole.pth")
    data = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadWeights, match=r"cut.pth cannot be read .* is it whole"):
        source.load_weights([tmp_path / "cut.pth"])
    with pytest.raises(BadWeights, match=r"does not fit: .* missing .* not of this network .* another method's file"):
        build(R3MResNet18).load_weights([tmp_path / "whole.pth"])
    state = dict(source.network.vit.state_dict())
    state["norm.weight"] = torch.full((24,), float("nan"))
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(BadWeights, match=r"NaN or infinity in norm.weight"):
        source.load_weights([tmp_path / "nan.pth"])
    state["norm.weight"] = torch.ones(7)
    torch.save(state, tmp_path / "shape.pth")
    with pytest.raises(BadWeights, match=r"norm.weight is \(7,\), not \(24,\)"):
        source.load_weights([tmp_path / "shape.pth"])
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(BadWeights, match="no tensors"):
        source.load_weights([tmp_path / "empty.pth"])


def card(**changes: Any) -> MethodCard:
    return dataclasses.replace(VC1.card, **changes)


def test_which_weights_a_run_uses(tmp_path: Path) -> None:
    file = tmp_path / "vc1" / "vc1_vitb.pth"
    with pytest.raises(WeightsMissing, match=r"bench weights vc1 --fetch[\s\S]*--weights random"):
        choose_weights(VC1.card, None, tmp_path)
    assert choose_weights(VC1.card, RANDOM, tmp_path).untrained
    with pytest.raises(WeightsMissing, match="no such file"):
        choose_weights(VC1.card, str(tmp_path / "none.pt"), tmp_path)
    file.parent.mkdir()
    file.write_bytes(b"some bytes")
    chosen = choose_weights(VC1.card, None, tmp_path)
    assert chosen.label == "published"
    assert len(chosen.identity()[0]) == 64
    wrong = WeightFile("vc1_vitb.pth", "https://x", "MIT", sha256="0" * 64)
    with pytest.raises(BadWeights, match="not the published 0000"):
        choose_weights(card(weights=(wrong,)), None, tmp_path)
    short = WeightFile("vc1_vitb.pth", "https://x", "MIT", size=11)
    with pytest.raises(BadWeights, match="10 bytes, not 11"):
        choose_weights(card(weights=(short,)), None, tmp_path)
    with pytest.raises(WeightsMissing, match="nobody has published any"):
        choose_weights(CLAR.card, None, tmp_path)
    with pytest.raises(BadWeights, match="trained from scratch"):
        choose_weights(card(weights=()), str(file), tmp_path)
    mine = choose_weights(CLAR.card, str(file), tmp_path)
    assert mine.label == "vc1_vitb"
    file.write_bytes(b"other bytes")
