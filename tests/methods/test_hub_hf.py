"""transformers' models as methods, from files in the layout of their repositories. None of their code is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from baselines.hub import packages
from baselines.hub.hf_pictures import picture_input
from baselines.hub.short import Theia
from benchmark.cli.main import app
from benchmark.encoders.specs import encoder_specs
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from methods.card import ImageInput
from methods.errors import BadMethod, BadWeights, PackageMissing
from methods.preprocess import prepare_images
from methods.registry import method_class
from methods.verify import golden_inputs
from methods.weight_places import weights_folder
from tests.methods.test_contract import RULES, contract
from tests.test_methods_run import FAST, SHORT

pytestmark = pytest.mark.slow

transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
PICTURES = {
    "do_resize": True,
    "size": {"shortest_edge": 40},
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "rescale_factor": 1 / 255,
}
CASES: dict[str, dict[str, Any]] = {
    "dinov2": {**SMALL, "model_type": "dinov2"},
    "registers": {**SMALL, "model_type": "dinov2_with_registers", "num_register_tokens": 2},
    "vit": {**SMALL, "model_type": "vit", "architectures": ["ViTForImageClassification"]},
    "clip": {
        "model_type": "clip",
        "vision_config": {**SMALL, "model_type": "clip_vision_model"},
        "text_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "vocab_size": 99,
        },
        "projection_dim": 16,
    },
    "siglip": {
        "model_type": "siglip",
        "vision_config": {**SMALL, "model_type": "siglip_vision_model"},
        "text_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "vocab_size": 99,
            "projection_size": 32,
        },
    },
    "resnet": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights' folder with every case's repository, as it would have been fetched."""
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    weights_folder()
    for name, config in CASES.items():
        place = tmp_path / f"hf-made--{name}"
        place.mkdir()
        (place / "config.json").write_text(json.dumps(config))
        (place / "preprocessor_config.json").write_text(json.dumps(PICTURES))
        torch.manual_seed(3)
        whole = transformers.AutoConfig.for_model(**config)
        kind = transformers.AutoModelForImageClassification if name == "vit" else transformers.AutoModel
        save_file(
            {n: t.contiguous() for n, t in kind.from_config(whole).state_dict().items()}, place / "model.safetensors"
        )
    return tmp_path


def built(name: str, **options: str) -> Any:
    kind = method_class(f"hf:made/{name}").under(options)
    torch.manual_seed(0)
    return kind(encoder_specs(kind.card), **options).eval()


def theirs(name: str, folder: Path) -> Any:
    """The whole model with the repository's weights, loaded by transformers itself; its vision part."""
    model = transformers.AutoModel.from_pretrained(folder / f"hf-made--{name}").eval()
    return model.vision_model if name in ("clip", "siglip") else model


@pytest.mark.parametrize("name", CASES)
def test_features_are_those_of_transformers_itself(name: str, folder: Path) -> None:
    encoder = built(name)
    encoder.load_weights([folder / f"hf-made--{name}" / f for f in ("config.json", "model.safetensors")])
    inputs = golden_inputs(encoder_specs(encoder.card), 2)
    images = prepare_images(inputs["rgb"].flatten(0, 1), encoder.image_input)
    with torch.no_grad():
        found = theirs(name, folder)(pixel_values=images)
        last = found.last_hidden_state
        wanted = {
            "dinov2": last[:, 0],
            "registers": last[:, 0],
            "vit": last[:, 0],
            "clip": found.pooler_output,
            "siglip": found.pooler_output,
            "resnet": last.mean((2, 3)) if last.dim() == 4 else last,
        }[name]
        torch.testing.assert_close(encoder.encode(inputs), wanted)
        tokens = encoder.encode_tokens(inputs)
        if name == "registers":
            torch.testing.assert_close(tokens, last[:, 3:])
            mean = built(name, features="mean")
            mean.load_weights([folder / f"hf-made--{name}" / "model.safetensors"])
            torch.testing.assert_close(mean.encode(inputs), last[:, 3:].mean(1))


@pytest.mark.parametrize("training", ["frozen", "lora", "finetune"])
@pytest.mark.parametrize("rule", RULES)
def test_the_contract(training: str, rule: str, folder: Path) -> None:
    found = contract("hf:made/dinov2")
    found.options = {} if training == "frozen" else {"training": training}  # type: ignore[misc]
    getattr(found, rule)()


def test_pixels_are_those_of_pil() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    card = picture_input("it", PICTURES)
    assert card == ImageInput(32, (0, 1), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "short-side", scaled=40, rounded=True)
    scaled = Image.fromarray(rgb).resize((53, 40), Image.Resampling.BICUBIC).crop((10, 4, 42, 36))
    wanted = (torch.from_numpy(np.asarray(scaled) / 255.0) - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor(
        [0.2, 0.3, 0.4]
    )
    ours = prepare_images(torch.from_numpy(rgb)[None], card)[0].permute(1, 2, 0)
    torch.testing.assert_close(ours, wanted.float(), atol=0.04, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": None}, "no image_mean and image_std"),
        ({"resample": 0}, "resample=0; 2"),
        ({"size": {"longest_edge": 3}}, "size={'longest_edge': 3}"),
        ({"rescale_factor": 1.0}, "not scaled to 0..1"),
        ({"size": {"shortest_edge": 16}}, "it cuts 32 pixels out of 16"),
    ],
)
def test_other_rules_for_pictures_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadMethod, match=message):
        picture_input("it", {**PICTURES, **change})


