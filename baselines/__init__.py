"""Representations and policies that others published, one file each."""

BASELINES: dict[str, str] = {
    "clip": "baselines.clip:CLIP",
    "clip-vitb32": "baselines.clip:CLIP",
    "clip-vitb16": "baselines.clip:CLIPViTB16",
    "r3m": "baselines.r3m:R3M",
    "r3m-resnet18": "baselines.r3m:R3MResNet18",
    "r3m-resnet34": "baselines.r3m:R3M",
    "r3m-resnet50": "baselines.r3m:R3MResNet50",
    "vc1": "baselines.vc1:VC1",
    "vc1-vitb": "baselines.vc1:VC1",
    "vc1-vitl": "baselines.vc1:VC1ViTL",
    "spa": "baselines.spa:SPA",
    "spa-vitb": "baselines.spa:SPA",
    "spa-vitl": "baselines.spa:SPAViTL",
    "vggt": "baselines.vggt:VGGT",
    "pointnet": "baselines.pointnet:PointNet",
    "pointnet2": "baselines.pointnet2:PointNet2",
    "pointnext": "baselines.pointnext:PointNeXt",
    "dp3": "baselines.dp3:DP3",
    "dp3-policy": "baselines.dp3_policy:DP3Policy",
    "lift3d": "baselines.lift3d:Lift3D",
    "dinov2": "baselines.hub.short:DINOv2",
    "dinov3": "baselines.hub.short:DINOv3",
    "siglip2": "baselines.hub.short:SigLIP2",
    "mae": "baselines.hub.short:MAE",
    "radio": "baselines.hub.short:RADIO",
    "theia": "baselines.hub.short:Theia",
}

POLICIES: dict[str, str] = {
    "act": "baselines.act.whole:ACT",
    "act-head": "baselines.act.over:ACTHead",
    "act-beside": "baselines.act.beside:ACTBeside",
    "aloha-unleashed": "baselines.aloha_unleashed.policy:AlohaUnleashed",
    "aloha-unleashed-beside": "baselines.aloha_unleashed.beside:AlohaUnleashedBeside",
    "chunk-mlp": "baselines.chunk_mlp:ChunkMLP",
    "vla-backbone": "baselines.vla_backbone.policy:VLABackbone",
}
"""By the contract `methods.policy`: in the place of a method where they are whole, else of a head."""
