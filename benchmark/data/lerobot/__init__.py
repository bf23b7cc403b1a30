"""Demonstrations in the layout of LeRobotDataset v3: Parquet, mp4 and JSON, for others' training code."""
