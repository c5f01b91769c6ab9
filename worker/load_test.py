"""The load-test engine: no model at all. It shows what everything around a model can carry.

Its answer is always the same and never a diagnosis: every scan is left to a person, with a probability that
leans to neither side and a map without evidence. Production refuses it (`shared.configuration.workers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shared import __version__
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.results import HEALTHY_CLASS, NEEDS_REVIEW, UNTYPED_CLASS
from worker.analysis import FloatArray
from worker.pipeline import LoadedModel
from worker.preprocessing import PREPROCESSING_VERSION

INPUT_SIZE = 64  # px; nothing looks at the input, so it is small
MAP_SIDE = 8
NO_WEIGHTS = "0" * 64

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """What is said about each picture; a `worker.analysis.Prediction`."""

    probability: float = 0.5
    raw_probability: float = 0.5
    class_probabilities: dict[str, float] = field(
        default_factory=lambda: {UNTYPED_CLASS: 0.5, HEALTHY_CLASS: 0.5}
    )
    evidence_map: FloatArray = field(default_factory=lambda: np.zeros((MAP_SIDE, MAP_SIDE), np.float32))
    method: str = "none: load test"
    review: str | None = NEEDS_REVIEW
    rejection: None = None


class LoadTestModel:
    """A `worker.analysis.Model` that looks at nothing and answers at once."""

    def predict(self, inputs: Sequence[FloatArray]) -> list[NoAnswer]:
        """Inputs (1, S, S) -> as many answers, all alike."""
        failpoint("predicting")
        return [NoAnswer() for _ in inputs]


def load_test_model() -> LoadedModel:
    """The stand-in and its provenance. Says in the log that nothing will be analysed."""
    provenance = {
        "name": "load-test",
        "version": "0",
        "weights_sha256": NO_WEIGHTS,
        "preprocessing_version": PREPROCESSING_VERSION,
        "code_version": __version__,
        "device": "cpu",
        "engine": "load-test",
    }
    log.warning("load test: this worker analyses nothing, every scan ends without a finding", **provenance)
    return LoadedModel(LoadTestModel(), INPUT_SIZE, provenance)
