"""Answers and failures -> the report."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from shared.results import DECISION_THRESHOLD
from worker.evaluation import figures
from worker.evaluation.answers import Answer
from worker.evaluation.bootstrap import estimates
from worker.evaluation.report import Bootstrap, Failure, ModelFacts, Report, Timing


def summarise(
    model: ModelFacts, outcomes: Sequence[Answer | Failure], bootstrap: Bootstrap, split: str | None = None
) -> Report:
    """The failures among `outcomes` and all figures that the answers allow, with intervals by `bootstrap`."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    groups = [answer.case.group for answer in answers]
    report = Report(
        model=model,
        split=split,
        threshold=DECISION_THRESHOLD,
        n=len(answers),
        groups=len(set(groups)),
        classes=dict(sorted(Counter(answer.case.label for answer in answers).items())),
        n_failed=len(failed),
        failed=failed,
        masks_failed=[a.localisation for a in answers if isinstance(a.localisation, Failure)],
        bootstrap=bootstrap,
    )
    if not answers:
        return report
    table = figures.tabulate(answers)
    found = estimates(figures.measures(table), groups, bootstrap.resamples, bootstrap.seed)
    extras = {
        "best_iou_threshold": figures.best_iou_threshold(table),
        "calibration_curve": figures.calibration_bins(table),
        "roc": figures.roc_points(table),
        "ms_per_picture": _timing([answer.ms for answer in answers]),
    }
    return report.model_copy(update=found | extras)


def _timing(ms: Sequence[float]) -> Timing:
    return Timing(mean=round(float(np.mean(ms)), 2), p95=round(float(np.quantile(ms, 0.95)), 2))
