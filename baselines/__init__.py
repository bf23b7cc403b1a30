"""Representations and policies that others published, one file each."""

BASELINES: dict[str, str] = {
    "pointnet": "baselines.pointnet:PointNet",
    "dp3": "baselines.dp3:DP3",
}
