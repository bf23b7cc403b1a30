"""timm's models as methods: as their configuration says, with their own weights, adapted or frozen, refused by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from baselines.hub import short
from baselines.hub.card import HubCard
from benchmark.cli.main import app
from benchmark.encoders.specs import encoder_specs
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from methods.card import ImageInput
from methods.errors import BadWeights
from methods.preprocess import prepare_images
from methods.registry import method_class
from methods.verify import golden_inputs
from tests.methods.test_contract import RULES, contract
from tests.test_methods_run import FAST, SHORT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="the package timm is not installed (scripts/test_tools.sh)"
)
TINY = "timm:test_vit"
"""timm's own model for tests: a ViT of 371,000 parameters at 160 pixels."""


def bench(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    return done.exit_code, done.stderr


def built(name: str, **options: str):  # type: ignore[no-untyped-def]
    kind = method_class(name).under(options)
    torch.manual_seed(0)
    return kind(encoder_specs(kind.card), **options).eval()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "options",
    [{}, {"training": "lora"}, {"training": "finetune"}, {"features": "tokens"}],
    ids=lambda o: "-".join(o.values()) or "frozen",
)
def test_the_contract(options: dict[str, str], rule: str) -> None:
    found = contract(TINY)
    found.options = options  # type: ignore[misc]
    getattr(found, rule)()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_vit", "vit_base_patch16_siglip_224", "resnet18", "vit_tiny_patch16_384"])
def test_pixels_are_those_of_timms_own_transform(name: str) -> None:
    """PIL: the short side scaled, the middle cut out, then the normalisation, on an image that is not square."""
    import timm

    card = method_class(f"timm:{name}").card
    assert isinstance(card.input, ImageInput)
    config = timm.data.resolve_data_config(model=timm.create_model(name))
    transform = timm.data.create_transform(**config)
    rgb = np.random.default_rng(0).integers(0, 256, (240, 300, 3), dtype=np.uint8)
    theirs = transform(Image.fromarray(rgb))
    ours = prepare_images(torch.from_numpy(rgb)[None], card.input)[0]
    assert ours.shape == theirs.shape
    torch.testing.assert_close(
        ours, theirs, atol=0.04, rtol=0
    )  # one of 255 steps, where PIL's integers round otherwise
    assert float((ours - theirs).abs().mean()) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm:test_vit", "timm:resnet18"])
def test_features_are_the_models_own(name: str) -> None:
    """Our feature is what timm's model gives without a classifier; the mean and the class token are of its tokens."""
    encoder = built(name)
    inputs = golden_inputs(encoder_specs(encoder.card), 2)
    images = prepare_images(inputs["rgb"].flatten(0, 1), encoder.image_input)
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode(inputs), encoder.network.model(images))
        if name == TINY:
            last = encoder.network.model.forward_features(images)
            assert torch.equal(encoder.encode_tokens(inputs), last[:, 1:])
            for features, wanted in (("cls", last[:, 0]), ("mean", last[:, 1:].mean(1)), ("tokens", last[:, 1:])):
                other = built(TINY, **({} if features == "cls" else {"features": features}))
                torch.testing.assert_close(other.encode(inputs), wanted.flatten(1))


@pytest.mark.slow
@pytest.mark.parametrize("training", ["frozen", "lora"])
def test_weights_in_timms_layout(training: str, tmp_path: Path) -> None:
    """With its classifier, which is left out; another architecture's and another head's file are named."""
    import timm

    torch.manual_seed(7)
    theirs = timm.create_model("test_vit")
    save_file(theirs.state_dict(), tmp_path / "own.safetensors")
    encoder = built(TINY, **({} if training == "frozen" else {"training": training}))
    encoder.load_weights([tmp_path / "own.safetensors"])
    inputs = golden_inputs(encoder_specs(encoder.card), 2)
    images = prepare_images(inputs["rgb"].flatten(0, 1), encoder.image_input)
    with torch.no_grad():
        wanted = theirs.eval().forward_head(theirs.forward_features(images), pre_logits=True)
    torch.testing.assert_close(encoder.encode(inputs).detach(), wanted)
    other = timm.create_model("test_vit3").state_dict()
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(BadWeights, match="other.safetensors does not fit: .* Is it another method's file?"):
        encoder.load_weights([tmp_path / "other.safetensors"])
    pooled = {**theirs.state_dict(), "attn_pool.latent": torch.zeros(1, 1, 64)}
    save_file(pooled, tmp_path / "head.safetensors")
    with pytest.raises(BadWeights, match=r"1 not of this network \(attn_pool.latent\)"):
        encoder.load_weights([tmp_path / "head.safetensors"])


def test_positions_are_scaled_to_the_pictures_size(tmp_path: Path) -> None:
    """By timm's own filter, as its loader does for another img_size."""
    import timm

    torch.manual_seed(7)
    theirs = timm.create_model("test_vit", num_classes=0)
    save_file(theirs.state_dict(), tmp_path / "own.safetensors")
    encoder = built(TINY, size="96")
    assert encoder.image_input.size == 96
    encoder.load_weights([tmp_path / "own.safetensors"])
    assert encoder.network.model.pos_embed.shape[1] == 1 + 36


