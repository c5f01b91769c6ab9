"""Grows the sulci: curves that start on the brain's surface, wander inwards, fork and keep apart."""

import math

import numpy as np

from samples.fields import Ellipse, Field, Point, densify, mirror
from samples.levels import Level
from samples.outline import Outline

STEP_MM = 0.7
SPACING_MM = 8.5  # between the mouths of neighbours on the surface
CLEARANCE_MM = 5.2  # two curves never come closer than this
FILL_CLEARANCE_MM = 7.0  # a buried sulcus starts only this far from all others
FILL_TRIES = 900
WOBBLE = 0.16  # radians per step, deviation
BEND = 0.035  # radians per step, deviation between sulci
FORK_CHANCE = 0.62
FORK_ANGLE = 1.05
MIN_POINTS = 5
MOUTH_MM = 1.0  # how much wider a sulcus opens where it meets the surface
MOUTH_REACH_MM = 3.0
MIDLINE_MM = 3.0  # a sulcus stays this far from the midline


class SulcusGrower:
    """Grows curves one after the other; each keeps clear of all before it."""

    def __init__(self, rng: np.random.Generator, outline: Outline, level: Level, width_scale: float) -> None:
        self.rng = rng
        self.outline = outline
        self.level = level
        self.width_scale = width_scale
        self.core: tuple[Ellipse, ...] = level.core + tuple(ellipse.mirrored() for ellipse in level.core)
        self.curves: list[Field] = []
        self.taken: Field = np.empty((0, 2))

    def grow(self) -> list[Field]:
        """All sulci of the slice: rows (x, y, half width in mm) for each."""
        for cleft in self.level.clefts:
            for stroke in (cleft, mirror(cleft)):
                shift = self.rng.normal(0.0, 1.2, 2)
                curve = densify(stroke) + np.array([shift[0], shift[1], 0.0])
                self.keep(curve * np.array([1.0, 1.0, self.width_scale]))
        self.from_surface()
        self.from_fissure()
        self.fill()
        return self.curves

    def keep(self, curve: Field) -> None:
        self.curves.append(curve)
        self.taken = np.concatenate([self.taken, curve[:, :2]])

    def from_surface(self) -> None:
        perimeter = 2.0 * math.pi * (self.level.half_width + self.level.half_length) / 2.0
        mouths = int(perimeter / SPACING_MM)
        order = np.arange(mouths)
        self.rng.shuffle(order)
        for index in order:
            angle = 2.0 * math.pi * (index + self.rng.uniform(-0.3, 0.3)) / mouths
            radius = self.outline.radius(angle) - 1.0
            start = (radius * math.sin(angle), -radius * math.cos(angle))
            inwards = math.atan2(-start[1], -start[0]) + self.rng.normal(0.0, 0.3)
            depth = 9.0 + 17.0 * self.rng.beta(1.6, 1.6)
            self.branch(start, inwards, depth, 0.25 + self.rng.gamma(2.0, 0.2), mouth=True)

    def from_fissure(self) -> None:
        for top, bottom in self.level.fissure:
            front = max(top, 10.0 - self.level.half_length)
            back = min(bottom, self.level.half_length - 10.0)
            for side in (-1.0, 1.0):
                for y in np.arange(front + 4.0, back - 2.0, SPACING_MM):
                    start = (side * MIDLINE_MM * 0.5, y + self.rng.uniform(-2.5, 2.5))
                    heading = (0.0 if side > 0 else math.pi) + self.rng.normal(0.0, 0.45)
                    self.branch(start, heading, self.rng.uniform(6.0, 17.0), self.rng.uniform(0.15, 0.7))

    def fill(self) -> None:
        """Sulci whose mouth lies in another slice: short curves in the gaps."""
        for _ in range(FILL_TRIES):
            angle = self.rng.uniform(0.0, 2.0 * math.pi)
            radius = self.outline.radius(angle) - self.rng.uniform(5.0, 32.0)
            start = (radius * math.sin(angle), -radius * math.cos(angle))
            heading = self.rng.uniform(0.0, 2.0 * math.pi)
            if not self.free(start, FILL_CLEARANCE_MM):
                continue
            for direction in (heading, heading + math.pi):
                self.branch(start, direction, self.rng.uniform(4.0, 10.0), self.rng.uniform(0.05, 0.55))

    def branch(
        self, start: Point, heading: float, length: float, width: float, *, mouth: bool = False
    ) -> None:
        """A curve and, often, a fork at its end. `width` is the half width at the mouth in mm."""
        end = self.walk(start, heading, length, width, mouth=mouth)
        if end is None or self.rng.random() > FORK_CHANCE:
            return
        x, y, direction = end
        for turn in (-FORK_ANGLE, FORK_ANGLE):
            angle = direction + turn + self.rng.normal(0.0, 0.25)
            self.walk((x, y), angle, self.rng.uniform(4.0, 9.0), 0.7 * width)

    def walk(
        self, start: Point, heading: float, length: float, width: float, *, mouth: bool = False
    ) -> tuple[float, float, float] | None:
        """Walks until the length is used up or the way is blocked; None if that came at once."""
        x, y = start
        bend = self.rng.normal(0.0, BEND)
        origin_mm = CLEARANCE_MM * 1.15  # what lies around the start may be the parent
        points: list[Point] = []
        for _ in range(int(length / STEP_MM)):
            points.append((x, y))
            heading += bend + self.rng.normal(0.0, WOBBLE)
            x, y = x + STEP_MM * math.cos(heading), y + STEP_MM * math.sin(heading)
            away = math.hypot(x - start[0], y - start[1])
            clearance = CLEARANCE_MM if away > origin_mm else 0.62 * away
            if not self.free((x, y), clearance):
                break
        if len(points) < MIN_POINTS:
            return None
        taper = np.linspace(1.0, 0.35, len(points)) * width
        if mouth:
            taper = taper + MOUTH_MM * np.exp(-STEP_MM * np.arange(len(points)) / MOUTH_REACH_MM)
        taper = taper * self.width_scale
        self.keep(np.column_stack([np.asarray(points), taper]))
        return x, y, heading

    def free(self, point: Point, clearance: float) -> bool:
        """Whether the point is in the cortex and no other curve is near."""
        x, y = point
        if abs(x) < MIDLINE_MM * 0.4 or self.outline.depth(x, y) < 0.0:
            return False
        if any(math.hypot((x - e.x) / e.rx, (y - e.y) / e.ry) < 1.0 for e in self.core):
            return False
        if len(self.taken) == 0:
            return True
        squared = (self.taken[:, 0] - x) ** 2 + (self.taken[:, 1] - y) ** 2
        return float(squared.min()) > clearance * clearance
