"""Image models of timm and of transformers as methods: `timm:NAME`, `hf:REPO`, and short names for some of them."""

FAMILIES: dict[str, str] = {"timm": "baselines.hub.timm_models:method", "hf": "baselines.hub.hf_models:method"}
"""What stands before the colon, and the function that makes the class of the rest."""
