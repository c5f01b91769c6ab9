"""Draws what lies under the brain in a coronal slice: chewing muscles, jaw, air spaces, skull base."""

import numpy as np

from samples.anatomy import Scene, both_sides
from samples.contrast import Contrast
from samples.fields import Field, Stroke, cover, outside_strokes, paint

TOP_MM = 16.0  # the face begins this far below the head's centre
CHEEK_MM = 75.0  # half width of the head at the top of the face
TAPER = 0.11  # the cheeks draw in by this much per mm
COIL_HALF_MM = 104.0  # down here the head coil sees half the signal
COIL_FADE_MM = 5.0
CORTICAL_BONE_MM = 2.0
MUCOSA_MM = 1.6

MUSCLES: tuple[Stroke, ...] = (
    ((71.5, -10.0, 0.8), (70.0, 12.0, 2.4), (65.0, 32.0, 4.0), (58.0, 52.0, 3.4)),  # temporal
    ((60.0, 56.0, 3.0), (58.0, 76.0, 5.6), (54.0, 100.0, 5.0)),  # masseter
    ((28.0, 56.0, 4.5), (38.0, 60.0, 7.0), (44.0, 63.0, 4.0)),  # lateral pterygoid
    ((27.0, 68.0, 3.0), (36.0, 80.0, 6.0), (41.0, 98.0, 4.0)),  # medial pterygoid
    ((12.0, 74.0, 2.5), (15.0, 86.0, 3.5), (12.0, 94.0, 2.5)),  # palate
    ((10.0, 112.0, 14.0), (4.0, 124.0, 16.0)),  # tongue
)
JAW: tuple[Stroke, ...] = (((50.0, 60.0, 4.4), (49.0, 78.0, 3.2), (46.0, 106.0, 3.8)),)
AIR: tuple[Stroke, ...] = (
    ((5.5, 46.0, 4.0), (9.0, 45.0, 6.0), (14.0, 47.0, 3.0)),  # sphenoid sinus
    ((2.0, 66.0, 3.0), (6.0, 69.0, 4.5), (9.0, 73.0, 2.0)),  # nasopharynx
    ((2.0, 95.0, 1.2), (14.0, 97.0, 1.6), (22.0, 101.0, 0.8)),  # over the tongue
)


CAROTIDS: tuple[Stroke, ...] = (
    ((13.0, 32.0, 2.1), (13.8, 32.4, 2.1)),
    ((12.5, 24.5, 1.6), (13.0, 25.0, 1.6)),
)
CAVERNOUS_SINUS: tuple[Stroke, ...] = (((12.0, 25.0, 2.0), (14.0, 29.0, 3.4), (13.0, 34.0, 2.4)),)
SELLA_MM = (24.0, 12.0, 44.0)  # half width, top, bottom of the box around both


def draw_face(scene: Scene, image: Field, look: Contrast) -> Field:
    """The image with the face in it, wherever no skull is; shape of the scene."""
    side = np.abs(scene.x) - CHEEK_MM + TAPER * np.maximum(scene.y - TOP_MM, 0.0) + 0.6 * scene.noise(20.0)
    clear = cover(4.0 - scene.skull, 2.0)  # of the skull
    here = cover(TOP_MM - scene.y, 14.0) * clear
    image = draw_cheeks(scene, paint(image, 0.0, here), look, side, here)
    region = (scene.y > -TOP_MM) & (scene.skull > 0.0)
    x, y = scene.x + 1.4 * scene.noise(9.0), scene.y + 1.4 * scene.noise(9.0)
    muscle, jaw, air = (
        outside_strokes(both_sides(scene, strokes, 1.0), x, y, region) for strokes in (MUSCLES, JAW, AIR)
    )
    fibres = look.muscle * (1.0 + 0.06 * scene.noise(2.2) + 0.04 * scene.noise(1.6))
    image = paint(image, fibres, clear * cover(muscle, 1.4))
    image = paint(image, look.compact_bone, clear * cover(jaw, 1.4))
    image = paint(image, 1.7 * look.marrow, clear * cover(jaw + CORTICAL_BONE_MM, 1.4))
    image = paint(image, look.skin, clear * cover(air - MUCOSA_MM, 1.4))
    image = paint(image, 0.0, clear * cover(air, 1.4))
    return image / (1.0 + np.exp((scene.y - COIL_HALF_MM) / COIL_FADE_MM))


def draw_cheeks(scene: Scene, image: Field, look: Contrast, side: Field, here: Field) -> Field:
    """Skin, the fat below it and strands of muscle in fat; `side` is the distance to the skin in mm."""
    fine = scene.noise(1.6)
    strands = cover(2.0 * scene.noise(3.0, 2.6) + 1.1 * scene.noise(7.0, 1.6) - 0.5, 5.0)
    deep_fat = look.fat * (0.58 + 0.05 * fine)
    inner = deep_fat + (look.muscle * 0.95 - deep_fat) * strands
    image = paint(image, look.skin, here * cover(side, 1.2))
    image = paint(image, look.fat * (0.92 + 0.06 * fine), here * cover(side + 1.5, 1.4))
    return paint(image, inner, here * cover(side + 8.0 + 1.5 * scene.noise(12.0), 2.0))


def draw_sella(scene: Scene, image: Field, look: Contrast) -> Field:
    """Cavernous sinuses and, black with flow, the carotids on both sides of the sella."""
    half_width, top, bottom = SELLA_MM
    region = (np.abs(scene.x) < half_width) & (scene.y > top) & (scene.y < bottom)
    veins, arteries = (
        outside_strokes(both_sides(scene, strokes, 1.0), scene.x, scene.y, region)
        for strokes in (CAVERNOUS_SINUS, CAROTIDS)
    )
    image = paint(image, 0.66 * look.enhancement * (1.0 + 0.08 * scene.noise(2.0)), cover(veins, 1.6))
    return paint(image, look.compact_bone, cover(arteries, 1.2))
