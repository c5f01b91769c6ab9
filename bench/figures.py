"""What was measured: figures of one run, each beside the one that it is held against.

What is compared takes turns, round by round, so that whatever else the machine does meets all alike. A
value is the median of its rounds, a ratio the median of the rounds' ratios, a spread the range of the middle
half of the values, in their unit.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach, on two cores. `of_value`: the bound is for the value, not for the ratio."""

    at_least: float | None = None
    at_most: float | None = None
    of_value: bool = False

    def is_met(self, figure: "Figure") -> bool:
        """Whether the figure is within the bounds."""
        reached = figure.value if self.of_value else figure.ratio
        return (self.at_least is None or reached >= self.at_least) and (
            self.at_most is None or reached <= self.at_most
        )

    def __str__(self) -> str:
        sign, bound = (">=", self.at_least) if self.at_least is not None else ("<=", self.at_most)
        return f"{sign} {bound:g}" if self.of_value else f"{sign} {bound:g} x"


@dataclass(frozen=True, slots=True)
class Figure:
    """`value`, in `unit`, is `ratio` times what `against` says."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float
    spread: float
    goal: Goal | None = None

    def as_json(self) -> dict[str, str | float]:
        """Without its goal, which is of two cores only."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "against": self.against,
            "ratio": self.ratio,
            "spread": self.spread,
        }


def take_turns(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each measure gave in each round, in order. Each is called once before, to warm up."""
    for measure in measures.values():
        measure()
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    return values


def compare(
    name: str,
    values: Sequence[float],
    unit: str,
    against: str,
    others: Sequence[float],
    goal: Goal | None = None,
) -> Figure:
    """The figure of `values` beside those of the same rounds of `others`.

    Raises `ValueError` if the rounds are not as many.
    """
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    low, high = np.percentile(values, (25, 75))
    return Figure(
        name, _short(median(values)), unit, against, _short(median(ratios)), _short(high - low), goal
    )


def write(figures: Iterable[Figure], file: Path) -> None:
    """As JSON, a line for each figure."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f" {json.dumps(figure.as_json())}" for figure in figures)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _short(value: float) -> float:
    """Four digits are more than any of this knows."""
    return float(f"{value:.4g}")
