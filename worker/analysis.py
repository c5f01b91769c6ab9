"""Prepared pictures -> predictions, in batches; a picture that the model cannot answer fails alone."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import ModelMemoryError, ModelPredictionError
from shared.logs import get_logger
from worker.memory import BatchLimit, is_out_of_memory

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


def predict_each(
    model: Model, inputs: Sequence[FloatArray], limit: BatchLimit | None = None
) -> list[Prediction | ModelPredictionError]:
    """One forward pass for all inputs; where that fails, halves of them, down to the one that is at fault.

    No pass is larger than `limit`, which learns from passes that run out of memory.
    """
    most = limit.now if limit else len(inputs)
    if len(inputs) > most:
        return [
            prediction
            for begin in range(0, len(inputs), most)
            for prediction in predict_each(model, inputs[begin : begin + most], limit)
        ]
    if not inputs:
        return []
    answer = _one_pass(model, inputs, limit)
    if not isinstance(answer, ModelPredictionError):
        return list(answer)
    if len(inputs) == 1:
        return [answer]
    # Here the error of the pass is gone, and with it whatever memory its traceback kept.
    middle = len(inputs) // 2
    return [*predict_each(model, inputs[:middle], limit), *predict_each(model, inputs[middle:], limit)]


def _one_pass(
    model: Model, inputs: Sequence[FloatArray], limit: BatchLimit | None
) -> Sequence[Prediction] | ModelPredictionError:
    """The model's answers, or the error for a picture that was alone in its pass.

    One picture that does not fit may fit elsewhere or later, since it is as large as all others: that error
    is retryable, and the number of attempts bounds it.
    """
    try:
        predictions = model.predict(inputs)
    except (ModelPredictionError, RuntimeError, ValueError, MemoryError) as error:
        lacks_memory = is_out_of_memory(error)
        if lacks_memory and limit is not None:
            limit.ran_out(len(inputs))
        if len(inputs) == 1:
            log.warning("the model failed on one picture", cause=type(error).__name__)
        if lacks_memory:
            return ModelMemoryError("There was not enough memory to analyse this image.")
        return ModelPredictionError("The model could not analyse this image.")
    if limit is not None:
        limit.went_well()
    return predictions
