"""Hand-written stand-ins for what tests do not want for real, and made pictures."""

import io
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.errors import ModelPredictionError, StorageError
from shared.models import JobKind, Lane
from shared.queue import Hint
from shared.storage import LocalStore, StoredObject

PROVENANCE = {
    "name": "made-up",
    "version": "1",
    "weights_sha256": "0" * 64,
    "preprocessing_version": "1",
    "code_version": "1",
    "device": "cpu",
    "inconclusive": [0.4, 0.6],
}


def picture(brightness: int = 128, size: tuple[int, int] = (64, 48), image_format: str = "PNG") -> bytes:
    """A grey rectangle on black, as file bytes."""
    image = Image.new("L", size)
    image.paste(brightness, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


@dataclass(frozen=True)
class MadeUpRejection:
    reason: str = "made-up rejection"
    score: float = 0.97


@dataclass(frozen=True)
class MadeUpPrediction:
    probability: float
    class_probabilities: dict[str, float]
    evidence_map: npt.NDArray[np.float32]
    raw_probability: float = 0.75
    method: str = "made up"
    review: str | None = None
    rejection: MadeUpRejection | None = None


@dataclass
class MadeUpModel:
    """Says "tumour" with a fixed probability; counts its batches; can be told to fail on some inputs."""

    probability: float = 0.9
    review: str | None = None
    rejects: bool = False
    fails_on_batches_of: int | None = None  # raise for batches of this size or larger
    batch_sizes: list[int] = field(default_factory=list)

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[MadeUpPrediction]:
        self.batch_sizes.append(len(inputs))
        if self.fails_on_batches_of is not None and len(inputs) >= self.fails_on_batches_of:
            raise ModelPredictionError("made-up failure")
        rest = 1 - self.probability
        grid = np.zeros((8, 8), np.float32)
        grid[3:5, 3:5] = self.probability
        probabilities = {"glioma": self.probability, "meningioma": 0.0, "pituitary": 0.0, "notumor": rest}
        return [
            MadeUpPrediction(
                self.probability,
                probabilities,
                grid,
                review=self.review,
                rejection=MadeUpRejection() if self.rejects else None,
            )
            for _ in inputs
        ]


@dataclass
class RecordingQueue:
    """A queue that keeps what it was asked to send; `up` False makes it a broker that is down.

    `workers` do their work inside `wake`, as if a worker were quicker than the answer.
    """

    up: bool = True
    workers: dict[JobKind, Callable[[], object]] = field(default_factory=dict)
    sent: list[tuple[JobKind, Lane, list[uuid.UUID]]] = field(default_factory=list)

    def wake(self, kind: JobKind, lane: Lane, waiting: Sequence[Hint]) -> bool:
        if self.up:
            self.sent.append((kind, lane, [hint.job_id for hint in waiting]))
            if kind in self.workers:
                self.workers[kind]()
        return self.up

    def waiting_hints(self, kind: JobKind, lane: Lane) -> int:  # noqa: ARG002
        return 0

    def is_up(self) -> bool:
        return self.up


class FailingStore(LocalStore):
    """A local store whose next calls fail, as many as told, or every call of the methods in `broken`."""

    failures = 0
    broken: frozenset[str] = frozenset()

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self._maybe_fail("put")
        super().put(key, data, content_type)

    def get(self, key: str) -> bytes:
        self._maybe_fail("get")
        return super().get(key)

    def delete(self, key: str) -> None:
        self._maybe_fail("delete")
        super().delete(key)

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        self._maybe_fail("keys")
        return super().keys(prefix)

    def _maybe_fail(self, method: str) -> None:
        if method in self.broken:
            raise StorageError("made-up outage")
        if self.failures > 0:
            self.failures -= 1
            raise StorageError("made-up outage")
