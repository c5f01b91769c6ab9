"""Charts as numbers for inline SVG: bars whose parts lie on each other. Templates give them colours by class.

Places and sizes are in units of the picture's `viewBox`, which stretches to whatever room there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEIGHT = 100.0
BAR_WIDTH = 8.0
BAR_STEP = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar: what it stands for, how much of it, and where it is drawn."""

    name: str
    number: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One column of a chart, with the room that a pointer may rest on."""

    total: int
    x: float
    parts: list[Part]


def columns(rows: Sequence[Mapping[str, int]]) -> list[Bar]:
    """A column for each row, its parts from the bottom up in the row's order; the highest fills it."""
    highest = max((sum(row.values()) for row in rows), default=0) or 1
    return [_column(row, place * BAR_STEP, HEIGHT / highest) for place, row in enumerate(rows)]


def shares(numbers: Mapping[str, int], width: float = 100.0, height: float = HEIGHT) -> list[Part]:
    """One lying bar, cut in the order of the numbers; nothing where all are 0."""
    total = sum(numbers.values())
    parts, x = [], 0.0
    for name, number in numbers.items():
        if number:
            wide = round(width * number / total, 3)
            parts.append(Part(name, number, round(x, 3), 0.0, wide, height))
            x += wide
    return parts


def _column(row: Mapping[str, int], x: float, unit: float) -> Bar:
    parts, top = [], HEIGHT
    for name, number in row.items():
        if number:
            high = number * unit
            top -= high
            parts.append(Part(name, number, x, round(top, 3), BAR_WIDTH, round(high, 3)))
    return Bar(sum(row.values()), x, parts)
