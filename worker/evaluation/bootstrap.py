"""Intervals by the cluster bootstrap: whole groups are drawn with replacement, never single pictures.

Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8; percentile intervals. That
of the calibration error lies high: it grows with noise and is never below zero.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.evaluation.report import Estimate

LEVEL = 0.95

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the pictures that it is about."""

    section: str
    name: str
    about: npt.NDArray[np.bool_]  # (N,)
    of: Callable[[IntArray], float]  # of rows, at least one, some of them repeated; nan where undefined

    def __call__(self, rows: IntArray) -> float:
        """The figure of `rows`, as far as it is about them; nan if it is about none."""
        rows = rows[self.about[rows]]
        return self.of(rows) if rows.size else float("nan")


def resamples(groups: Sequence[str], count: int, seed: int) -> Iterator[IntArray]:
    """`count` draws of as many groups as there are; each yields the rows of its groups, in order."""
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        yield np.repeat(np.arange(len(group_of)), times[group_of])


def estimates(
    measures: Sequence[Measure], groups: Sequence[str], count: int, seed: int
) -> dict[str, dict[str, Estimate]]:
    """Section -> name -> figure with its interval from `count` resamples. What is not finite is left out.

    A figure that is about one group only, or without resamples, gets no interval: nothing varies there.
    """
    drawn = np.array([[measure(rows) for measure in measures] for rows in resamples(groups, count, seed)])
    everything = np.arange(len(groups))
    found: dict[str, dict[str, Estimate]] = {}
    for index, measure in enumerate(measures):
        value = measure(everything)
        if np.isfinite(value):
            independent = len(set(np.array(groups)[measure.about]))
            low, high = _interval(drawn[:, index] if count and independent > 1 else np.empty(0))
            found.setdefault(measure.section, {})[measure.name] = Estimate(
                value=_rounded(value), low=low, high=high, n=int(measure.about.sum()), groups=independent
            )
    return found


def _interval(values: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    known = values[np.isfinite(values)]  # a draw without any healthy picture has no specificity
    if not known.size:
        return None, None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _rounded(low), _rounded(high)


def _rounded(value: float) -> float:
    return round(float(value), 6)