def test_bad_input_is_one_line(folder: Path) -> None:
    (folder / "hf-made--vit/preprocessor_config.json").unlink()
    (folder / "hf-made--clip/config.json").write_text('{"model_type": "theirs", "auto_map": {"AutoModel": "x.Y"}}')
    (folder / "hf-made--siglip/config.json").write_text("{")
    for name, message in (
        ("hf:made/vit", "hf:made/vit has no pre-processing configuration"),
        ("hf:made/clip", "has no model_type 'theirs'; its own code (auto_map) is not run"),
        ("hf:made/siglip", "config.json is no configuration"),
        ("hf:made/nothing", "Fetch with: bench weights hf:made/nothing --fetch"),
        ("hf:../made", "is no repository; give hf:OWNER/NAME"),
    ):
        done = CliRunner().invoke(app, ["verify", name, "--weights", "random", "--out", str(folder / "o")])
        assert done.exit_code == 2, done.stderr
        assert message in done.stderr and "Traceback" not in done.stderr
    done = CliRunner().invoke(app, ["verify", "hf:made/dinov2", "--weights", "random", "method.size=30"])
    assert (done.exit_code, "have 8 pixels, which do not divide it; take 24 or 32" in done.stderr) == (2, True)
    with pytest.raises(BadWeights, match="does not fit"):
        built("dinov2").load_weights([folder / "hf-made--resnet/model.safetensors"])


def test_what_names_a_number(folder: Path) -> None:
    """The repository, its configuration, its files, what images become, and the package's version."""
    settings = load_settings("metaworld-15", "quick", "mlp")
    (cell,) = make_cells(settings, ["reach"], ["hf:made/dinov2"], [0])
    said = cell.identity()["method"]
    assert said["name"] == "hf-made--dinov2"
    assert json.loads(said["made_from"]["config"]) == CASES["dinov2"]
    assert said["packages"] == {"transformers": f"transformers=={transformers.__version__}"}
    assert len(said["weights"]) == 3
    assert method_class("hf-made--dinov2").card == method_class("hf:made/dinov2").card
    other = {**CASES["dinov2"], "num_hidden_layers": 1}
    (folder / "hf-made--dinov2/config.json").write_text(json.dumps(other))
    (again,) = make_cells(settings, ["reach"], ["hf:made/dinov2"], [0], "random")
    assert json.loads(again.identity()["method"]["made_from"]["config"]) == other


def test_theia_in_its_own_layout(tmp_path: Path) -> None:
    """Its trunk under backbone.model, its translators beside it."""
    torch.manual_seed(3)
    config = transformers.ViTConfig(**{k: v for k, v in Theia.config.items() if k != "model_type"})
    model = transformers.ViTModel(config).eval()
    published = {f"backbone.model.{n}": t for n, t in model.state_dict().items()}
    save_file({**published, "translator.translator_heads.x.weight": torch.zeros(2)}, tmp_path / "theia.safetensors")
    encoder = Theia(encoder_specs(Theia.card)).eval()
    encoder.load_weights([tmp_path / "theia.safetensors"])
    inputs = golden_inputs(encoder_specs(Theia.card), 1)
    images = prepare_images(inputs["rgb"].flatten(0, 1), encoder.image_input)
    with torch.no_grad():
        wanted = model(pixel_values=images).last_hidden_state[:, 1:].mean(1)
        torch.testing.assert_close(encoder.encode(inputs), wanted)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    packages.package.cache_clear()
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    for name, extra in (("timm:resnet18", "timm"), ("hf:facebook/dinov2-small", "hf")):
        with pytest.raises(
            PackageMissing, match=rf"which is not installed: python -m pip install 'repbench\[{extra}\]'"
        ):
            packages.package("timm" if extra == "timm" else "transformers", name)
    packages.package.cache_clear()


@pytest.mark.gl
@pytest.mark.parametrize("training", ["frozen", "lora"])
def test_from_demonstrations_to_a_record(training: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = load_settings("metaworld-15", "quick", "mlp", [*SHORT, *FAST, f"method.training={training}"])
    (cell,) = make_cells(settings, ["reach"], ["hf:made/dinov2"], [0])
    paths = Paths(tmp_path_factory.mktemp("out"), tmp_path_factory.getbasetemp() / "demos")
    record, _ = run_cell(cell, paths, "test")
    assert list(contradictions(record)) == []
    assert record.errors == 0
    assert record.frozen["unchanged"] == (training == "frozen")
    again, new = run_cell(cell, paths, "test")
    assert not new and again == record
