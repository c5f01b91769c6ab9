"""Tumours: their edge, how they push the brain aside and how they look after contrast agent."""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from samples.contrast import Contrast
from samples.fields import Field, cover, paint, smooth_noise

Kind = Literal["ring", "meningioma", "pituitary"]

PUSH_REACH = 1.45  # tissue moves within this many radii
FIXED_RIM_MM = 14.0  # next to the skull nothing can move
LOBES = (2, 3, 4, 5, 7, 9)
OEDEMA_REACH_MM = 13.0  # around a ring
OEDEMA_RIM_MM = 5.0  # around a meningioma
WALL_MM = 2.9
WALL_RANGE_MM = (1.5, 6.5)
DURA_MM = 0.6  # a meningioma stops this far from skull and falx
TAIL_REACH_MM = 12.0  # the dura shines this far from its edge


@dataclass(frozen=True, slots=True)
class Lesion:
    """Centre and mean radius in mm from the head's centre; `push` is the shift at the edge in mm."""

    kind: Kind
    x: float
    y: float
    radius: float
    push: float
    lobing: float = 0.07  # relative deviation of the edge
    stretch: float = 1.0  # height over width


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a tumour needs to know of its place: mm, signed distances negative inside, shares 0..1."""

    x: Field
    y: Field
    skull: Field
    across: Field  # distance from the falx, positive to the right
    white_share: Field
    px: float  # pixels per mm


def pushed(lesion: Lesion, x: Field, y: Field, skull: Field) -> tuple[Field, Field]:
    """Where the tissue seen at (x, y) lay before the tumour grew, in mm; `skull` is negative inside."""
    dx, dy = x - lesion.x, y - lesion.y
    away = np.hypot(dx, dy) + 1e-6
    reach = PUSH_REACH * lesion.radius
    shift = lesion.push * (away / lesion.radius) * np.exp(0.5 * (1.0 - (away / reach) ** 2))
    shift = np.minimum(shift * np.clip(-skull / FIXED_RIM_MM, 0.0, 1.0), 0.8 * away)
    return x - dx / away * shift, y - dy / away * shift


def edge_distance(rng: np.random.Generator, lesion: Lesion, x: Field, y: Field) -> Field:
    """Signed distance in mm to the tumour's lobed edge, negative inside."""
    dx, dy = x - lesion.x, (y - lesion.y) / lesion.stretch
    angle = np.arctan2(dy, dx)
    reach = np.ones_like(x)
    for lobe in LOBES:
        reach += (
            rng.normal(0.0, lesion.lobing)
            / (lobe / 2.0)
            * np.cos(lobe * angle + rng.uniform(0.0, 2.0 * np.pi))
        )
    return cast(Field, np.hypot(dx, dy) - lesion.radius * reach)


def draw_lesion(
    rng: np.random.Generator, image: Field, lesion: Lesion, where: Surroundings, look: Contrast
) -> Field:
    """The image with the tumour; shape (height, width)."""
    edge = edge_distance(rng, lesion, where.x, where.y)
    if lesion.kind == "ring":
        return draw_ring(rng, image, edge, where, look)
    return draw_solid(rng, image, edge, where, look, lesion)


def draw_ring(
    rng: np.random.Generator, image: Field, edge: Field, where: Surroundings, look: Contrast
) -> Field:
    """A bright, uneven wall around a dark core, with oedema that follows the white matter."""
    shape = image.shape[0], image.shape[1]
    coarse = smooth_noise(rng, shape, 9.0 * where.px)
    fine = smooth_noise(rng, shape, 2.2 * where.px)
    fingers = np.clip(1.15 - (edge + 3.0 * coarse) / OEDEMA_REACH_MM, 0.0, 1.0)
    image = paint(image, look.oedema, np.clip(2.2 * fingers - 0.3, 0.0, 0.95) * where.white_share)
    wall = WALL_MM + 1.3 * coarse + 0.25 * fine  # mm
    glow = look.enhancement * (0.84 + 0.10 * fine + 0.05 * coarse)
    image = paint(image, glow, cover(edge, 2.2))
    core = edge + np.clip(wall, *WALL_RANGE_MM)
    return paint(image, look.necrosis * (1.0 + 0.14 * coarse + 0.08 * fine), cover(core, 2.4))


def draw_solid(
    rng: np.random.Generator, image: Field, edge: Field, where: Surroundings, look: Contrast, lesion: Lesion
) -> Field:
    """An evenly bright mass; a meningioma ends at skull and falx, and the dura next to it shines too."""
    shape = image.shape[0], image.shape[1]
    grain = smooth_noise(rng, shape, 1.6 * where.px)
    clouds = smooth_noise(rng, shape, 6.0 * where.px)
    if lesion.kind == "meningioma":
        edge = np.maximum(edge, where.skull + DURA_MM)
        edge = np.maximum(edge, DURA_MM - where.across * np.sign(lesion.x))
        lining = np.abs(where.skull + 0.7) - 0.8 * np.clip(1.0 - edge / TAIL_REACH_MM, 0.0, 1.0)
        image = paint(image, 0.8 * look.enhancement, cover(lining, 0.9) * (edge < TAIL_REACH_MM))
        image = paint(
            image, look.oedema, 0.75 * cover(edge - OEDEMA_RIM_MM - 2.5 * clouds, 3.0) * where.white_share
        )
    cleft = np.abs(edge - 0.9) - 0.5  # a thin layer of fluid between mass and brain
    image = paint(image, look.csf * 1.6, 0.55 * cover(cleft, 0.9))
    glow = look.enhancement * (0.80 + 0.016 * grain + 0.03 * clouds)
    return paint(image, glow, cover(edge, 1.3))
