"""A device that runs out of memory: smaller batches at once, larger ones again later."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from structlog.testing import capture_logs

from shared.errors import ModelMemoryError, ModelPredictionError
from tests.fakes import MadeUpModel, MadeUpPrediction
from worker.analysis import predict_each
from worker.memory import TRY_LARGER_AFTER, BatchLimit, is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Named like PyTorch's, which is a RuntimeError too."""


@dataclass
class CrampedModel(MadeUpModel):
    """A model on a device with room for a few pictures at a time."""

    room: int = 4
    error: type[Exception] = OutOfMemoryError
    sizes: list[int] = field(default_factory=list)

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[MadeUpPrediction]:
        self.sizes.append(len(inputs))
        if len(inputs) > self.room:
            raise self.error("no room")
        return super().predict(inputs)


def blank(number: int) -> list[npt.NDArray[np.float32]]:
    return [np.zeros((1, 4, 4), np.float32)] * number


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("[CPU] Not enough memory to allocate the tensor"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_lack_of_memory_looks_like(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_size_that_did_not_fit_is_remembered_and_said_once() -> None:
    model, limit = CrampedModel(room=5), BatchLimit(16)
    with capture_logs() as lines:
        for _ in range(3):
            answers = predict_each(model, blank(16), limit)
            assert len(answers) == 16
            assert not any(isinstance(answer, Exception) for answer in answers)
    assert model.sizes == [16, 8, 4, 4, 4, 4] + [4] * 4 + [4] * 4
    assert limit.now == 4
    assert [line["largest"] for line in lines] == [8, 4]


def test_larger_batches_are_tried_again_after_a_while() -> None:
    model, limit = CrampedModel(room=4), BatchLimit(8)
    predict_each(model, blank(8), limit)
    model.room = 8
    for _ in range(TRY_LARGER_AFTER):
        predict_each(model, blank(limit.now), limit)
    model.sizes.clear()
    predict_each(model, blank(8), limit)
    assert model.sizes == [8]
    assert limit.now == 8


@pytest.mark.parametrize("error", [OutOfMemoryError, MemoryError])
def test_a_picture_without_room_even_alone_may_be_tried_again(error: type[Exception]) -> None:
    limit = BatchLimit(2)
    answers = predict_each(CrampedModel(room=0, error=error), blank(2), limit)
    assert [type(answer) for answer in answers] == [ModelMemoryError] * 2
    assert all(isinstance(answer, ModelMemoryError) and answer.retryable for answer in answers)
    assert limit.now == 1


def test_other_failures_leave_the_batch_size_alone_and_are_final() -> None:
    limit = BatchLimit(4)
    answers = predict_each(CrampedModel(room=0, error=RuntimeError), blank(4), limit)
    assert [type(answer) for answer in answers] == [ModelPredictionError] * 4
    assert limit.now == 4
