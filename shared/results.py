"""Recording what the model said, in the same commit that ends the jobs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from sqlalchemy import Table, bindparam, exists, func, update
from sqlalchemy.orm import Session

from shared import jobs
from shared.attempts import Claim
from shared.models import Scan, ScanReview

TUMOR = "Tumor"
NO_TUMOR = "No Tumor"
HEALTHY_CLASS = "notumor"
NEEDS_REVIEW = "needs_review"  # in `review`: the probability is inconclusive, a person must look
REJECTED = "rejected"  # in `review`: no brain MRI, so there is no finding at all
UNTYPED_CLASS = "tumor"  # of models that tell tumours from none, but not from each other
DECISION_THRESHOLD = 0.5
_NO_TYPES = (HEALTHY_CLASS, UNTYPED_CLASS)

# Made once, and for the table instead of the class: with each batch they would take as long as the update.
_SCANS = cast(Table, Scan.__table__)
_IS_ABOUT_IT = exists().where(
    ScanReview.scan_id == _SCANS.c.id,
    ScanReview.at == _SCANS.c.reviewed_at,
    ScanReview.prediction.is_not_distinct_from(_SCANS.c.prediction),
    ScanReview.review.is_not_distinct_from(_SCANS.c.review),
)
_RECORD = update(_SCANS).where(_SCANS.c.id == bindparam("row")).values(analysed_at=func.now())
_WITHDRAW = (
    update(_SCANS)
    .where(
        _SCANS.c.id.in_(bindparam("rows", expanding=True)),
        _SCANS.c.reader_verdict.is_not(None),
        ~_IS_ABOUT_IT,
    )
    .values(reader_verdict=None, reader_agrees=None, reviewed_at=None)
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the model found in a brain MRI slice, pictures already stored."""

    probability: float  # of a tumour, calibrated
    raw_probability: float  # before calibration
    class_probabilities: dict[str, float]
    review: str | None  # NEEDS_REVIEW or None
    explanation: dict[str, Any]
    heatmap_key: str
    overlay_key: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a picture gets no finding."""

    reason: str
    score: float  # probability of being no brain MRI, 0..1


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One scan's analysis and the model that made it."""

    claim: Claim
    outcome: Finding | Rejected
    model: dict[str, Any]


def prediction_of(probability: float) -> str:
    """The word for a tumour probability; at exactly the threshold it is a tumour."""
    return TUMOR if probability >= DECISION_THRESHOLD else NO_TUMOR


def confidence_of(probability: float) -> float:
    """The probability of the predicted class."""
    return probability if prediction_of(probability) == TUMOR else 1.0 - probability


def tumor_type_of(probability: float, class_probabilities: dict[str, float]) -> str | None:
    """The likeliest tumour class, only where a tumour is predicted, by a model that knows types."""
    if prediction_of(probability) != TUMOR:
        return None
    types = {name: value for name, value in class_probabilities.items() if name not in _NO_TYPES}
    return max(types, key=types.__getitem__) if types else None


def record(session: Session, results: Sequence[ScanResult]) -> list[ScanResult]:
    """End the jobs and write their results. Returns those that counted: a lost claim writes nothing."""
    held = set(jobs.succeed(session, [result.claim for result in results]))
    kept = [result for result in results if result.claim in held]
    if kept:
        rows = [_columns(result) for result in kept]
        session.connection().execute(_RECORD, rows)
        # A verdict on what the result no longer is goes; the same, made again, needs no new one.
        session.execute(_WITHDRAW, {"rows": [row["row"] for row in rows]})
    return kept


def _columns(result: ScanResult) -> dict[str, Any]:
    """One set of columns for every outcome: rows of a statement must have the same."""
    outcome = result.outcome
    finding = outcome if isinstance(outcome, Finding) else None
    rejected = outcome if isinstance(outcome, Rejected) else None
    # A word is only said where it is meant: clients paint everything that is not "Tumor" green.
    said = finding if finding is not None and finding.review is None else None
    return {
        "row": result.claim.subject_id,
        "is_staged": False,  # the image store has the original by now
        "heatmap_path": finding.heatmap_key if finding else None,
        "overlay_path": finding.overlay_key if finding else None,
        "prediction": prediction_of(said.probability) if said else None,
        "confidence": confidence_of(said.probability) if said else None,
        "probability": finding.probability if finding else None,
        "raw_probability": finding.raw_probability if finding else None,
        "tumor_type": tumor_type_of(said.probability, said.class_probabilities) if said else None,
        "review": finding.review if finding else REJECTED,
        "class_probabilities": finding.class_probabilities if finding else None,
        "explanation": finding.explanation if finding else None,
        "rejection": asdict(rejected) if rejected else None,
        "model": result.model,
    }