@pytest.mark.slow
def test_lora_starts_as_the_frozen_model_and_trains_its_updates_alone() -> None:
    frozen, adapted = built(TINY), built(TINY, training="lora")
    frozen.network.model.load_state_dict(
        {
            n.replace(".parametrizations.weight.original", ".weight"): t
            for n, t in adapted.network.model.state_dict().items()
            if ".lora_" not in n
        }
    )
    inputs = golden_inputs(encoder_specs(frozen.card), 2)
    torch.testing.assert_close(adapted.encode(inputs).detach(), frozen.encode(inputs))
    trained = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert trained and all(n.endswith(("lora_a", "lora_b")) for n in trained)
    for name, parameter in adapted.named_parameters():
        if name.endswith("lora_b"):
            torch.nn.init.normal_(parameter)
    layer = adapted.network.model.blocks[0].attn.qkv
    update = layer.parametrizations.weight[0]
    whole = layer.parametrizations.weight.original + torch.cat(
        [b @ a for a, b in zip(update.lora_a, update.lora_b, strict=True)]
    )
    torch.testing.assert_close(layer.weight, whole)
    assert not torch.allclose(adapted.encode(inputs), frozen.encode(inputs), atol=1e-3)


@pytest.mark.parametrize("kind", [short.DINOv2, short.DINOv3, short.SigLIP2, short.MAE, short.RADIO])
def test_short_names_are_what_timm_says(kind: type) -> None:
    ours = kind.card
    assert isinstance(ours, HubCard)
    theirs = method_class(f"timm:{ours.resolved}").card
    assert isinstance(theirs, HubCard)
    sized = theirs.under({"size": str(ours.input.size)}).input
    assert ours.input == sized
    assert ours.weights == theirs.weights
    assert (ours.patch, ours.resolved, ours.crop) == (theirs.patch, theirs.resolved, theirs.crop)
    assert [o.allowed for o in ours.options[:2]] == [o.allowed for o in theirs.options[:2]]
    assert theirs.weights[0].licence in ours.licence


@pytest.mark.slow
def test_what_names_a_number() -> None:
    """The resolved model, what its images become, and timm's version."""
    import timm

    settings = load_settings("metaworld-15", "quick", "mlp", ["method.size=96", "method.training=lora"])
    (cell,) = make_cells(settings, ["reach"], [TINY], [0], "random")
    said = cell.identity()["method"]
    assert said["name"] == "timm-test_vit.r160_in1k"
    assert said["made_from"] == {"model": "test_vit.r160_in1k"}
    assert said["packages"] == {"timm": f"timm=={timm.__version__}"}
    assert said["input"]["size"] == 96
    assert said["training"] == "partial"
    assert said["options"] == {"size": "96", "training": "lora"}
    assert method_class("timm-test_vit.r160_in1k").card == method_class(TINY).card, "a record's name leads back"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["timm:vit_smal_patch14_dinov2"], "unknown model 'vit_smal_patch14_dinov2' of timm. Did you mean 'vit_small"),
        (["timm:test_vit.nowhere"], "unknown model 'test_vit.nowhere' of timm. Did you mean 'test_vit"),
        (["timm:test_vit", "method.size=100"], "have 16 pixels, which do not divide it; take 96 or 112"),
        (["timm:test_vit", "method.size=big"], "method.size=big is no number of pixels"),
        (["timm:resnet18", "method.size=100"], "takes images of 224 pixels alone"),
        (["timm:resnet18", "method.training=lora"], "method.training=lora is none of frozen, finetune"),
        (["timm:resnet18", "method.features=cls"], "method.features=cls is none of mean, tokens"),
        (["timm:test_vit"], "bench weights timm-test_vit.r160_in1k --fetch"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    random = ["--weights", "random"] if len(words) > 1 else []
    run = ["run", "--suite", "metaworld-15", "--tasks", "reach", "--protocol", "quick", "--out", str(tmp_path / "o")]
    for verb in ([*run, "--method", words[0]], ["verify", words[0]]):
        code, err = bench(*verb, *random, *words[1:])
        assert code == 2, err
        assert message in err
        assert "Traceback" not in err


@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize("training", ["frozen", "lora"])
def test_from_demonstrations_to_a_record(training: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = load_settings(
        "metaworld-15", "quick", "mlp", [*SHORT, *FAST, f"method.training={training}", "method.size=32"]
    )
    (cell,) = make_cells(settings, ["reach"], [TINY], [0], "random")
    paths = Paths(tmp_path_factory.mktemp("out"), tmp_path_factory.getbasetemp() / "demos")
    record, _ = run_cell(cell, paths, "test")
    assert list(contradictions(record)) == []
    assert record.errors == 0
    assert record.frozen["unchanged"] == (training == "frozen")
    again, new = run_cell(cell, paths, "test")
    assert not new and again == record
