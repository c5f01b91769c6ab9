"""Answers -> the figures that exist for them, as measures that can be resampled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from shared.results import DECISION_THRESHOLD, HEALTHY_CLASS, UNTYPED_CLASS
from worker.evaluation.answers import Answer
from worker.evaluation.bootstrap import IntArray, Measure
from worker.evaluation.cases import CLASSES
from worker.evaluation.localisation import IOU_THRESHOLDS, Localisation
from worker.evaluation.report import Bin
from worker.training import metrics

FIGURES, RECALL, BY_SOURCE = "figures", "recall", "accuracy_by_source"

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Table:
    """N answers as columns."""

    scores: FloatArray  # (N,) tumour probability
    is_tumour: BoolArray  # (N,)
    labels: npt.NDArray[np.str_]  # (N,)
    sources: npt.NDArray[np.str_]  # (N,)
    raw_scores: FloatArray  # (N,) tumour probability before calibration
    needs_review: BoolArray  # (N,)
    is_rejected: BoolArray  # (N,) as no brain MRI
    classes: FloatArray  # (N, 4) probabilities in the order of CLASSES; (N, 0) if model or labels lack types
    has_mask: BoolArray  # (N,)
    peaks: BoolArray  # (N,) the map's peak lies inside the mask; false without one
    energies: FloatArray  # (N,) share of the evidence inside the mask; 0 without one
    overlaps: FloatArray  # (N, T) at IOU_THRESHOLDS; 0 without a mask


def tabulate(answers: Sequence[Answer]) -> Table:
    """The columns of `answers`."""
    located = [a.localisation if isinstance(a.localisation, Localisation) else None for a in answers]
    nothing = np.zeros(len(IOU_THRESHOLDS))
    return Table(
        scores=np.array([a.prediction.probability for a in answers]),
        is_tumour=np.array([a.case.is_tumour for a in answers]),
        labels=np.array([a.case.label for a in answers]),
        sources=np.array([a.case.source for a in answers]),
        raw_scores=np.array([a.prediction.raw_probability for a in answers]),
        needs_review=np.array([a.prediction.review is not None for a in answers]),
        is_rejected=np.array([a.is_rejected for a in answers]),
        classes=_class_probabilities(answers),
        has_mask=np.array([place is not None for place in located]),
        peaks=np.array([place is not None and place.peak_inside for place in located]),
        energies=np.array([place.energy_inside if place else 0.0 for place in located]),
        overlaps=np.array([place.overlaps if place else nothing for place in located]),
    )


def measures(table: Table) -> list[Measure]:
    """Every figure that `table` has pictures for. Rejected ones count as all others, by their probability."""
    found = [*_binary(table), *_by_class(table), *_caution(table), *_by_source(table), *_localisation(table)]
    return [measure for measure in found if measure.about.any()]


def calibration_bins(table: Table) -> list[Bin]:
    """The calibration curve of the tumour probability; its bins are those of the calibration error."""
    curve = metrics.calibration_curve(table.scores, table.is_tumour)
    return [
        Bin(score=round(float(score), 4), observed=round(float(observed), 4), count=int(count))
        for score, observed, count in zip(*curve, strict=True)
    ]


def roc_points(table: Table) -> list[tuple[float, float]]:
    """Corners of the ROC curve; none unless there are both tumours and healthy slices."""
    if table.is_tumour.all() or not table.is_tumour.any():
        return []
    points = metrics.roc_curve(table.scores, table.is_tumour)
    return [(round(float(alarms), 4), round(float(hits), 4)) for alarms, hits in points]


def best_iou_threshold(table: Table) -> float | None:
    """Where the maps are best cut, one threshold for all pictures; None without masks."""
    if not table.has_mask.any():
        return None
    return float(IOU_THRESHOLDS[table.overlaps[table.has_mask].mean(axis=0).argmax()])


def _binary(table: Table) -> list[Measure]:
    scores, truth = table.scores, table.is_tumour
    everything = np.ones_like(truth)

    def figure(name: str, of: Callable[[FloatArray, BoolArray], float], about: BoolArray) -> Measure:
        return Measure(FIGURES, name, about, lambda rows: of(scores[rows], truth[rows]))

    return [
        figure("auc", metrics.auc, everything),
        figure("accuracy", partial(metrics.accuracy, threshold=DECISION_THRESHOLD), everything),
        figure("sensitivity", partial(metrics.sensitivity, threshold=DECISION_THRESHOLD), truth),
        figure("specificity", partial(metrics.specificity, threshold=DECISION_THRESHOLD), ~truth),
        figure("ece", metrics.expected_calibration_error, everything),
        figure("brier", metrics.brier_score, everything),
        Measure(
            FIGURES,
            "raw_ece",
            everything,
            lambda rows: metrics.expected_calibration_error(table.raw_scores[rows], truth[rows]),
        ),
    ]


def _by_class(table: Table) -> list[Measure]:
    if not table.classes.size:
        return []
    is_right = table.classes.argmax(axis=1) == [CLASSES.index(label) for label in table.labels]
    return [
        Measure(FIGURES, "four_class_accuracy", np.ones_like(is_right), _share(is_right)),
        *(Measure(RECALL, name, table.labels == name, _share(is_right)) for name in CLASSES),
    ]


def _caution(table: Table) -> list[Measure]:
    is_right = _is_right(table)
    everything = np.ones_like(is_right)
    return [
        Measure(FIGURES, "needs_review", everything, _share(table.needs_review)),
        Measure(FIGURES, "accuracy_without_review", ~table.needs_review, _share(is_right)),
        Measure(FIGURES, "rejected", everything, _share(table.is_rejected)),
    ]


def _by_source(table: Table) -> list[Measure]:
    is_right = _is_right(table)
    return [
        Measure(BY_SOURCE, str(source), table.sources == source, _share(is_right))
        for source in np.unique(table.sources)
        if source
    ]


def _localisation(table: Table) -> list[Measure]:
    def best_iou(rows: IntArray) -> float:
        return float(table.overlaps[rows].mean(axis=0).max())

    return [
        Measure(FIGURES, "pointing_game", table.has_mask, _share(table.peaks)),
        Measure(FIGURES, "energy_inside_mask", table.has_mask, _share(table.energies)),
        Measure(FIGURES, "best_iou", table.has_mask, best_iou),
    ]


def _is_right(table: Table) -> BoolArray:
    return np.asarray((table.scores >= DECISION_THRESHOLD) == table.is_tumour)


def _share(values: BoolArray | FloatArray) -> Callable[[IntArray], float]:
    return lambda rows: float(values[rows].mean())


def _class_probabilities(answers: Sequence[Answer]) -> FloatArray:
    """(N, 4), or (N, 0) where four classes mean nothing: no tumour, unknown types, a model without types."""
    labels = {answer.case.label for answer in answers}
    knows_types = all(set(CLASSES) <= set(answer.prediction.class_probabilities) for answer in answers)
    if UNTYPED_CLASS in labels or labels == {HEALTHY_CLASS} or not knows_types:
        return np.zeros((len(answers), 0))
    return np.array([[a.prediction.class_probabilities[name] for name in CLASSES] for a in answers])
