"""A trained network -> everything that is fitted and measured after training, for its manifest."""

import numpy as np

from worker.inference.answers import CLASSES, NO_TUMOUR
from worker.inference.manifest import Training
from worker.inference.network import LocalEvidenceNet
from worker.inference.torch_engine import TorchEngine
from worker.training import metrics
from worker.training.acceptance import judge_int8
from worker.training.calibration import calibrate, choose_band
from worker.training.data import Pictures, some
from worker.training.export import Made
from worker.training.gate import fit_gate
from worker.training.holdout import PLAIN, ValidationSet, answer, figures, plain_set

RANGES_FROM = 250  # training pictures that set the ranges of the eight-bit engine


def finish(
    network: LocalEvidenceNet,
    sets: list[ValidationSet],
    train: Pictures,
    val: Pictures,
    training: Training,
    device: str,
) -> Made:
    """Calibrate, choose the inconclusive band, fit the gate, judge the eight-bit engine, measure it all.

    `train` may be a part of the training pictures. The network itself is not changed.
    """
    engine = TorchEngine(network, device)
    plain = next(chosen for chosen in sets if chosen.name == PLAIN)
    size = plain.pixels.shape[-1]
    truths = plain.labels != CLASSES.index(NO_TUMOUR)
    calibrated = calibrate(answer(engine, plain).logits, truths, plain.groups)
    measured = figures(engine, sets, calibrated.calibration)
    # What the calibration is worth for patients that it was not fitted on.
    measured["ece_left_out"] = metrics.expected_calibration_error(calibrated.left_out, truths)
    gate = fit_gate(engine, train, val, size)
    ranges_from = plain_set(some(train, np.linspace(0, len(train) - 1, RANGES_FROM).astype(int)), size)
    return Made(
        input_size=size,
        training=training,
        metrics=measured,
        calibration=calibrated.calibration,
        band=choose_band(calibrated.left_out, truths),
        int8=judge_int8(network, ranges_from, plain, calibrated.calibration),
        gate=gate,
    )
