"""What is said about a map beside its picture: how it was made, what it covers, and whether to trust it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.analysis import Prediction
from worker.preprocessing import ModelInput

MAP_DECIMALS = 4
OUTSIDE_HEAD = "heat_outside_head"
_FAINTEST = 0.1  # evidence; weaker is not drawn either
_MOST_OUTSIDE = 0.5  # of the heat


def explain(prediction: Prediction, model_input: ModelInput) -> dict[str, Any]:
    """The map as plain values for JSON, with the square of the original that it covers.

    `heat_outside_head` is the share of the evidence that lies outside the head, 0 without any evidence; where
    most of it does, `flags` says so: the answer then rests on something that is no tissue.
    """
    crop, evidence = model_input.crop, prediction.evidence_map
    outside = _share_outside(evidence, model_input.head)
    return {
        "method": prediction.method,
        "crop": {"left": crop.left, "top": crop.top, "side": crop.side},
        # In double precision, or the rounded values would be written with all their digits again.
        "map": evidence.astype(np.float64).round(MAP_DECIMALS).tolist(),
        OUTSIDE_HEAD: round(outside, 3),
        "flags": [OUTSIDE_HEAD] if outside > _MOST_OUTSIDE else [],
    }


def _share_outside(evidence: npt.NDArray[np.float32], head: npt.NDArray[np.uint8]) -> float:
    heat = np.where(evidence >= _FAINTEST, evidence, 0.0)
    total = float(heat.sum())
    if total == 0.0:
        return 0.0
    height, width = evidence.shape
    cover = np.asarray(Image.fromarray(head).resize((width, height), Image.Resampling.BOX)) / 255.0
    return float((heat * (1.0 - cover)).sum()) / total
