"""The architecture of pi-0 (Black et al. 2024), trained from scratch: CLAMP's baseline "VLA Backbone"."""
