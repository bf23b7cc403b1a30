"""`timm:NAME`: any image model of timm, as its own configuration says it is used.

    bench show timm:vit_small_patch14_dinov2
    bench run --suite metaworld-15 --tasks reach --method timm:vit_small_patch14_dinov2 method.size=224

A name without its tag has the tag that timm takes. Size, mean, deviation, interpolation and crop are those of the
model's pretrained configuration, as timm's own transform for evaluation applies them. timm 1.0.31.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.hub.card import HubCard, hub_card, hub_input
from baselines.hub.encoder import HubEncoder, HubNetwork
from baselines.hub.lora import adaptable
from baselines.hub.names import in_paths
from baselines.hub.packages import install, package
from envs.registry import UnknownName
from methods.card import ImageInput, WeightFile
from methods.errors import BadMethod

POOLING = {"token": "cls", "avg": "mean", "map": "map"}


class TimmNetwork(HubNetwork):
    """The model's own pooling through its own head; other features from its last tokens."""

    def __init__(self, model: Any, features: str) -> None:
        super().__init__(model, features)
        self.own = own_pooling(model)
        if features != self.own and getattr(model, "attn_pool", None) is not None:
            model.attn_pool = None  # nothing would ever train it
        self.prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
        self.rows_last = getattr(model, "output_fmt", None) == "NHWC"
        self.token_dim = int(model.num_features)
        edge = _edge(model) or model.pretrained_cfg["input_size"][-1]
        with torch.no_grad():
            model.eval()
            self.width = int(self(torch.zeros(1, 3, edge, edge)).shape[1])

    def pooled(self, images: Tensor) -> Tensor:
        found = self.model.forward_features(images)
        if self.features == self.own:
            return self.model.forward_head(found, pre_logits=True).flatten(1)
        return found[:, 0] if self.features == "cls" else found[:, self.prefix :].mean(1)

    def tokens(self, images: Tensor) -> Tensor:
        found = self.model.forward_features(images)
        if found.dim() == 4:
            return found.flatten(1, 2) if self.rows_last else found.flatten(2).transpose(1, 2)
        return found[:, self.prefix :]

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Through timm's own filter, which knows publishers' layouts and scales positions to the image's size."""
        module: Any = importlib.import_module(type(self.model).__module__)
        adapt = getattr(module, "checkpoint_filter_fn", None)
        found: Mapping[str, Tensor] = adapt(dict(tensors), self.model) if adapt is not None else tensors
        own = set(self.model.state_dict())
        heads = self.model.pretrained_cfg.get("classifier") or ()
        unused = tuple(f"{one}." for one in ((heads,) if isinstance(heads, str) else heads))
        unused += () if self.features == "map" or self.own != "map" else ("attn_pool.",)
        return {name: t for name, t in found.items() if name in own or not (unused and name.startswith(unused))}


class TimmEncoder(HubEncoder):
    """A subclass has a `HubCard` whose `resolved` is the model's name in timm."""

    card: ClassVar[HubCard]

    def make_network(self, features: str, size: int) -> HubNetwork:
        timm = package("timm", self.card.name)
        resized = {"img_size": size} if self.card.patch else {}
        return TimmNetwork(timm.create_model(self.card.resolved, pretrained=False, num_classes=0, **resized), features)


@functools.cache
def method(name: str) -> type[TimmEncoder]:
    """The class of a model by timm's name. Raises `PackageMissing`, `UnknownName` or `BadMethod`."""
    timm = package("timm", f"timm:{name}")
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        raise UnknownName("model of timm", name, known)
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.mean or not config.std:
        raise BadMethod(f"timm:{name} has no pre-processing configuration: normalisation and size would be guesses")
    resolved = f"{config.architecture or name}.{config.tag}" if config.tag else name
    with torch.device("meta"):
        model = timm.create_model(resolved, pretrained=False, num_classes=0).eval()
    card = hub_card(
        in_paths("timm", resolved),
        f"{resolved} (timm)",
        _input(timm, resolved, model),
        features_of(model),
        _weights(resolved, config),
        (("timm", install("timm")),),
        f"{config.license or 'not stated'} (weights, as timm says); timm is Apache-2.0",
        _paper(config),
        bool(adaptable(model)),
        patch=_patch(model),
        crop=timm.data.resolve_data_config(model=model)["crop_pct"],
        resolved=resolved,
        parameters_source=f"{sum(p.numel() for p in model.parameters()):,} counted in timm {timm.__version__}",
    )
    space = {"card": card, "made_from": {"model": resolved}, "__module__": __name__, "__doc__": TimmEncoder.__doc__}
    return type("TimmModel", (TimmEncoder,), space)


def own_pooling(model: Any) -> str:
    return POOLING.get(getattr(model, "global_pool", ""), "mean") if hasattr(model, "num_prefix_tokens") else "mean"


def features_of(model: Any) -> tuple[str, ...]:
    """Its own pooling first. A model that normalises after its pooling has no normalised tokens to pool otherwise."""
    own = own_pooling(model)
    if not hasattr(model, "num_prefix_tokens") or not isinstance(getattr(model, "fc_norm", None), nn.Identity | None):
        return (own, "tokens")
    others = ["mean", *(["cls"] if getattr(model, "num_prefix_tokens", 0) else [])]
    return (own, *(one for one in others if one != own), "tokens")


def _input(timm: Any, name: str, model: Any) -> ImageInput:
    config = timm.data.resolve_data_config(model=model)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise BadMethod(f"timm:{name} takes images of {channels} x {height} x {width}; square ones of 3 are given")
    modes = {"center": "short-side", "squash": "stretch"}
    if config["crop_mode"] not in modes or config["interpolation"] not in ("bicubic", "bilinear"):
        raise BadMethod(
            f"timm:{name} is used with crop_mode={config['crop_mode']} and interpolation={config['interpolation']}; "
            "center and squash, bicubic and bilinear are known here"
        )
    resize: Any = modes[config["crop_mode"]]
    return hub_input(height, config["mean"], config["std"], config["interpolation"], config["crop_pct"], resize)


def _weights(name: str, config: Any) -> tuple[WeightFile, ...]:
    if not config.has_weights:
        return ()
    licence = config.license or "not stated"
    file = config.hf_hub_filename or "model.safetensors"
    url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{file}" if config.hf_hub_id else config.url or None
    bare = licence.lower().startswith("cc-by-nc")
    return (WeightFile(f"{name}.safetensors", url, licence, non_commercial=bare),)


def _paper(config: Any) -> str:
    ids = config.paper_ids or ()
    return ", ".join((ids,) if isinstance(ids, str) else ids) or "not stated by timm"


def _patch(model: Any) -> int:
    """Pixels of a patch's edge, of models that take images of other sizes."""
    size = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    plain = hasattr(model, "num_prefix_tokens") and hasattr(model, "set_input_size")
    return int(size[0]) if plain and size is not None and size[0] == size[1] else 0


def _edge(model: Any) -> int | None:
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    return int(size[0]) if size is not None else None
