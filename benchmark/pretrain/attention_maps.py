"""Figure 6 for any task: attention over the cloud and over the image, at moments of the expert's episode."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.settings import seeds
from benchmark.system.errors import ConfigError
from benchmark.system.files import write_atomically
from envs.registry import make
from envs.spec import ObservationRequest
from methods.clar.attention import class_attention, on_image, on_points
from methods.clar.local import project, visible
from methods.clar.pretraining import Pretraining
from methods.objective import ObjectiveModel
from methods.preprocess import repeat_valid

CELLS = 14
FIELDS = ("points", "points_valid", "rgb", "depth", "intrinsics", "extrinsics")


@dataclass(frozen=True)
class Look:
    """One moment: rgb (H, W, 3) uint8, heat (H, W) and cloud (N, 3) metres with its heat (N,), both 0..1."""

    step: int
    rgb: np.ndarray
    heat: np.ndarray
    points: np.ndarray
    point_heat: np.ndarray


def watch(env_name: str, task: str, camera: str, steps: Sequence[int]) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Observations at these steps, as far as the episode goes, of the expert's first demonstration seed."""
    env = make(env_name, task, ObservationRequest(fields=(*FIELDS, "proprio"), cameras=(camera,)))
    try:
        observation = env.reset(seeds.derive("attention", task, "demo", 0))
        found = []
        for step in range(max(steps) + 1):
            if step in steps:
                found.append((step, {name: np.array(value) for name, value in observation.items()}))
            after = env.step(env.expert_action())
            if after.ended is not None:
                break
            observation = after.observation
        return found
    finally:
        env.close()


def look(model: ObjectiveModel, step: int, observation: dict[str, np.ndarray]) -> Look:
    """Raises `ConfigError` for a model that is not CLAR's: the figure shows its class token's attention."""
    if not isinstance(model, Pretraining):
        raise ConfigError("attention is drawn for CLAR's encoders alone")
    batch = {name: torch.from_numpy(observation[name]).unsqueeze(0) for name in FIELDS}
    with torch.no_grad():
        centers, patches, raw = model.patches(batch["points"], batch["points_valid"])
        shares, tokens = class_attention(model.representation.encoder, centers, patches)
        cloud = repeat_valid(batch["points"].float(), batch["points_valid"])
        heat = on_points(shares, raw, cloud)
        pixels, depth = project(raw, batch["intrinsics"][:, 0], batch["extrinsics"][:, 0])
        seen = visible(pixels, depth, batch["depth"][:, 0])
        height, width = batch["rgb"].shape[2:4]
        picture = on_image(
            shares, tokens, pixels / torch.tensor([width, height]), seen, model.local, CELLS, (height, width)
        )
    valid = observation["points_valid"]
    return Look(step, observation["rgb"][0], picture[0].numpy(), observation["points"][valid], heat[0].numpy()[valid])


def write_looks(looks: Sequence[Look], folder: Path, title: str) -> list[Path]:
    """One PNG a moment and `index.html`, which needs no network and turns the clouds."""
    written = []
    for found in looks:
        path = folder / f"step-{found.step:03d}.png"
        data = _picture(found, f"{title}, step {found.step}")
        write_atomically(path, lambda file, data=data: file.write(data))  # type: ignore[misc]
        written.append(path)
    page = _page(looks, [path.read_bytes() for path in written], title)
    write_atomically(folder / "index.html", lambda file: file.write(page.encode()))
    return [*written, folder / "index.html"]


def _picture(found: Look, title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    plain, over = figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)
    plain.imshow(found.rgb)
    plain.set_title("picture", fontsize=9)
    over.imshow(found.rgb)
    over.imshow(found.heat, cmap="jet", alpha=0.25 + 0.45 * found.heat, vmin=0, vmax=1)
    over.set_title("attention in the image", fontsize=9)
    for axes in (plain, over):
        axes.set_axis_off()
    space: Any = figure.add_subplot(1, 3, 3, projection="3d")
    x, y, z = found.points.T
    dots = space.scatter(x, y, z, c=found.point_heat, cmap="jet", s=6, vmin=0, vmax=1)
    space.set_title("attention on the cloud, robot frame (m)", fontsize=9)
    space.set_box_aspect(np.ptp(found.points, axis=0).clip(0.05))
    space.tick_params(labelsize=6)
    space.view_init(elev=25, azim=-60)
    figure.colorbar(dots, ax=space, shrink=0.6, label="share, lowest to highest")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _page(looks: Sequence[Look], pictures: Sequence[bytes], title: str) -> str:
    clouds = [
        {"points": np.round(found.points, 4).tolist(), "heat": np.round(found.point_heat, 3).tolist()}
        for found in looks
    ]
    sections = "\n".join(
        f'<section><h2>step {found.step}</h2><img alt="image, attention in it and on the cloud" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f'<canvas tabindex="0" width="420" height="360" data-cloud="{number}" aria-label="cloud; drag or arrow keys">'
        "</canvas></section>"
        for number, (found, data) in enumerate(zip(looks, pictures, strict=True))
    )
    return (
        PAGE.replace("@TITLE@", html.escape(title))
        .replace("@SECTIONS@", sections)
        .replace("@CLOUDS@", json.dumps(clouds, separators=(",", ":")))
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1560px; padding: 0 1rem; color: #222 }
section { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; border-top: 1px solid #ddd; padding: 1rem 0 }
h2 { width: 100%; margin: 0; font-size: 1rem } img { max-width: 100% }
canvas { border: 1px solid #ccc; border-radius: 4px; touch-action: none; cursor: grab; max-width: 100% }
</style>
<h1>@TITLE@</h1>
<p>Blue is the lowest share of the class token's attention in the last block, red the highest. Drag a cloud to turn it,
or use the arrow keys.</p>
@SECTIONS@
<script>
const clouds = @CLOUDS@;
const colour = h => `hsl(${240 - 240 * h}, 90%, ${45 + 5 * h}%)`;
for (const canvas of document.querySelectorAll("canvas")) {
  const { points, heat } = clouds[canvas.dataset.cloud], pen = canvas.getContext("2d");
  const middle = [0, 1, 2].map(a => { const v = points.map(p => p[a]); return (Math.min(...v) + Math.max(...v)) / 2 });
  const reach = Math.max(...points.map(p => Math.hypot(...p.map((v, a) => v - middle[a]))));
  let turn = -0.6, tilt = 0.5;
  const draw = () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const scale = 0.45 * canvas.height / reach;
    points.map((p, i) => {
      const [x, y, z] = p.map((v, a) => v - middle[a]);
      const u = x * Math.cos(turn) - y * Math.sin(turn), v = x * Math.sin(turn) + y * Math.cos(turn);
      return [u, z * Math.cos(tilt) + v * Math.sin(tilt), v * Math.cos(tilt) - z * Math.sin(tilt), heat[i]];
    }).sort((a, b) => b[2] - a[2]).forEach(([u, w, , h]) => {
      pen.fillStyle = colour(h);
      pen.beginPath();
      pen.arc(canvas.width / 2 + scale * u, canvas.height / 2 - scale * w, 2.6, 0, 7);
      pen.fill();
    });
  };
  canvas.onpointermove = e => { if (e.buttons) { turn += e.movementX / 100; tilt += e.movementY / 100; draw() } };
  canvas.onkeydown = e => {
    const [a, b] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key] || [0, 0];
    if (a || b) { turn += a / 10; tilt += b / 10; draw(); e.preventDefault() }
  };
  draw();
}
</script>
</html>
"""
