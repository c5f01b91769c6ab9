"""What the picture's logit has to become so that the tumour probability means what it says.

Platt scaling (Platt, Probabilistic outputs for support vector machines, 1999): a scale and an offset of the
logit, fitted on the plain validation set. On the made sets, what a picture "really" shows is less certain
than the fit would have to assume. Whether it holds is told by pictures of patients that were left out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from worker.inference.manifest import Band, Calibration

_FOLDS = 5
_SENSITIVITY, _SPECIFICITY = 0.98, 0.95  # outside the inconclusive band

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The fit on all pictures, and what fits without a picture's group said about it."""

    calibration: Calibration
    left_out: Array  # (N,) probabilities from the fold that did not see the picture's group


def calibrate(logits: Array, truths: BoolArray, groups: tuple[str, ...]) -> Calibrated:
    """Fit on logits (N,) and truths (N,); folds never split a group."""
    names = np.array(groups)
    order = np.random.default_rng(0).permutation(np.unique(names))
    left_out = np.empty(len(logits))
    for fold in range(_FOLDS):
        outside = np.isin(names, order[fold::_FOLDS])
        left_out[outside] = apply(fit(logits[~outside], truths[~outside]), logits[outside])
    return Calibrated(fit(logits, truths), left_out)


def fit(logits: Array, truths: BoolArray) -> Calibration:
    """Scale (positive) and offset of the logits (N,) with the least log loss."""
    sign = np.where(truths, 1.0, -1.0)

    def loss(parameters: Array) -> float:
        margin = sign * (np.exp(parameters[0]) * logits + parameters[1])
        # A weak pull towards "as trained" keeps the fit finite where the classes are separable.
        return float(np.logaddexp(0.0, -margin).mean() + 1e-3 * (parameters**2).sum())

    best = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Calibration(scale=float(np.exp(best[0])), offset=float(best[1]))


def apply(calibration: Calibration, logits: Array) -> Array:
    """Logits -> calibrated probabilities, same shape."""
    return np.asarray(special.expit(calibration.scale * logits + calibration.offset))


def choose_band(probabilities: Array, truths: BoolArray) -> Band:
    """The narrowest band around 0.5 that leaves 2 % of tumours below it and 5 % of the others above it.

    A figure that is reached at 0.5 already needs no band on that side.
    """
    low = min(float(np.quantile(probabilities[truths], 1 - _SENSITIVITY)), 0.5) if truths.any() else 0.5
    high = max(float(np.quantile(probabilities[~truths], _SPECIFICITY)), 0.5) if (~truths).any() else 0.5
    low, high = np.floor(low * 1000) / 1000, np.ceil(high * 1000) / 1000
    return Band(
        low=low,
        high=high,
        sensitivity=float(np.mean(probabilities[truths] >= low)) if truths.any() else None,
        specificity=float(np.mean(probabilities[~truths] <= high)) if (~truths).any() else None,
    )
