"""Colour and depth of a MuJoCo scene, off screen, in as few passes as give exact depth.

Without multisampling one `mjr_render` serves both. With it (the simulator's default quality) depth must not come from
the colour pass: the samples of a pixel are averaged, which biased MetaWorld's depth by 1.5 mm and put 1.8 % of the
pixels, those on edges, between two surfaces. There depth has a pass of its own, which skips everything that costs
time and leaves depth as it is (lights, shadows, reflections, multisampling): 7 ms beside colour's 100.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.render import gl_fingerprint

_COSTLY = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
)
_NOT_DEPTH = (
    *_COSTLY,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_FOG,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


class Renderer:
    """Off-screen images of one model at one quality.

    height, width: of images for which nothing else is said.
    quality: `paper` draws as the model says; `fast` without multisampling, shadows and reflections.
    sites: whether sites (goal markers) are drawn.

    One GL context holds the model's meshes and textures. For exact depth beside multisampled colour its buffers are
    made anew without samples and back, and so they are for an image of another size than the last. It takes 0.1 ms;
    a second context would take 90 MB.
    """

    def __init__(
        self, model: Any, height: int, width: int, quality: str, colour: bool, depth: bool, sites: bool = True
    ) -> None:
        self.model, self._colour, self._depth = model, colour, depth
        self._flat = quality == "fast" or not colour
        # Buffers are made with the context, so the model's quality is changed for that moment only.
        kept = model.vis.quality.offsamples, model.vis.quality.shadowsize
        kept_size = model.vis.global_.offwidth, model.vis.global_.offheight
        if self._flat:
            model.vis.quality.offsamples, model.vis.quality.shadowsize = 0, 1
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._gl = mujoco.GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        model.vis.quality.offsamples, model.vis.quality.shadowsize = kept
        model.vis.global_.offwidth, model.vis.global_.offheight = kept_size
        self._full_samples = self._context.offSamples
        self._buffers = self._full_samples, width, height

        # flags of a scene stay as they were set, so colour and depth have a scene each
        self._scenes = {kind: mujoco.MjvScene(model, maxgeom=2000) for kind in ("colour", "depth")}
        self._options = mujoco.MjvOption()
        if not sites:
            self._options.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._size = height, width
        self._read: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._near = model.vis.map.znear * model.stat.extent
        self._far = model.vis.map.zfar * model.stat.extent

    def render(
        self, data: Any, camera: int, size: tuple[int, int] | None = None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Colour (H,W,3) uint8 and depth (H,W) float32 in metres (inf where nothing is hit), as asked for.

        size: height and width, pixels; None takes the renderer's. Rows run from the top of MuJoCo's image. The arrays
        are new ones.
        """
        self._gl.make_current()
        colour = depth = None
        if self._colour:
            both = self._depth and self._flat
            colour, depth = self._draw(data, camera, size or self._size, colour=True, depth=both)
        if self._depth and depth is None:
            _, depth = self._draw(data, camera, size or self._size, colour=False, depth=True)
        return colour, depth

    def _make_buffers(self, samples: int, height: int, width: int) -> None:
        """Make the off-screen buffers anew with so many samples. MuJoCo does it only if the size changes."""
        rows = height if samples == self._full_samples else height + 1
        if (samples, width, rows) == self._buffers:
            return
        self._context.offSamples = samples
        if (width, rows) == self._buffers[1:]:  # they were those of an image of one row more or less
            mujoco.mjr_resizeOffscreen(width, rows + 1, self._context)
        mujoco.mjr_resizeOffscreen(width, rows, self._context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._buffers = samples, width, rows

    def _draw(
        self, data: Any, camera: int, size: tuple[int, int], colour: bool, depth: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        height, width = size
        self._make_buffers(self._full_samples if colour else 0, height, width)
        if size not in self._read:
            self._read[size] = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32)
        colour_buffer, depth_buffer = self._read[size]
        viewport = mujoco.MjrRect(0, 0, width, height)
        scene = self._scenes["colour" if colour else "depth"]
        self._camera.fixedcamid = camera
        mujoco.mjv_updateScene(
            self.model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, scene
        )
        for flag in _NOT_DEPTH if not colour else _COSTLY if self._flat else ():
            scene.flags[flag] = 0
        # Flat identity colours: the cheapest shading there is, and what mujoco.Renderer uses for depth.
        scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = not colour
        scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = not colour
        mujoco.mjr_render(viewport, scene, self._context)
        mujoco.mjr_readPixels(
            colour_buffer if colour else None, depth_buffer if depth else None, viewport, self._context
        )
        return (
            colour_buffer[::-1].copy() if colour else None,
            self._metres(depth_buffer[::-1], sky=colour) if depth else None,
        )

    def _metres(self, buffer: np.ndarray, sky: bool) -> np.ndarray:
        """Invert MuJoCo's reversed-z projection: the buffer is 1 at the near plane and 0 at the far one.

        sky: the pass has drawn the sky box, whose faces leave depths of half the far plane and more.
        """
        near, far = self._near, self._far
        nothing = np.float32((1 / (0.3 * far) - 1 / far) / (1 / near - 1 / far)) if sky else np.float32(0)
        # 1/z is linear in the buffer: 1/z = 1/far + b (1/near - 1/far)
        metres = np.multiply(buffer, np.float32(1 / near - 1 / far), order="C")
        metres += np.float32(1 / far)
        np.divide(np.float32(1), metres, out=metres)
        metres[buffer <= nothing] = np.inf
        return metres

    def fingerprint(self) -> str:
        self._gl.make_current()
        return gl_fingerprint()

    def close(self) -> None:
        self._context.free()
        self._gl.free()
