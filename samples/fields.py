"""Fields on a pixel grid: noise, soft edges, distances to strokes and blobs. All lengths are millimetres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import interpolate, ndimage, spatial

Field = npt.NDArray[np.float64]  # one value per pixel, shape (height, width), unless a comment says otherwise
Mask = npt.NDArray[np.bool_]  # likewise
Point = tuple[float, float]
Stroke = tuple[tuple[float, float, float], ...]  # (x, y, half width) along a curve

STROKE_STEP_MM = 0.35
FAR_MM = 40.0  # beyond this a stroke's distance does not matter to anybody


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A tilted ellipse: centre and half axes in mm, tilt in radians, clockwise on the picture."""

    x: float
    y: float
    rx: float
    ry: float
    tilt: float = 0.0

    def mirrored(self) -> "Ellipse":
        return Ellipse(-self.x, self.y, self.rx, self.ry, -self.tilt)

    def outside(self, x: Field, y: Field) -> Field:
        """Roughly the distance in mm to the edge, negative inside; same shape as x and y."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        along = ((x - self.x) * cos + (y - self.y) * sin) / self.rx
        across = ((y - self.y) * cos - (x - self.x) * sin) / self.ry
        return cast(Field, (np.hypot(along, across) - 1.0) * min(self.rx, self.ry))


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell_px: float, stretch: float = 1.0
) -> Field:
    """Noise of about unit deviation that varies over `cell_px` pixels, `stretch` times as many downwards."""
    margin = 3  # the cubic spline needs neighbours beyond the edge
    coarse = rng.standard_normal(
        (int(shape[0] / cell_px / stretch) + 2 * margin, int(shape[1] / cell_px) + 2 * margin)
    )
    rows = np.arange(shape[0])[:, None] / cell_px / stretch + margin - 1
    columns = np.arange(shape[1])[None, :] / cell_px + margin - 1
    where = np.broadcast_arrays(rows, columns)
    spline_gain = 1.45  # the spline flattens white noise by about this much
    return cast(Field, ndimage.map_coordinates(coarse, where, order=3, mode="nearest") * spline_gain)


def cover(outside: Field, softness_mm: float = 1.0) -> Field:
    """How much of a shape covers each pixel, 0..1, from the signed distance to its edge."""
    ramp = np.clip(0.5 - outside / softness_mm, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def paint(image: Field, value: Field | float, amount: Field) -> Field:
    """The image with `value` laid over it, as opaque as `amount` (0..1)."""
    return image + (value - image) * amount


def mirror(stroke: Stroke) -> Stroke:
    return tuple((-x, y, width) for x, y, width in stroke)


def densify(stroke: Stroke) -> Field:
    """A smooth curve through the stroke's points, one row (x, y, half width) per third of a mm."""
    points = np.asarray(stroke, dtype=np.float64)
    chords = np.hypot(np.diff(points[:, 0]), np.diff(points[:, 1]))
    arc = np.concatenate([[0.0], np.cumsum(chords)])
    at = np.linspace(0.0, arc[-1], max(2, int(arc[-1] / STROKE_STEP_MM)))
    return cast(Field, interpolate.PchipInterpolator(arc, points)(at))


def outside_strokes(strokes: Sequence[Field], x: Field, y: Field, region: Mask) -> Field:
    """Distance in mm to the nearest stroke's edge, negative inside it.

    `strokes` hold rows (x, y, half width). Pixels out of `region` get FAR_MM.
    """
    distance = np.full(x.shape, FAR_MM)
    if not strokes:
        return distance
    rows = np.concatenate(strokes)
    tree = spatial.cKDTree(rows[:, :2])
    near, index = tree.query(np.column_stack([x[region], y[region]]), distance_upper_bound=FAR_MM)
    widths = np.append(rows[:, 2], 0.0)  # the tree answers len(rows) where nothing is near
    distance[region] = np.minimum(near, FAR_MM) - widths[index]
    return distance
