"""Whether something grows: what was measured late in a run against what was measured in its middle."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Sample = Mapping[str, float]  # `seconds` since the start, and measures named `what/of whom`

# What the last third may have beyond the middle third: a share of it, and something for small numbers.
BOUNDS: dict[str, tuple[float, float]] = {
    "memory MiB": (0.05, 8),
    "processes": (0, 0.5),
    "threads": (0.10, 4),
    "open files": (0.10, 6),
    "postgres connections": (0.10, 4),
    "redis connections": (0.10, 4),
    "redis memory MiB": (0.25, 4),
    "part files": (0, 4),
    "temporary files": (0, 2),
    "temporary MiB": (0.10, 4),
    "shared memory files": (0, 2),
    "schedule MiB": (0, 0.5),
}


def growth(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """For each measure the medians of the three thirds, and whether the last is beyond its bound.

    The first third is warm-up: pools fill, code is imported, allocators find their size. Medians, so that a
    moment's burst says nothing. `per_hour` is the median slope between any two samples after the warm-up
    (Theil-Sen), to be read beside the bound: what it means depends on how long the run was.
    """
    third = max(1, len(samples) // 3)
    parts = {"first": samples[:third], "middle": samples[third:-third], "last": samples[-third:]}
    changes = {}
    for name in sorted({name for sample in samples for name in sample if "/" in name}):
        medians = {part: _median(name, some or samples) for part, some in parts.items()}
        share, absolute = BOUNDS[name.partition("/")[0]]
        bound = medians["middle"] * (1 + share) + absolute
        changes[name] = {
            **{part: round(value, 2) for part, value in medians.items()},
            "most": round(max(sample.get(name, 0) for sample in samples), 2),
            "per_hour": round(_slope(name, samples[third:]) * 3600, 1),
            "bound": round(bound, 2),
            "too_much": medians["last"] > bound,
        }
    return changes


def _median(name: str, samples: Sequence[Sample]) -> float:
    return median(sample.get(name, 0) for sample in samples)


def _slope(name: str, samples: Sequence[Sample]) -> float:
    """Per second; 0 where there are too few samples to say."""
    points = [(sample["seconds"], sample.get(name, 0)) for sample in samples]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
        if later[0] > earlier[0]
    ]
    return median(slopes) if slopes else 0.0
