"""May the eight-bit engine stand in for the float32 one? Decided on the validation set, once, at export."""

from dataclasses import dataclass

import numpy as np
import torch

from worker.inference.answers import CLASSES, NO_TUMOUR
from worker.inference.conversion import convert
from worker.inference.engines import OPENVINO_INT8, OpenVinoEngine
from worker.inference.manifest import Calibration
from worker.inference.network import LocalEvidenceNet
from worker.inference.quantisation import measure_ranges
from worker.inference.torch_engine import TorchEngine
from worker.training import metrics
from worker.training.holdout import Answers, ValidationSet, answer

# The most that may be lost against float32.
MOST_LOST = {"auc": 0.002, "accuracy": 0.003, "pointing_game": 0.01}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the eight-bit engine is made from, how it did, and whether that is good enough."""

    ranges: dict[str, float]
    figures: dict[str, float]
    is_accepted: bool


def judge_int8(
    network: LocalEvidenceNet, ranges_from: ValidationSet, chosen: ValidationSet, calibration: Calibration
) -> Verdict:
    """Measure the ranges on `ranges_from` (training slices) and the loss on `chosen` (validation slices)."""
    network = network.eval().cpu()
    ranges = measure_ranges(network, torch.from_numpy(ranges_from.pixels))
    size = chosen.pixels.shape[-1]
    exact = answer(TorchEngine(network, "cpu"), chosen, calibration)
    coarse = answer(OpenVinoEngine(convert(network, size, ranges), OPENVINO_INT8), chosen, calibration)
    before, after = _figures(exact, chosen), _figures(coarse, chosen)
    changes = np.abs(coarse.tumour - exact.tumour)
    return Verdict(
        ranges=ranges,
        figures=after | {"largest_change": float(changes.max()), "mean_change": float(changes.mean())},
        # A figure that cannot be had (no masks, one class) cannot be lost either.
        is_accepted=not any(before[name] - after[name] > most for name, most in MOST_LOST.items()),
    )


def _figures(answers: Answers, chosen: ValidationSet) -> dict[str, float]:
    is_tumour = chosen.labels != CLASSES.index(NO_TUMOUR)
    return {
        "auc": metrics.auc(answers.tumour, is_tumour),
        "accuracy": metrics.accuracy(answers.tumour, is_tumour),
        "pointing_game": metrics.pointing_game(answers.maps[chosen.has_mask], chosen.masks[chosen.has_mask]),
    }
