"""DP3's policy: the point encoder under its own diffusion head (`benchmark/conf/head/dp3.yaml`).

Two observations, sixteen actions of which eight are played, a U-Net that predicts the clean chunk, ranges of the
training data mapped to [-1, 1] for points, state and actions; no window reaches more than seven actions past an
episode's end, and the average of the weights begins at the third step (YanjieZe/3D-Diffusion-Policy, 47385d9).

It is not DP3 as its authors run it, because what all methods share is not theirs:

- clouds: the suite's camera, crop and 1,024 points; theirs are 512 of their own camera and crop;
- state: the suite's proprioception; theirs is nine numbers, end effector and fingers;
- training: the protocol's demonstrations, batch and epochs, its held-out demonstrations left out of the ranges; theirs
  is batches of 128 for 3,000 epochs, with ranges over all data;
- rate: of step n of 500 in the warm-up (n + 1) / 500; theirs n / 500, so their first step moves nothing;
- scoring: the protocol's episodes; theirs is twenty, every 200 epochs.
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
        version=2,
        notes=("the whole policy; CLAR's Table I does not say which of the two its row measured",),
    )
