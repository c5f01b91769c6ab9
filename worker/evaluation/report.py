"""What an evaluation says: the JSON of `python -m worker.evaluate --json`, which the model card is made from.

Figures that do not exist (an AUC of one class, a pointing game without masks) are left out.
"""

from pydantic import BaseModel, ConfigDict, FiniteFloat


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Part):
    """A figure, its 95 % interval, and how many pictures in how many groups it is about."""

    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    n: int
    groups: int


class ModelFacts(_Part):
    """Which model answered, and what ran it."""

    name: str
    version: str
    weights_sha256: str
    engine: str
    device: str


class Failure(_Part):
    """A file that could not be used."""

    file: str
    error: str
    code: str


class Bin(_Part):
    """A bar of the calibration curve."""

    score: FiniteFloat  # mean probability
    observed: FiniteFloat  # share that is a tumour
    count: int


class Bootstrap(_Part):
    """How the intervals were made."""

    resamples: int
    seed: int
    level: float


class Timing(_Part):
    """Milliseconds per picture: its share of its batch's time, decoding included."""

    mean: FiniteFloat
    p95: FiniteFloat


class Report(_Part):
    """All of it."""

    model: ModelFacts
    split: str | None = None
    threshold: float
    n: int
    groups: int
    classes: dict[str, int]  # pictures per class
    n_failed: int
    failed: list[Failure]
    masks_failed: list[Failure] = []
    bootstrap: Bootstrap
    figures: dict[str, Estimate] = {}
    recall: dict[str, Estimate] = {}
    accuracy_by_source: dict[str, Estimate] = {}
    best_iou_threshold: float | None = None
    calibration_curve: list[Bin] = []
    roc: list[tuple[FiniteFloat, FiniteFloat]] = []  # (1 - specificity, sensitivity)
    ms_per_picture: Timing | None = None
