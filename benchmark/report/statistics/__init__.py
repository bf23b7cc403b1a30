"""Inference over training seeds that play the same episodes (docs/statistics.md).

Two questions, kept apart in every output. Of checkpoints: are these trained policies better, on other episodes? Of
methods: would the method be better if every arm were trained again?
"""
