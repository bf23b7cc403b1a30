"""ALOHA Unleashed's diffusion policy as CLAMP describes it (sections III-C, VII-C)."""
