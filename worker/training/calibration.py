"""Fit the pooling's two scalars so that the tumour probability means what it says.

Platt scaling (Platt, Probabilistic outputs for support vector machines, 1999) of the picture's logit. The
network has a scale and an offset there already, so the fit is folded into them: nothing is added to the
model, the order of pictures and the maps stay as they are.
"""

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, special

from worker.inference.engines import TorchEngine
from worker.inference.network import CLASSES, NO_TUMOUR, LocalEvidenceNet
from worker.training.holdout import ValidationSet, answer

_EDGE = 1e-6

Array = npt.NDArray[np.float64]


def calibrate(network: LocalEvidenceNet, chosen: ValidationSet, device: str) -> tuple[float, float]:
    """Fold a scale and an offset, fitted on `chosen`, into the network; returns them.

    Meant for the plain validation set: on the made ones, what a picture "really" shows is less certain than
    the fit would have to assume.
    """
    scores = answer(TorchEngine(network, device), chosen).tumour
    logits = special.logit(np.clip(scores, _EDGE, 1 - _EDGE))
    scale, offset = fit(logits, chosen.labels != CLASSES.index(NO_TUMOUR))
    with torch.no_grad():
        network.scale.mul_(scale)
        network.offset.mul_(scale).add_(offset)
    return scale, offset


def fit(logits: Array, truths: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Scale (positive) and offset of the logits (N,) with the least log loss."""
    sign = np.where(truths, 1.0, -1.0)

    def loss(parameters: Array) -> float:
        margin = sign * (np.exp(parameters[0]) * logits + parameters[1])
        # A weak pull towards "as trained" keeps the fit finite where the classes are separable.
        return float(np.logaddexp(0.0, -margin).mean() + 1e-3 * (parameters**2).sum())

    best = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])
