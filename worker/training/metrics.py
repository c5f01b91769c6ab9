"""Figures of merit as plain NumPy functions: classification, calibration, and where the map points."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


class CalibrationCurve(NamedTuple):
    """K bins of the score that hold at least one picture."""

    score: Array  # (K,) mean score in the bin
    observed: Array  # (K,) share of the bin's pictures that are positive
    pictures: npt.NDArray[np.int64]  # (K,) how many are in the bin


def auc(scores: Array, positive: BoolArray) -> float:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted half; nan with one class only."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = stats.rankdata(scores)
    rank_sum = float(ranks[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def accuracy(scores: Array, positive: BoolArray, threshold: float = 0.5) -> float:
    """Share of pictures on the right side of the threshold."""
    return float(np.mean((scores >= threshold) == positive))


def sensitivity(scores: Array, positive: BoolArray, threshold: float = 0.5) -> float:
    """Share of the positive that is called so; nan without any."""
    return _mean(scores[positive] >= threshold)


def specificity(scores: Array, positive: BoolArray, threshold: float = 0.5) -> float:
    """Share of the negative that is called so; nan without any."""
    return _mean(scores[~positive] < threshold)


def class_accuracy(probabilities: Array, labels: npt.NDArray[np.int64]) -> float:
    """Share of pictures whose most probable class (N, K) is the labelled one (N,)."""
    return _mean(probabilities.argmax(axis=1) == labels)


def expected_calibration_error(scores: Array, positive: BoolArray, bins: int = 15) -> float:
    """Mean gap between the score and the observed frequency over equal-width bins, weighted by their count.

    Guo et al., On calibration of modern neural networks, ICML 2017, for the binary score itself.
    """
    curve = calibration_curve(scores, positive, bins)
    return float(np.average(np.abs(curve.score - curve.observed), weights=curve.pictures))


def calibration_curve(scores: Array, positive: BoolArray, bins: int = 15) -> CalibrationCurve:
    """Scores (N,) in 0..1 and truths (N,), N at least 1, over equal-width bins; empty bins are left out."""
    which = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    filled = count > 0
    score = np.bincount(which, weights=scores, minlength=bins)[filled] / count[filled]
    observed = np.bincount(which, weights=positive, minlength=bins)[filled] / count[filled]
    return CalibrationCurve(score, observed, count[filled])


def brier_score(scores: Array, positive: BoolArray) -> float:
    """Mean squared gap between the probability and the truth; 0 is perfect.

    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 1950.
    """
    return _mean((scores - positive) ** 2)


def roc_curve(scores: Array, positive: BoolArray) -> Array:
    """(K, 2) corners of the ROC curve: 1 - specificity, sensitivity. Needs positives and negatives."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(positive[order])[last_of_tie]
    alarms = np.cumsum(~positive[order])[last_of_tie]
    points = np.stack([np.append(0, alarms) / alarms[-1], np.append(0, hits) / hits[-1]], axis=1)
    steps = np.diff(points, axis=0)
    turns = steps[:-1, 0] * steps[1:, 1] != steps[:-1, 1] * steps[1:, 0]
    return np.asarray(points[np.concatenate([[True], turns, [True]])])


def pointing_game(maps: Array, masks: Array) -> float:
    """Share of maps (N, h, w) whose peak lies inside the mask (N, H, W, 0..1); no margin around the mask.

    Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016. The peak is the centre of the
    strongest cell, after bilinear enlargement to the mask's size.
    """
    return _mean(np.array([peak_inside(grid, mask) for grid, mask in zip(maps, masks, strict=True)]))


def energy_inside(maps: Array, masks: Array) -> float:
    """Mean share of a map's energy inside the mask, maps enlarged to the mask's size; empty maps count 0.

    Wang et al., Score-CAM, CVPR Workshops 2020.
    """
    return _mean(np.array([energy_share(grid, mask) for grid, mask in zip(maps, masks, strict=True)]))


def peak_inside(grid: Array, mask: Array) -> bool:
    """The pointing game for one map (h, w) and one mask (S, S)."""
    large = enlarge(grid, mask.shape[0])
    row, column = np.unravel_index(int(large.argmax()), large.shape)
    return bool(mask[row, column] > 0.5)


def energy_share(grid: Array, mask: Array) -> float:
    """Share of one map's (h, w) energy inside one mask (S, S)."""
    large = enlarge(grid, mask.shape[0])
    return float((large * (mask > 0.5)).sum()) / max(float(large.sum()), 1e-12)


def overlaps(grid: Array, mask: Array, thresholds: Array) -> Array:
    """(T,) intersection over union of one mask (S, S), not empty, with the map (h, w) cut at each threshold.

    The map is enlarged to the mask's size; `thresholds` (T,) rise.
    """
    reached = np.searchsorted(thresholds, enlarge(grid, mask.shape[0]), side="right")
    inside = mask > 0.5
    marked, shared = (
        np.bincount(cells, minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
        for cells in (reached.ravel(), reached[inside])
    )
    return np.asarray(shared / (marked + int(inside.sum()) - shared))


def enlarge(grid: Array, side: int) -> Array:
    """(h, w) -> (side, side), bilinear between cell centres, constant beyond the outermost ones."""
    rows, columns = (_weights(count, side) for count in grid.shape)
    return np.asarray(rows @ grid @ columns.T)


def _weights(count: int, side: int) -> Array:
    position = np.clip((np.arange(side) + 0.5) * count / side - 0.5, 0, count - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(count)[None, :]))


def _mean(values: Array | BoolArray) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def classification_figures(scores: Array, positive: BoolArray) -> dict[str, float]:
    """The figures that need only the tumour probability (N,) and the truth (N,)."""
    return {
        "auc": auc(scores, positive),
        "accuracy": accuracy(scores, positive),
        "sensitivity": sensitivity(scores, positive),
        "specificity": specificity(scores, positive),
        "ece": expected_calibration_error(scores, positive),
    }
