"""RH20T through a stand-in of its authors' package: read to the millimetre, and refused where it cannot be right.

Neither the package nor the data could be had where this was written. The stand-in has the names and meanings that the
reader's docstring states; whether the real package has them too, the reader finds out on the user's machine, by name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.pretrain.data.sources import load_data, open_frames
from benchmark.system.errors import ConfigError
from tests.pretrain.test_calibrated import BOX, HEIGHT, STEPS, WIDTH, K, drawn, pose

CONFIGURATIONS = """
import json
def load_conf(path):
    return {entry["conf_num"]: entry for entry in json.load(open(path))}
"""
SCENE = """
import json, os, re
import numpy as np
class RH20TScene:
    def __init__(self, folder, confs):
        self.conf = confs[int(re.search(r"cfg_(\\d+)", folder)[1])]
        self._facts = json.load(open(os.path.join(folder, "standin.json")))
    @property
    def in_hand_serials(self): return self.conf["in_hand"]
    @property
    def intrinsics(self): return {k: np.array(v) for k, v in self._facts["intrinsics"].items()}
    @property
    def extrinsics_base_aligned(self): return {k: np.array(v) for k, v in self._facts["extrinsics"].items()}
    def get_tcp_aligned(self, timestamp, serial="base"):
        nearest = min(self._facts["tcp"], key=lambda t: abs(int(t) - timestamp))
        return np.array(self._facts["tcp"][nearest])
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, importable for this test."""
    folder = tmp_path / "clone" / "rh20t_api"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "configurations.py").write_text(CONFIGURATIONS)
    (folder / "scene.py").write_text(SCENE)
    (tmp_path / "clone" / "configs").mkdir()
    (tmp_path / "clone" / "configs" / "configs.json").write_text('[{"conf_num": 3, "in_hand": ["hand"]}]')
    monkeypatch.syspath_prepend(tmp_path / "clone")
    for name in [name for name in sys.modules if name.startswith("rh20t_api")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def trajectory(
    root: Path,
    task: int = 1,
    user: int = 1,
    scene: int = 1,
    unit: float = 1e-3,
    scale: float = 2.0,
    invert: bool = False,
    serials: tuple[str, ...] = ("104", "f02"),
    suffix: str = "",
) -> Path:
    """One folder as RH20T lays it out, of the scene that `drawn` draws. scale: of the calibration to the images."""
    folder = root / "RH20T_cfg3" / f"task_{task:04d}_user_{user:04d}_scene_{scene:04d}_cfg_0003{suffix}"
    poses = {"104": pose(0, False), "f02": pose(3, True), "hand": pose(1, True)}
    big = np.diag([scale, scale, 1.0]) @ K
    big[:2, 2] -= 0.5  # OpenCV's pixels have their centres at whole numbers
    start = 1_630_000_000_000
    times = [start + 100 * step for step in range(STEPS)]
    for serial in (*serials, "hand"):
        late = 13 if serial == "f02" else 0
        for kind in ("color", "depth"):
            (folder / f"cam_{serial}" / kind).mkdir(parents=True)
        for time in times:
            rgb, millimetres = drawn(poses[serial])
            levels = millimetres.astype(np.float64) * 1e-3 / (unit / 4 if serial.startswith("f") else unit)
            Image.fromarray(rgb).save(folder / f"cam_{serial}" / "color" / f"{time + late}.jpg", quality=95)
            Image.fromarray(np.round(levels).astype(np.uint16)).save(
                folder / f"cam_{serial}" / "depth" / f"{time + late}.png"
            )
    facts = {
        "intrinsics": {name: big.tolist() for name in poses},
        "extrinsics": {name: (p if invert else np.linalg.inv(p)).tolist() for name, p in poses.items()},
        "tcp": {str(t): [0.2 + 0.04 * i, 0.0, 0.2, 1, 0, 0, 0] for i, t in enumerate(times)},
    }
    (folder / "standin.json").write_text(json.dumps(facts))
    (folder / "metadata.json").write_text('{"calib": 1, "rating": 9}')
    (root / "RH20T_task_description.json").write_text(
        json.dumps({f"task_{n:04d}": {"task_description_english": f"do {n}"} for n in (1, 2)})
    )
    return folder


def config(root: Path, *changes: str) -> Any:
    own = ["demos=4", "held_out=1", "stride=2", "num_points=400", "crop=[-0.2,-0.5,-0.01,0.9,0.5,0.5]", *changes]
    return load_data("rh20t", [f"rh20t.{text}" for text in [f"root={root}", *own]])


@pytest.mark.slow
def test_clouds_are_where_things_are(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "RH20T"
    trajectory(data, user=1, scene=2)
    trajectory(data, user=2, scene=7)
    trajectory(data, user=3, suffix="_human")
    trajectory(data, task=2, scale=1.0)
    frames = open_frames([config(data)], tmp_path / "cache", True, 1)
    assert frames.tasks() == ["task_0001", "task_0002"]
    assert len(frames) == 3 * 2 * 3, "trajectories, cameras without the gripper's, every second moment"
    for shard in frames.shards:
        assert shard.fields["rgb"].shape[-3:] == (HEIGHT, WIDTH, 3)
        assert np.allclose(shard.fields["intrinsics"][0, -1], K, atol=1e-4), "of the images, from their corners"
        for i in range(len(shard)):
            cloud = shard.fields["points"][i][shard.fields["points_valid"][i]]
            top = cloud[:, 2] > 0.05
            assert top.sum() > 5 and np.abs(cloud[top, 2] - 0.1).max() < 2e-3
            assert np.abs(cloud[top, :2] - BOX).max() < 0.1 + 2e-3 and np.abs(cloud[~top, 2]).max() < 2e-3
    assert frames.shards[0].instructions[0] == "do 1"
    assert [int(shard.held_out.sum()) for shard in frames.shards] == [3, 3, 0, 0]
    said = capsys.readouterr().err
    assert "CC-BY-NC-4.0 (RH20T, non-commercial), CC-BY-SA-4.0 (RH20T)" in said
    fused = open_frames([config(data, "cloud=fused")], tmp_path / "cache", True, 1)
    assert len(fused) == 3 * 3 and fused.shards[0].fields["rgb"].shape[1] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"invert": True}, "the other way round"),
        ({"unit": 2.5e-4}, "another unit than millimetres"),
        ({"scale": 3.0}, "another camera or another size"),
        ({"serials": ()}, "no calibrated camera; cam_.: hand"),
    ],
)
def test_what_cannot_be_is_refused(package: Path, tmp_path: Path, changes: Any, words: str) -> None:
    trajectory(tmp_path / "RH20T", **changes)
    with pytest.raises(ConfigError, match=words):
        open_frames([config(tmp_path / "RH20T")], tmp_path / "cache", False, 1)


def test_another_package_is_named_and_not_believed(package: Path, tmp_path: Path) -> None:
    trajectory(tmp_path / "RH20T")
    (package / "scene.py").write_text(SCENE.replace("extrinsics_base_aligned", "extrinsics_base"))
    with pytest.raises(ConfigError, match=r"no RH20TScene\.extrinsics_base_aligned"):
        open_frames([config(tmp_path / "RH20T")], tmp_path / "cache", False, 1)


def test_what_is_missing_is_named(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "RH20T"
    folder = trajectory(data)
    with pytest.raises(ConfigError, match="no recording of task_0009"):
        open_frames([config(data, "tasks=[task_0009]")], tmp_path / "cache", False, 1)
    with pytest.raises(ConfigError, match="camera 7; all have 104, f02"):
        open_frames([config(data, "cameras=['7']")], tmp_path / "cache", False, 1)
    (folder / "metadata.json").write_text('{"bad_calib_view": ["104"]}')
    assert len(open_frames([config(data)], tmp_path / "cache", False, 1)) == 3, "one camera less"
    for file in folder.glob("cam_f02/color/*"):
        file.rename(file.with_name(f"{int(file.stem) + 1}.jpg"))
    with pytest.raises(ConfigError, match="unpacked with"):
        open_frames([config(data)], tmp_path / "cache", False, 1)
    (data / "RH20T_task_description.json").unlink()
    with pytest.raises(ConfigError, match="task_description"):
        open_frames([config(data)], tmp_path / "cache", False, 1)
    (data / "my_task_descriptions.json").write_text('{"task_0001": ""}')
    with pytest.raises(ConfigError, match="no sentence for task_0001"):
        open_frames([config(data)], tmp_path / "cache", False, 1)
    (data / "my_task_descriptions.json").write_text('{"task_0001": "pour"}')
    monkeypatch.setitem(sys.modules, "rh20t_api.scene", None)
    with pytest.raises(ConfigError, match=r"github.com/rh20t/rh20t_api"):
        open_frames([config(data)], tmp_path / "cache", False, 1)
