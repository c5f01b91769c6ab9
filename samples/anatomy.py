"""Draws a head slice: scalp, skull, folded cortex, white matter, deep nuclei, ventricles, vessels."""

from dataclasses import dataclass

import numpy as np

from samples.contrast import Contrast
from samples.fields import (
    Field,
    Mask,
    Stroke,
    cover,
    densify,
    mirror,
    outside_strokes,
    paint,
    smooth_noise,
)
from samples.levels import Level
from samples.outline import Outline

RIBBON_MM = 2.5  # thickness of the cortex
FALX_MM = 0.45  # half thickness
FISSURE_MM = 0.9  # half width
WIGGLE_MM = 0.9  # sulci meander by about this much
SIDE_JITTER_MM = 0.9


@dataclass(frozen=True, slots=True)
class Scene:
    """One slice before it is drawn. Fields have the picture's shape and hold mm."""

    rng: np.random.Generator
    level: Level
    outline: Outline
    sulci: list[Field]
    x: Field  # from the head's centre, where the picture shows it
    y: Field
    u: Field  # the same place in a straight, undisturbed head
    v: Field
    skull: Field  # signed distance to the inner skull, negative inside
    px: float  # pixels per mm
    scalp_mm: float
    csf_gap_mm: float  # between dura and cortex
    ventricle_scale: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    def noise(self, cell_mm: float, stretch: float = 1.0) -> Field:
        """Smooth noise of unit deviation that varies over `cell_mm`, `stretch` times as far downwards."""
        return smooth_noise(self.rng, self.shape, cell_mm * self.px, stretch)


def draw_scalp_and_skull(scene: Scene, look: Contrast) -> Field:
    """Everything outside the dura, on black; shape of the scene."""
    slow, fine = scene.noise(34.0), scene.noise(1.3)
    angle = np.arctan2(scene.x, -scene.y)
    ends = np.cos(angle) ** 2  # thicker in front and at the back than at the sides
    temple = scene.level.temple_muscle * np.exp(-(((np.abs(angle) - 1.05) / 0.42) ** 2))
    bone = 4.8 + 1.4 * ends + 0.4 * slow
    scalp = scene.scalp_mm * (0.85 + 0.22 * ends + 0.08 * slow) + 0.45 * temple
    out = scene.skull
    skin = out - bone - scalp
    image = np.zeros(scene.shape)
    image = paint(image, look.skin, cover(skin, 1.2))
    fat = look.fat * (0.93 + 0.07 * fine + 0.05 * slow)
    image = paint(image, fat, cover(skin + 1.5, 1.4))
    image = paint(image, look.muscle * (1.0 + 0.1 * fine), cover(out - bone - temple, 1.0) * (temple > 0.4))
    image = paint(image, look.compact_bone, cover(out - bone, 1.1))
    marrow = np.abs(out - 0.52 * bone) - np.clip(0.16 * bone + 0.8 * slow, 0.0, 1.9)
    return paint(image, look.marrow * (0.85 + 0.2 * fine), cover(marrow, 1.2))


def both_sides(scene: Scene, strokes: tuple[Stroke, ...], scale: float) -> list[Field]:
    """The strokes and their mirror images, each a little displaced; rows (x, y, half width)."""
    curves = []
    for stroke in strokes:
        for half in (stroke, mirror(stroke)):
            curve = densify(half)
            shift = scene.rng.normal(0.0, SIDE_JITTER_MM, 2)
            curve[:, :2] += shift
            curve[:, 2] *= scale * scene.rng.uniform(0.88, 1.12)
            curves.append(curve)
    return curves


def midline_strokes(scene: Scene, half_width: float) -> list[Field]:
    """Straight lines where the halves are apart: rows (x, y, half width)."""
    length = scene.level.half_length
    spans = [(max(top, -length), min(bottom, length)) for top, bottom in scene.level.fissure]
    return [densify(((0.0, top, half_width), (0.0, bottom, half_width))) for top, bottom in spans]


def draw_brain(scene: Scene, image: Field, look: Contrast) -> tuple[Field, Field]:
    """The image with the brain in it, and the share of white matter in each pixel (0..1)."""
    region = scene.skull < 1.0
    gap = np.clip(scene.csf_gap_mm * (1.0 + 0.55 * scene.noise(9.0)), 0.2, 6.0)
    surface = scene.skull + gap  # signed distance to the brain
    u = scene.u + WIGGLE_MM * scene.noise(7.0)
    v = scene.v + WIGGLE_MM * scene.noise(7.0)
    fissure = outside_strokes(midline_strokes(scene, FISSURE_MM), 0.5 * (scene.u + u), scene.v, region)
    sulcus = outside_strokes(scene.sulci, u, v, region)
    csf = np.minimum(np.minimum(sulcus, fissure), -surface)  # distance to outer CSF
    ribbon = RIBBON_MM * (1.0 + 0.16 * scene.noise(5.0))
    inside = cover(scene.skull + 0.6, 1.0)
    grey = cover(csf - ribbon, 1.5) * inside
    deep = deep_grey(scene)
    mottle = scene.noise(2.0)
    clouds = scene.noise(14.0)
    white = look.white_matter * (1.0 + 0.012 * mottle + 0.02 * clouds)
    image = paint(image, look.dura * 0.6, cover(scene.skull, 1.0))
    image = paint(image, white, inside)
    image = paint(image, look.deep_grey * (1.0 + 0.02 * mottle), 0.9 * deep)
    image = paint(image, look.grey_matter * (1.0 + 0.03 * mottle), grey)
    image = paint(image, look.csf, cover(csf, 0.9) * inside)
    return draw_ventricles(scene, image, look, region), (1.0 - grey) * (1.0 - deep) * region


