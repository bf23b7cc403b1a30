"""CLAMP: contrastive pre-training on virtual views of a point cloud and on past actions."""
