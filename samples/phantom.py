"""One phantom: what it shows, how it is framed, and how it becomes a picture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samples.acquisition import Scanner, acquire
from samples.anatomy import Scene, draw_brain, draw_dura, draw_scalp_and_skull, draw_vessels
from samples.contrast import Contrast
from samples.face import draw_face, draw_sella
from samples.fields import Field, Point, smooth_noise
from samples.lesions import Lesion, Surroundings, draw_lesion, pushed
from samples.levels import Level
from samples.outline import grow_outline
from samples.sulci import SulcusGrower

PLAIN_SCANNER = Scanner()
WARP_CELL_MM = 38.0


@dataclass(frozen=True, slots=True)
class Phantom:
    """Sizes in pixels, lengths in mm, tilt in radians. `head` picks the random stream of this head."""

    name: str
    head: int
    shows: str
    level: Level
    look: Contrast
    mm_per_px: float
    lesion: Lesion | None = None
    scanner: Scanner = PLAIN_SCANNER
    width: int = 512
    height: int = 512
    offset: Point = (0.0, 0.0)  # of the head's centre from the picture's
    tilt: float = 0.0
    scalp_mm: float = 5.2
    csf_gap_mm: float = 0.9  # between skull and brain
    sulcus_scale: float = 1.0
    ventricle_scale: float = 1.0
    warp_mm: float = 1.3  # how far anatomy strays from the tables


def render(phantom: Phantom, seed: int) -> npt.NDArray[np.uint8]:
    """The finished picture, shape (height, width). The same seed gives the same picture everywhere."""
    rng = np.random.Generator(np.random.PCG64([seed, phantom.head]))
    look, scene = phantom.look, build_scene(rng, phantom)
    image = draw_scalp_and_skull(scene, look)
    if phantom.level.coronal:
        image = draw_face(scene, image, look)
    image, white_share = draw_brain(scene, image, look)
    image = draw_dura(scene, image, look)
    image = draw_vessels(scene, image, look)
    if phantom.level.coronal:
        image = draw_sella(scene, image, look)
    if phantom.lesion is not None:
        where = Surroundings(scene.x, scene.y, scene.skull, scene.u, white_share, scene.px)
        image = draw_lesion(rng, image, phantom.lesion, where, look)
    return acquire(rng, image, phantom.scanner)


def build_scene(rng: np.random.Generator, phantom: Phantom) -> Scene:
    """Grows the head that the phantom asks for."""
    x, y = place(phantom)
    outline = grow_outline(rng, phantom.level)
    skull = outline.outside(x, y)
    u, v = (x, y) if phantom.lesion is None else pushed(phantom.lesion, x, y, skull)
    cell, shape = WARP_CELL_MM / phantom.mm_per_px, (phantom.height, phantom.width)
    return Scene(
        rng=rng,
        level=phantom.level,
        outline=outline,
        sulci=SulcusGrower(rng, outline, phantom.level, phantom.sulcus_scale).grow(),
        x=x,
        y=y,
        u=u + phantom.warp_mm * smooth_noise(rng, shape, cell),
        v=v + phantom.warp_mm * smooth_noise(rng, shape, cell),
        skull=skull,
        px=1.0 / phantom.mm_per_px,
        scalp_mm=phantom.scalp_mm,
        csf_gap_mm=phantom.csf_gap_mm,
        ventricle_scale=phantom.ventricle_scale,
    )


def place(phantom: Phantom) -> tuple[Field, Field]:
    """x and y in mm from the head's centre for every pixel; shape (height, width)."""
    columns = (np.arange(phantom.width) - (phantom.width - 1) / 2.0) * phantom.mm_per_px - phantom.offset[0]
    rows = (np.arange(phantom.height) - (phantom.height - 1) / 2.0) * phantom.mm_per_px - phantom.offset[1]
    across, down = np.meshgrid(columns, rows)
    cos, sin = np.cos(phantom.tilt), np.sin(phantom.tilt)
    return across * cos + down * sin, down * cos - across * sin


def to_pixels(phantom: Phantom, x: float, y: float) -> Point:
    """Column and row of a place given in mm from the head's centre: the inverse of `place`."""
    cos, sin = float(np.cos(phantom.tilt)), float(np.sin(phantom.tilt))
    across = x * cos - y * sin + phantom.offset[0]
    down = x * sin + y * cos + phantom.offset[1]
    column = across / phantom.mm_per_px + (phantom.width - 1) / 2.0
    return column, down / phantom.mm_per_px + (phantom.height - 1) / 2.0
