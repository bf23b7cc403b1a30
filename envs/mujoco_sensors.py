"""What the cameras of a MuJoCo scene see, as the fields of an observation: images, depth, clouds, virtual views."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from envs import camera, points, views
from envs.pictures import as_fields, picture_specs
from envs.spec import FieldSpec, Observation, ObservationRequest

SENSED = frozenset(
    {
        "rgb",
        "depth",
        "intrinsics",
        "extrinsics",
        "points",
        "points_valid",
        "point_colors",
        "views",
        "views_valid",
    }
)
"""Every field that `Sensors` gives."""


def sensor_specs(request: ObservationRequest) -> list[FieldSpec]:
    """Of every field that `Sensors` gives, for a simulator's `specs`."""
    v, n = len(request.cameras), request.num_points
    layout = request.view_layout
    seen = (len(layout.tiles), layout.size, layout.size)
    return [
        *picture_specs(request),
        FieldSpec("intrinsics", (v, 3, 3), "float32", "pixels"),
        FieldSpec("extrinsics", (v, 4, 4), "float32", "m", "robot_from_camera", "OpenCV axes"),
        FieldSpec("points", (n, 3), "float32", "m", "robot"),
        FieldSpec("points_valid", (n,), "bool", "", "", "False for padding"),
        FieldSpec("point_colors", (n, 3), "uint8", "0..255"),
        FieldSpec("views", (*seen, 4), "float32", "m", "robot", f"depth, xyz; {layout.tiles}"),
        FieldSpec("views_valid", seen, "bool", "", "", "False where no point is seen"),
    ]


class Sensors:
    """Cameras of one model, for one resolved request.

    cameras: their numbers in the model, in the order of `request.cameras`.
    upside_down: names of cameras that are mounted so; their images are rotated by 180 degrees, and their axes too.
    hand: the hand's place (3,), metres, robot frame, for virtual cameras that move with it; where hands turn or there
        are two, robot_from_hand (4, 4) by the names of the virtual cameras on them.

    Nothing is drawn, and no GL context made, before something is asked for that needs it.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        cameras: Sequence[int],
        request: ObservationRequest,
        upside_down: Collection[str] = (),
        hand: Callable[[], np.ndarray | Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        self.cameras, self.request = tuple(cameras), request
        self._model, self._data, self._hand = model, data, hand
        self._turned = {number: model.camera(number).name in upside_down for number in self.cameras}
        seen = [request.crop_of(name) for name in request.cameras] if request.clouds else []
        self._crops = dict(zip(self.cameras, seen, strict=False))
        self._sizes = dict(zip(self.cameras, map(request.size_of, request.cameras), strict=True))
        self._projections: dict[int, tuple[np.ndarray, points.BackProjection]] = {}
        self._made: Any = None

    def observe(self) -> Observation:
        """The fields of the present state that cameras give."""
        request = self.request
        found = self._render() if request.renders else {}
        if "intrinsics" in request.fields:
            found["intrinsics"] = np.stack([self._intrinsics(c) for c in self.cameras]).astype(np.float32)
        if "extrinsics" in request.fields:
            found["extrinsics"] = np.stack([self._extrinsics(c) for c in self.cameras]).astype(np.float32)
        return found

    def fingerprint(self) -> str:
        """The renderer's, which the pixels depend on."""
        return str(self._renderer().fingerprint())

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    def back_projection(self, number: int) -> points.BackProjection:
        """Depth of a camera to points in its crop, made anew when the camera has moved."""
        extrinsics = self._extrinsics(number)
        known = self._projections.get(number)
        if known is None or not np.array_equal(known[0], extrinsics):  # wrist cameras move
            intrinsics, size = self._intrinsics(number), self._sizes[number]
            made = points.BackProjection(intrinsics, extrinsics, *size, self._crops[number])
            known = self._projections[number] = extrinsics, made
        return known[1]

    def _renderer(self) -> Any:
        if self._made is None:
            from envs.mujoco_renderer import Renderer

            r = self.request
            self._made = Renderer(self._model, r.height, r.width, r.render, r.colour, r.geometry, r.goal_marker)
        return self._made

    def _intrinsics(self, number: int) -> np.ndarray:
        fovy = float(self._model.cam_fovy[number])
        return camera.intrinsics_from_fovy(fovy, *self._sizes[number])

    def _extrinsics(self, number: int) -> np.ndarray:
        return camera.extrinsics_from_mujoco(
            self._data.cam_xpos[number], self._data.cam_xmat[number], self._turned[number]
        )

    def _render(self) -> Observation:
        request = self.request
        rgb, depth, clouds, colours = [], [], [], []
        for number in self.cameras:
            picture, distance = self._renderer().render(self._data, number, self._sizes[number])
            turned = self._turned[number]
            if picture is not None:
                upright = picture[::-1, ::-1] if turned else picture
                # Lift3D flips MuJoCo's image top to bottom only
                rgb.append(picture[::-1] if turned and request.image == "lift3d" else upright)
            if distance is not None:
                distance = np.ascontiguousarray(distance[::-1, ::-1]) if turned else distance
                depth.append(distance)
                if request.clouds:
                    cloud, index = self.back_projection(number)(distance)
                    clouds.append(cloud)
                    if picture is not None:
                        colours.append(upright.reshape(-1, 3)[index])
        found = Observation()
        for name, pictures in (("rgb", rgb), ("depth", depth)):
            if pictures and name in request.fields:
                found |= as_fields(name, pictures, request)
        if "views" in request.fields:
            merged = views.cap(views.voxel_grid(np.concatenate(clouds)))
            found["views"], found["views_valid"] = self._virtual_views(merged)
        if "points" in request.fields:
            cloud = clouds[0] if len(clouds) == 1 else np.concatenate(clouds)
            chosen = points.sample(cloud, request.num_points, request.sampler)
            found["points"], found["points_valid"] = points.pad(cloud[chosen], request.num_points)
            if colours:
                found["point_colors"] = points.pad(np.concatenate(colours)[chosen], request.num_points)[0]
        return found

    def virtual_poses(self) -> np.ndarray:
        """robot_from_camera (V, 4, 4) of the virtual cameras that there are, in the order of the layout's tiles."""
        cameras = self._cameras_of_views()
        hand: np.ndarray | Mapping[str, np.ndarray] | None = None
        if any(one.on_hand for one in cameras.values()):
            if self._hand is None:
                raise ValueError("virtual views need the hand's place")
            hand = self._hand()
        return np.stack([one.pose(hand.get(n) if isinstance(hand, Mapping) else hand) for n, one in cameras.items()])

    def _cameras_of_views(self) -> dict[str, views.VirtualCamera]:
        """By their names, in the order of the layout's tiles."""
        named = {one.name: one for one in self.request.virtual or ()}
        return {name: named[name] for name in self.request.view_layout.tiles if name in named}

    def _virtual_views(self, cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        layout, cameras = self.request.view_layout, self._cameras_of_views()
        there = [number for number, name in enumerate(layout.tiles) if name in cameras]
        shape = (len(layout.tiles), layout.size, layout.size)
        pictures, filled = np.zeros((*shape, 4), np.float32), np.zeros(shape, bool)
        pictures[there], filled[there] = views.render_views(
            cloud,
            self.virtual_poses(),
            size=layout.size,
            splat=self.request.splat,
            across=[one.across for one in cameras.values()],
        )
        return pictures, filled
