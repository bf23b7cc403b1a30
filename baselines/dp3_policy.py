"""DP3 as its authors run it: the point encoder under its own diffusion head (`benchmark/conf/head/dp3.yaml`).

Two observations, sixteen actions of which eight are played, a U-Net that predicts the clean chunk, ranges of the
training data mapped to [-1, 1] for points, state and actions (YanjieZe/3D-Diffusion-Policy, 47385d9).
"""

from __future__ import annotations

import dataclasses

from baselines.dp3 import DP3


class DP3Policy(DP3):
    """(B, 1024, 3) points in metres to (B, 64), for the head that its card names."""

    card = dataclasses.replace(
        DP3.card,
        name="dp3-policy",
        title="DP3 (policy)",
        summary="DP3's encoder under its own diffusion head",
        head="dp3",
        notes=("the whole policy; CLAR's Table I does not say which of the two its row measured",),
    )
