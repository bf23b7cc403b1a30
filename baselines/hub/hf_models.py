"""`hf:OWNER/NAME`: an image model of the Hugging Face Hub that transformers has a class for, as its own files say.

    bench weights hf:facebook/dinov2-small --fetch      # config.json, preprocessor_config.json, model.safetensors
    bench run --suite metaworld-15 --tasks reach --method hf:facebook/dinov2-small

The files lie in FOLDER/hf-OWNER--NAME, FOLDER as for any weights. No code of a repository is ever run: one that brings
its own is refused. Of a model of images and texts the vision tower is taken.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.hub.card import HubCard, hub_card
from baselines.hub.encoder import HubEncoder, HubNetwork
from baselines.hub.hf_pictures import picture_input
from baselines.hub.lora import adaptable
from baselines.hub.names import in_paths
from baselines.hub.packages import install, package
from methods.card import WeightFile
from methods.errors import BadMethod, BadWeights, WeightsMissing
from methods.weight_places import latest_folder

CONFIG, PICTURES = "config.json", "preprocessor_config.json"
LARGEST = 2**20
WITH_CLASS = frozenset({"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "clip_vision_model", "vit_mae"})
"""Types whose first token is a class token; of CLIP's the pooled output is the one after its last norm."""
ANY_SIZE = frozenset({"dinov2", "dinov2_with_registers", "dinov3_vit"})
"""Types that scale their positions to the image by themselves."""
UNUSED = (
    "classifier",
    "cls_classifier",
    "distillation_classifier",
    "text_model",
    "logit_",
    "visual_projection",
    "text_projection",
    "pooler",
    "decoder",
    "lm_head",
    "head",
    "mask_token",
    "translator",
)
"""Beginnings of parts of a checkpoint that only its training or another use of it needs."""


class HFNetwork(HubNetwork):
    def __init__(self, model: Any, features: str) -> None:
        super().__init__(model, features)
        self.kind = str(model.config.model_type)
        classes = int(self.kind in WITH_CLASS)
        self.prefix = classes + int(getattr(model.config, "num_register_tokens", 0) or 0) + (self.kind == "deit")
        edge = getattr(model.config, "image_size", 224)
        with torch.no_grad():
            images = torch.zeros(1, 3, *([edge] * 2 if isinstance(edge, int) else edge))
            model.eval()
            self.token_dim = int(self.tokens(images).shape[2])
            self.width = int(self(images).shape[1])

    def pooled(self, images: Tensor) -> Tensor:
        found = self.model(pixel_values=images)
        if self.features == "map" or (self.features == "cls" and self.kind == "clip_vision_model"):
            return found.pooler_output
        last = found.last_hidden_state
        if last.dim() == 4:
            return last.mean((2, 3))
        return last[:, 0] if self.features == "cls" else last[:, self.prefix :].mean(1)

    def tokens(self, images: Tensor) -> Tensor:
        last = self.model(pixel_values=images).last_hidden_state
        return last.flatten(2).transpose(1, 2) if last.dim() == 4 else last[:, self.prefix :]

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        own = {name.replace(".parametrizations.weight.original", ".weight") for name in self.model.state_dict()}
        wrappers = ("backbone.model.", f"{self.model.base_model_prefix}.", "model.", "vision_model.", "")
        found = {}
        for name, tensor in tensors.items():
            short = next((s for w in wrappers if name.startswith(w) and (s := name.removeprefix(w)) in own), None)
            if short is None and not any(part.startswith(UNUSED) for part in name.split(".")):
                short = name  # of another network: the loader names it
            if short is not None:
                found[short] = tensor
        return found


class HFEncoder(HubEncoder):
    """A subclass has a `HubCard` and the content of its config.json."""

    card: ClassVar[HubCard]
    config: ClassVar[Mapping[str, Any]]

    def make_network(self, features: str, size: int) -> HubNetwork:
        return HFNetwork(build(self.card.name, {**self.config, "image_size": size}, features), features)

    def load_weights(self, paths: Any) -> None:
        super().load_weights(paths[-1:])  # the files before it made the class


