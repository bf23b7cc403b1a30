"""From the parts to a data set that is whole: its tables, statistics and card."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.lerobot import layout
from benchmark.data.lerobot.layout import Feature
from benchmark.data.lerobot.part import NOTES, Part
from benchmark.data.lerobot.statistics import Levels, of_rows
from benchmark.system.files import discard, write_atomically, write_json


def finish(
    folder: Path,
    parts: Sequence[Part],
    notes: Sequence[Mapping[str, Any]],
    sentences: Sequence[str],
    robot: str,
    own: Mapping[str, Any],
) -> None:
    """Write what describes all parts. own: the content of `meta/repbench.json`."""
    _only(folder, parts)
    first = parts[0]
    frames = sum(sum(part.lengths) for part in parts)
    rows = [row for note in notes for row in note["episodes"]]
    _write_table(folder / layout.TASKS, _tasks(sentences))
    _write_table(folder / layout.EPISODES, _episodes(rows, parts, sentences))
    write_json(folder / layout.STATS, _statistics(folder, parts, notes))
    write_json(folder / layout.OWN, own)
    info = layout.info(first.features, first.timing.fps, robot, len(rows), frames, len(sentences))
    write_json(folder / layout.INFO, info)
    card = _card(own, sentences, info)
    write_atomically(folder / layout.CARD, lambda file: file.write(card.encode()))
    discard(folder / NOTES)


def _only(folder: Path, parts: Sequence[Part]) -> None:
    """Remove what an earlier command with other tasks has left: LeRobot reads every file of frames that there is."""
    own = {file for part in parts for file in (part.data(folder), *(part.video(folder, one) for one in part.cameras))}
    for name in ("data", "videos"):
        for file in [file for file in (folder / name).rglob("*") if file.is_file() and file not in own]:
            discard(file)
        for empty in sorted((path for path in (folder / name).rglob("*") if path.is_dir()), reverse=True):
            if not any(empty.iterdir()):
                empty.rmdir()


def _tasks(sentences: Sequence[str]) -> Any:
    import pandas

    pyarrow, _ = layout.arrow()
    return pyarrow.Table.from_pandas(pandas.DataFrame({"task_index": range(len(sentences))}, index=list(sentences)))


def _episodes(rows: Sequence[Mapping[str, Any]], parts: Sequence[Part], sentences: Sequence[str]) -> Any:
    pyarrow, _ = layout.arrow()
    numbers = [number for part in parts for number in part.sentences]
    here = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
    said = [{**row, "tasks": [sentences[number]], **here} for row, number in zip(rows, numbers, strict=True)]
    return pyarrow.Table.from_pylist(said)


def _write_table(path: Path, table: Any) -> None:
    buffer = io.BytesIO()
    layout.arrow()[1].write_table(table, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def _statistics(folder: Path, parts: Sequence[Part], notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all frames together."""
    _, parquet = layout.arrow()
    tables = [parquet.read_table(part.data(folder)) for part in parts]
    found = {}
    for feature in parts[0].features:
        if feature.video:
            found[feature.key] = sum((_levels(note, feature) for note in notes), Levels()).statistics()
        else:
            found[feature.key] = of_rows(np.concatenate([np.array(t[feature.key].to_pylist()) for t in tables]))
    return found


def _levels(note: Mapping[str, Any], camera: Feature) -> Levels:
    said = note["levels"][camera.key]
    return Levels(np.array(said["counts"]), said["pictures"])


def _card(own: Mapping[str, Any], sentences: Sequence[str], info: Mapping[str, Any]) -> str:
    """The data set's page on the Hugging Face Hub; its head is what LeRobot's own has."""
    keys = "\n".join(f"- `{key}`: {one['dtype']} {one['shape']}" for key, one in info["features"].items())
    tasks = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"""---
task_categories:
- robotics
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# Demonstrations of {own["suite"]}

{info["total_episodes"]} episodes of {len(own["tasks"])} tasks in {own["simulator"]["version"]} by its scripted experts,
{info["total_frames"]} frames at {info["fps"]} a second. Written by repbench {own["repbench"]} (`bench export demos`) in
the layout of LeRobotDataset {info["codebase_version"]}.

{own["frames"]}

`meta/repbench.json` says where they are from: the sha256 of each task's demonstrations, the observation and the
renderer. `repbench/seed` and `repbench/split` in `meta/episodes` are the seed of an episode and whether the benchmark
trains or validates on it.

## Tasks

{tasks}

## Features

{keys}
"""
