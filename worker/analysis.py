"""Prepared pictures -> predictions, in batches; a picture that the model cannot answer fails alone."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import ModelPredictionError
from shared.logs import get_logger

FloatArray = npt.NDArray[np.float32]

log = get_logger(__name__)


class Rejection(Protocol):
    """Why a picture gets no diagnosis."""

    @property
    def reason(self) -> str: ...
    @property
    def score(self) -> float: ...


class Prediction(Protocol):
    """What a model says about one picture; `worker.inference.Prediction` is the real one."""

    @property
    def probability(self) -> float: ...
    @property
    def raw_probability(self) -> float: ...
    @property
    def class_probabilities(self) -> dict[str, float]: ...
    @property
    def evidence_map(self) -> FloatArray: ...
    @property
    def method(self) -> str: ...
    @property
    def review(self) -> str | None: ...
    @property
    def rejection(self) -> Rejection | None: ...


class Model(Protocol):
    """A loaded model; `worker.inference.Predictor` is the real one."""

    def predict(self, inputs: Sequence[FloatArray]) -> Sequence[Prediction]:
        """Inputs (1, S, S) -> predictions, same length and order, from one forward pass."""
        ...


def predict_each(model: Model, inputs: Sequence[FloatArray]) -> list[Prediction | ModelPredictionError]:
    """One forward pass for all inputs; where that fails, halves of them, down to the one that is at fault."""
    if not inputs:
        return []
    try:
        return list(model.predict(inputs))
    except (ModelPredictionError, RuntimeError, ValueError) as error:  # RuntimeError: PyTorch's, memory too
        if len(inputs) == 1:
            log.warning("the model failed on one picture", cause=type(error).__name__)
            return [ModelPredictionError("The model could not analyse this image.")]
        middle = len(inputs) // 2
        return [*predict_each(model, inputs[:middle]), *predict_each(model, inputs[middle:])]
