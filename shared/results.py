"""Recording what the model said, in the same commit that ends the jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from shared import jobs
from shared.jobs import Claim
from shared.models import Scan

TUMOR = "Tumor"
NO_TUMOR = "No Tumor"
HEALTHY_CLASS = "notumor"
DECISION_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One scan's analysis, pictures already stored."""

    claim: Claim
    probability: float
    class_probabilities: dict[str, float]
    explanation: dict[str, Any]
    heatmap_key: str
    overlay_key: str
    model: dict[str, Any]


def prediction_of(probability: float) -> str:
    """The word for a tumour probability; at exactly the threshold it is a tumour."""
    return TUMOR if probability >= DECISION_THRESHOLD else NO_TUMOR


def confidence_of(probability: float) -> float:
    """The probability of the predicted class."""
    return probability if prediction_of(probability) == TUMOR else 1.0 - probability


def tumor_type_of(probability: float, class_probabilities: dict[str, float]) -> str | None:
    """The likeliest tumour class, only where a tumour is predicted."""
    if prediction_of(probability) != TUMOR:
        return None
    types = {name: value for name, value in class_probabilities.items() if name != HEALTHY_CLASS}
    return max(types, key=types.__getitem__) if types else None


def record(session: Session, results: Sequence[ScanResult]) -> list[ScanResult]:
    """End the jobs and write their results. Returns those that counted: a lost claim writes nothing."""
    held = set(jobs.succeed(session, [result.claim for result in results]))
    kept = [result for result in results if result.claim in held]
    if kept:
        session.execute(update(Scan), [_columns(result) for result in kept])
        session.execute(
            update(Scan)
            .where(Scan.id.in_([result.claim.subject_id for result in kept]))
            .values(analysed_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return kept


def _columns(result: ScanResult) -> dict[str, Any]:
    return {
        "id": result.claim.subject_id,
        "heatmap_path": result.heatmap_key,
        "overlay_path": result.overlay_key,
        "prediction": prediction_of(result.probability),
        "confidence": confidence_of(result.probability),
        "probability": result.probability,
        "tumor_type": tumor_type_of(result.probability, result.class_probabilities),
        "class_probabilities": result.class_probabilities,
        "explanation": result.explanation,
        "model": result.model,
    }