def build(name: str, content: Mapping[str, Any], features: str) -> Any:
    """The model with random weights. Raises `BadMethod` for what transformers has no class for."""
    transformers = package("transformers", name)
    config = _config(transformers, name, content)
    config.use_mask_token = False  # of pre-training: nothing here would ever train it
    config.vision_use_head = features == "map"  # SigLIP's pooling
    try:
        try:
            model = transformers.AutoModel.from_config(config, add_pooling_layer=features == "map")
        except TypeError:  # a type whose pooling cannot be left out
            model = transformers.AutoModel.from_config(config)
    except ValueError as error:
        raise BadMethod(f"{name}: transformers makes no image model of its config.json: {error}") from error
    return model


def _config(transformers: Any, name: str, content: Mapping[str, Any]) -> Any:
    kind = content.get("model_type")
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    if kind not in known:
        own = "; its own code (auto_map) is not run" if "auto_map" in content else ""
        raise BadMethod(f"{name}: transformers {transformers.__version__} has no model_type {kind!r}{own}")
    inner = content.get("vision_config")
    if isinstance(inner, Mapping):
        config = known[kind].from_dict(dict(content)).vision_config
        config.image_size = content.get("image_size", config.image_size)
    else:
        config = known[kind].from_dict(dict(content))
    return config


def files(name: str) -> tuple[WeightFile, ...]:
    """Of a repository, in the order in which they are loaded: two that describe the model, and its weights."""
    licence = "see the model's page"
    where = f"https://huggingface.co/{name}/resolve/main"
    return tuple(
        WeightFile(file, f"{where}/{file}", licence, note=note)
        for file, note in (
            (CONFIG, "describes the network"),
            (PICTURES, "describes its images"),
            ("model.safetensors", ""),
        )
    )


def folder_of(name: str) -> Path:
    return latest_folder() / in_paths("hf", name)


def method(name: str) -> type[HFEncoder]:
    """The class of a repository's model. Raises `PackageMissing`, `WeightsMissing`, `BadWeights` or `BadMethod`."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise BadMethod(f"hf:{name} is no repository; give hf:OWNER/NAME, as on huggingface.co")
    package("transformers", f"hf:{name}")
    folder = folder_of(name)
    config = _read(name, folder / CONFIG)
    pictures = _read(name, folder / PICTURES) if (folder / PICTURES).exists() else None
    if pictures is None:
        raise BadMethod(
            f"hf:{name} has no pre-processing configuration ({folder / PICTURES}): normalisation and size would be "
            f"guesses. If the repository has one: bench weights hf:{name} --fetch"
        )
    return _method(name, json.dumps(config, sort_keys=True), json.dumps(pictures, sort_keys=True))


@functools.cache
def _method(name: str, config_text: str, pictures_text: str) -> type[HFEncoder]:
    config, pictures = json.loads(config_text), json.loads(pictures_text)
    asked = f"hf:{name}"
    input = picture_input(asked, pictures)
    with torch.device("meta"):
        model = build(asked, config, "map")
    kind = str(model.config.model_type)
    patch = model.config.patch_size if kind in ANY_SIZE else 0
    own = ("map",) if kind == "siglip_vision_model" else ("cls",) if kind in WITH_CLASS else ()
    transformers = package("transformers", asked)
    card = hub_card(
        in_paths("hf", name),
        f"{name} (transformers)",
        input,
        own if kind == "clip_vision_model" else (*own, "mean", "tokens"),  # CLIP's last norm is of its class token
        files(name),
        (("transformers", install("hf")),),
        "see the model's page (weights); transformers is Apache-2.0",
        f"huggingface.co/{name}",
        bool(adaptable(model)),
        patch=patch,
        resolved=name,
        parameters_source=f"{sum(p.numel() for p in model.parameters()):,} counted in transformers "
        f"{transformers.__version__}",
    )
    made = {"model": name, "config": config_text}
    space = {"card": card, "config": config, "made_from": made, "__module__": __name__, "__doc__": HFEncoder.__doc__}
    return type("HFModel", (HFEncoder,), space)


def _read(name: str, file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise WeightsMissing(
            f"hf:{name} needs {file}. Fetch with: bench weights hf:{name} --fetch "
            "(no internet here: bring the repository's files into that folder)"
        )
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has {file.stat().st_size:,} bytes")
        found = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise BadWeights(f"{file} is no configuration: {error}") from error
    if not isinstance(found, dict):
        raise BadWeights(f"{file} is no configuration: it holds a {type(found).__name__}")
    return found