def deep_grey(scene: Scene) -> Field:
    """Share of deep grey matter in each pixel, 0..1, with the soft edges it has on MRI."""
    share = np.zeros(scene.shape)
    rough = 0.45 * scene.noise(5.0)
    pale = [(nucleus, 0.5) for nucleus in scene.level.pale_nuclei]
    for nucleus, strength in [(nucleus, 1.0) for nucleus in scene.level.nuclei] + pale:
        for ellipse in (nucleus, nucleus.mirrored()):
            here = cover(ellipse.outside(scene.u, scene.v) + rough, 2.6)
            share = np.maximum(share, strength * here)
    return share


def draw_ventricles(scene: Scene, image: Field, look: Contrast, region: Mask) -> Field:
    """Ventricles and inner cisterns, with the choroid plexus in them."""
    curves = both_sides(scene, scene.level.ventricles, scene.ventricle_scale)
    curves += [densify(stroke) for stroke in scene.level.midline_csf]
    inside = outside_strokes(curves, scene.u, scene.v, region)
    image = paint(image, look.csf, cover(inside, 1.3))
    if not scene.level.plexus:
        return image
    plexus = outside_strokes(both_sides(scene, scene.level.plexus, 1.0), scene.u, scene.v, region)
    glow = 0.75 * look.enhancement if look.vessels else 0.9 * look.grey_matter
    return paint(image, glow, 0.8 * cover(plexus + 0.5 * scene.noise(1.5), 1.2))


def draw_dura(scene: Scene, image: Field, look: Contrast) -> Field:
    """Dura, falx and the great sinus at the back."""
    region = scene.skull < 1.0
    lining = np.abs(scene.skull + 0.2) - 0.25
    image = paint(image, look.dura, 0.7 * cover(lining, 1.0))
    falx = outside_strokes(midline_strokes(scene, FALX_MM), scene.u, scene.v, region)
    image = paint(image, look.dura, 0.75 * cover(falx, 0.9))
    sinus = outside_strokes(sinus_strokes(scene), scene.u, scene.v, scene.skull < 0.0)
    blood = look.enhancement if look.vessels else look.compact_bone + 14.0
    return paint(image, blood * (0.9 + 0.08 * scene.noise(2.0)), cover(sinus, 1.4))


def sinus_strokes(scene: Scene) -> list[Field]:
    """The great sinus where falx and skull meet, behind and, smaller, in front; rows (x, y, half width)."""
    back = scene.outline.radius(0.0 if scene.level.coronal else np.pi) - 1.6
    front = 1.2 - scene.outline.radius(0.0)
    great = [
        densify(((0.0, back - 7.5, 0.3), (0.0, back - 3.0, 1.3), (0.0, back - 1.0, 2.1))),
        densify(((-5.5, back - 0.4, 0.4), (0.0, back - 0.6, 1.6), (5.5, back - 0.4, 0.4))),
    ]
    if scene.level.coronal:
        return [curve * np.array([1.0, -1.0, 1.0]) for curve in great]
    return [
        *great,
        densify(((0.0, front + 3.0, 0.2), (0.0, front + 0.6, 1.1))),
    ]


def draw_vessels(scene: Scene, image: Field, look: Contrast) -> Field:
    """Bright veins and arteries along some sulci, after contrast agent only."""
    if not look.vessels:
        return image
    pieces = []
    for curve in scene.sulci:
        if scene.rng.random() > 0.45:
            continue
        start, stop = np.sort(scene.rng.integers(0, len(curve), 2))
        piece = curve[start : min(stop, start + 14) + 1].copy()
        piece[:, 2] = scene.rng.uniform(0.1, 0.5)
        pieces.append(piece)
    vessels = outside_strokes(pieces, scene.u, scene.v, scene.skull < 0.0)
    strength = np.clip(0.5 + 0.3 * scene.noise(4.0), 0.1, 0.9)
    return paint(image, 0.85 * look.enhancement, strength * cover(vessels, 0.9))
