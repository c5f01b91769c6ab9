"""What a network says of some pictures, in plain arrays: whoever reads it needs no PyTorch."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from worker.inference.manifest import Calibration

TUMOUR_TYPES = ("glioma", "meningioma", "pituitary")
NO_TUMOUR = "notumor"
CLASSES = (*TUMOUR_TYPES, NO_TUMOUR)
STAGES = {"stage2": 128, "stage3": 256}  # the parts of `Answers.stages` and their widths

FloatArray = npt.NDArray[np.float32]


class Answers(NamedTuple):
    """One forward pass over N pictures of S x S pixels; h = w = S / 8."""

    tumour: FloatArray  # (N,) logit of "there is a tumour"
    types: FloatArray  # (N, 3) logits of the tumour's type, meaningful if there is one
    evidence: FloatArray  # (N, h, w) logit of "tumour here"; `tumour` is a function of this alone
    stages: FloatArray  # (N, 384) mean activations of stages 2 and 3: what kind of picture this is

    def class_probabilities(self, calibration: Calibration) -> FloatArray:
        """(N, 4) in the order of `CLASSES`; rows sum to 1."""
        tumour = probability(calibration.scale * self.tumour + calibration.offset)[:, None]
        types = special.softmax(self.types, axis=1)
        return np.concatenate([tumour * types, 1 - tumour], axis=1).astype(np.float32)


def probability(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The logistic function, in the precision of its argument."""
    return np.asarray(special.expit(logits))
