"""What a report says, as plain values. Whoever asks for a report gathers these; nothing here is looked up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

# A callable is asked once, while its scan's page is painted: a report of 200 scans then never holds more
# than one scan's stored pictures. Empty bytes mean "there is none".
Picture: TypeAlias = bytes | Callable[[], bytes]

TUMOR = "Tumor"
NO_TUMOR = "No Tumor"
INCONCLUSIVE = "Inconclusive"
NO_BRAIN_MRI = "Not a brain MRI slice"  # for the model; a radiologist judged the picture all the same
NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """The patient as recorded; None is shown as "not recorded"."""

    patient_id: str
    name: str
    age: int | None
    gender: str | None
    email: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that made the predictions."""

    name: str
    version: str
    weights_sha256: str
    preprocessing_version: str


@dataclass(frozen=True, slots=True)
class ReadingFacts:
    """What a radiologist says about a scan."""

    verdict: str  # TUMOR, NO_TUMOR or anything else: the picture cannot be judged
    reader: str
    at: datetime  # aware
    comment: str | None


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """One analysed scan. `probability` is of a tumour, `confidence` of the prediction: 0..1."""

    scan_id: str
    filename: str
    created_at: datetime  # aware
    analysed_at: datetime | None
    prediction: str  # TUMOR, NO_TUMOR, INCONCLUSIVE or NO_BRAIN_MRI
    probability: float
    confidence: float  # not a number where the prediction is inconclusive
    tumor_type: str | None
    review: str | None  # e.g. "needs_review"
    original: Picture
    heatmap: Picture
    overlay: Picture
    is_heat_outside_head: bool = False  # most of the evidence lies on something that is no tissue
    model: ModelFacts | None = None  # where it is another one than the report's
    reading: ReadingFacts | None = None


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything that a report shows. `generated_at` is aware; `scans` may be read more than once."""

    report_id: str
    generated_at: datetime
    patient: PatientFacts
    scans: Sequence[ScanFacts]
    model: ModelFacts
