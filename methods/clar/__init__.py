"""CLAR: a point-cloud transformer, pre-trained by masked autoencoding and by alignment with CLIP."""
