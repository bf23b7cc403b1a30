"""Frames to pre-train on, from whoever recorded them."""
