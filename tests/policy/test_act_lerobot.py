"""ACT against LeRobot's, another implementation, with shared weights: chunks, losses and gradients.

Its `n_decoder_layers=1` stands for the published code, which uses one; `compat=act` here.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.act.whole import ACT
from benchmark.policy.policy import plain_action
from envs.spec import FieldSpec
from methods.policy import PolicySpecs, Window

configuration = pytest.importorskip(
    "lerobot.policies.act.configuration_act", reason="no lerobot: pip install lerobot==0.4.4"
)
modeling = pytest.importorskip("lerobot.policies.act.modeling_act", reason="no lerobot: pip install lerobot==0.4.4")

CHUNK, ROWS, SIDE = 20, 3, (64, 96)
NAMES = {
    "posterior.cls": "vae_encoder_cls_embed",
    "posterior.proprio": "vae_encoder_robot_state_input_proj",
    "posterior.actions": "vae_encoder_action_input_proj",
    "posterior.output": "vae_encoder_latent_output_proj",
    "posterior.layers": "vae_encoder.layers",
    "transformer.latent": "encoder_latent_input_proj",
    "transformer.proprio": "encoder_robot_state_input_proj",
    "transformer.seen": "encoder_img_feat_input_proj",
    "transformer.places": "encoder_1d_feature_pos_embed",
    "transformer.queries": "decoder_pos_embed",
    "transformer.encoder": "encoder.layers",
    "transformer.decoder": "decoder.layers",
    "transformer.norm": "decoder.norm",
    "transformer.actions": "action_head",
    "backbone": "backbone",
}
INSIDE = {
    "layers": {"attention.attention": "self_attn", "attention.norm": "norm1", "feed.norm": "norm2"},
    "decoder": {
        "attention.attention": "self_attn",
        "attention.norm": "norm1",
        "cross.attention": "multihead_attn",
        "cross.norm": "norm2",
        "feed.norm": "norm3",
    },
}
INSIDE["encoder"] = INSIDE["layers"]


def theirs_of(name: str) -> str:
    """LeRobot's name of a parameter of ours."""
    ours, theirs = next((o, t) for o, t in NAMES.items() if name.startswith(f"{o}."))
    rest = name.removeprefix(f"{ours}.")
    within = INSIDE.get(ours.rpartition(".")[2])
    if within is not None:
        number, _, rest = rest.partition(".")
        for own, other in {**within, "feed.inner": "linear1", "feed.outer": "linear2"}.items():
            if rest.startswith(f"{own}."):
                rest = f"{number}.{other}.{rest.removeprefix(f'{own}.')}"
                break
    return f"{theirs}.{rest}"


def pair(compat: str) -> tuple[ACT, Any]:
    """Ours with LeRobot's random weights; dropout off, since the two draw its masks in another order."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    def feature(kind: str, *shape: int) -> Any:
        return PolicyFeature(type=FeatureType[kind], shape=shape)

    torch.manual_seed(3)
    config = configuration.ACTConfig(
        input_features={
            "observation.state": feature("STATE", 14),
            "observation.images.a": feature("VISUAL", 3, *SIDE),
            "observation.images.b": feature("VISUAL", 3, *SIDE),
        },
        output_features={"action": feature("ACTION", 14)},
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        n_decoder_layers=1 if compat == "act" else 7,
        dropout=0.0,
        pretrained_backbone_weights=None,
        device="cpu",
    )
    theirs = modeling.ACTPolicy(config)
    for parameter in theirs.model.parameters():  # biases begin at zero, norms at one, and would prove little
        parameter.data += 0.02 * torch.randn_like(parameter)
    fields = {
        "rgb": FieldSpec("rgb", (2, *SIDE, 3), "uint8", ""),
        "proprio": FieldSpec("proprio", (14,), "float32", ""),
    }
    ours = ACT(PolicySpecs(fields, plain_action(14), window=Window(chunk=CHUNK)), compat=compat)
    state = theirs.model.state_dict()
    for name, tensor in ours.named_parameters():
        tensor.data.copy_(state[theirs_of(name)].view_as(tensor))
    for part in (ours.posterior, ours.transformer):
        for module in part.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if isinstance(module, torch.nn.MultiheadAttention):
                module.dropout = 0.0
    return ours, theirs


def batches() -> tuple[dict[str, Tensor], Tensor, Tensor, dict[str, Tensor]]:
    torch.manual_seed(4)
    rgb = torch.randint(0, 256, (ROWS, 2, *SIDE, 3), dtype=torch.uint8)
    proprio, actions = torch.randn(ROWS, 14), torch.randn(ROWS, CHUNK, 14)
    padded = torch.arange(CHUNK) >= torch.tensor([[CHUNK], [7], [1]])
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pictures = (rgb.permute(0, 1, 4, 2, 3) / 255 - mean) / deviation
    theirs = {
        "observation.state": proprio,
        "observation.images.a": pictures[:, 0],
        "observation.images.b": pictures[:, 1],
        "action": actions,
        "action_is_pad": padded,
    }
    return {"rgb": rgb, "proprio": proprio}, actions, padded, theirs


@pytest.mark.parametrize("compat", ["none", "act"])
def test_chunks_losses_and_gradients_are_lerobots(compat: str) -> None:
    ours, theirs = pair(compat)
    assert {theirs_of(name) for name, _ in ours.named_parameters()} == {n for n, _ in theirs.model.named_parameters()}
    inputs, actions, padded, batch = batches()
    ours.train()
    theirs.train()
    torch.manual_seed(5)
    losses = ours.losses(inputs, actions, padded)
    torch.manual_seed(5)
    loss, terms = theirs(batch)
    assert float(losses["l1"].detach()) == pytest.approx(terms["l1_loss"], rel=1e-5)
    assert float(losses["kl"].detach()) == pytest.approx(10 * terms["kld_loss"], rel=1e-5)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    loss.backward()
    found = dict(theirs.model.named_parameters())
    for name, parameter in ours.named_parameters():
        other = found[theirs_of(name)].grad.view_as(parameter)
        scale = float(other.abs().max())
        assert float((parameter.grad - other).abs().max()) <= 1e-3 * scale + 1e-9, name  # type: ignore[operator]
    ours.eval()
    with torch.no_grad():
        chunk, expected = ours.plan(inputs, [0] * ROWS), theirs.predict_action_chunk(batch)
    print(f"largest difference of a chunk ({compat}): {float((chunk - expected).abs().max()):.1e}")
    torch.testing.assert_close(chunk, expected, rtol=1e-5, atol=1e-5)
