"""The outline of the inner skull as a radius for every direction from the head's centre, in mm."""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import interpolate, spatial

from samples.fields import Field
from samples.levels import Level

DIRECTIONS = 1440
RIPPLE = 0.0045  # relative deviation of each of the low harmonics
HARMONICS = (2, 3, 4, 5, 7)


@dataclass(frozen=True, slots=True)
class Outline:
    """`radii` has shape (DIRECTIONS,); direction 0 points up the picture, a quarter turn to the right."""

    radii: Field

    def radius(self, angle: float) -> float:
        return float(self.radii[round(angle / (2.0 * math.pi) * DIRECTIONS) % DIRECTIONS])

    def depth(self, x: float, y: float) -> float:
        """About how far inside the skull a point lies, in mm."""
        return self.radius(math.atan2(x, -y)) - math.hypot(x, y)

    def outside(self, x: Field, y: Field) -> Field:
        """Signed distance in mm to the outline, negative inside; shape of x."""
        turn = np.linspace(0.0, 2.0 * np.pi, DIRECTIONS, endpoint=False)
        tree = spatial.cKDTree(np.column_stack([self.radii * np.sin(turn), -self.radii * np.cos(turn)]))
        distance, _ = tree.query(np.column_stack([x.ravel(), y.ravel()]))
        reach = np.interp(np.arctan2(x, -y), turn, self.radii, period=2.0 * np.pi)
        return cast(Field, distance.reshape(x.shape) * np.where(np.hypot(x, y) > reach, 1.0, -1.0))


def grow_outline(rng: np.random.Generator, level: Level) -> Outline:
    """The level's profile or an egg, narrower in front, with small ripples so that no two heads are alike."""
    turn = np.linspace(0.0, 2.0 * np.pi, DIRECTIONS, endpoint=False)
    if level.profile:
        degrees, radii = np.asarray(level.profile, dtype=np.float64).T
        from_top = np.abs((np.degrees(turn) + 180.0) % 360.0 - 180.0)
        return Outline(interpolate.PchipInterpolator(degrees, radii)(from_top) * ripples(rng, turn))
    half_width = level.half_width * (1.0 - level.brow_narrowing * np.cos(turn))
    across = np.abs(np.sin(turn) / half_width) ** level.squareness
    along = np.abs(np.cos(turn) / level.half_length) ** level.squareness
    return Outline((across + along) ** (-1.0 / level.squareness) * ripples(rng, turn))


def ripples(rng: np.random.Generator, turn: Field) -> Field:
    """Factors near 1, shape of `turn`."""
    factor = np.ones_like(turn)
    for harmonic in HARMONICS:
        factor += rng.normal(0.0, RIPPLE) * np.cos(harmonic * turn + rng.uniform(0.0, 2.0 * np.pi))
    return factor
