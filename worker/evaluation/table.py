"""A report as plain text, for people."""

from collections.abc import Iterator

from worker.evaluation.report import Estimate, Failure, Report

_TITLES = {
    "auc": "AUC",
    "ece": "calibration error",
    "raw_ece": "calibration error, uncalibrated",
    "brier": "Brier score",
    "best_iou": "IoU at the best threshold",
    "needs_review": "share in need of review",
    "accuracy_without_review": "accuracy without review",
    "rejected": "share rejected as no brain MRI",
}
_WIDTH = 30


def title_of(name: str) -> str:
    """A figure's name as people read it."""
    return _TITLES.get(name, name.replace("_", " "))


def as_text(report: Report) -> str:
    """The report as lines, without a newline at its end."""
    return "\n".join(
        [*_head(report), "", *_estimates(report), "", *_curve(report), *_timing(report), *_failures(report)]
    ).rstrip()


def _head(report: Report) -> Iterator[str]:
    model = report.model
    yield f"{model.name} {model.version}, {model.engine} on {model.device}"
    yield f"weights {model.weights_sha256}"
    split = f" of the split {report.split!r}" if report.split else ""
    counts = ", ".join(f"{name} {count}" for name, count in report.classes.items())
    yield f"{report.n} pictures{split} in {report.groups} groups ({counts}); {report.n_failed} failed"


def titled(report: Report) -> dict[str, Estimate]:
    """All figures of the report by their titles."""
    return {
        **{title_of(name): estimate for name, estimate in report.figures.items()},
        **{f"recall, {name}": estimate for name, estimate in report.recall.items()},
        **{f"accuracy, {name}": estimate for name, estimate in report.accuracy_by_source.items()},
    }


def _estimates(report: Report) -> Iterator[str]:
    rows = titled(report)
    width = max([_WIDTH, *(len(title) for title in rows)]) + 2
    yield f"{'':<{width}}{'value':>7}  {'95 % interval':<15}{'pictures':>10}{'groups':>8}"
    for title, estimate in rows.items():
        interval = "" if estimate.low is None else f"{estimate.low:.3f} .. {estimate.high:.3f}"
        yield f"{title:<{width}}{estimate.value:>7.3f}  {interval:<15}{estimate.n:>10}{estimate.groups:>8}"
    if report.best_iou_threshold is not None:
        yield f"{'best threshold of the maps':<{width}}{report.best_iou_threshold:>7.2f}"


def _curve(report: Report) -> Iterator[str]:
    if report.calibration_curve:
        yield f"{'calibration: mean probability':<32}{'observed':>8}{'pictures':>10}"
        for bar in report.calibration_curve:
            yield f"{bar.score:<32.3f}{bar.observed:>8.3f}{bar.count:>10}"
        yield ""


def _timing(report: Report) -> Iterator[str]:
    if report.ms_per_picture:
        yield f"ms per picture: mean {report.ms_per_picture.mean:.1f}, p95 {report.ms_per_picture.p95:.1f}"


def _failures(report: Report) -> Iterator[str]:
    yield from _listed("failed", report.failed)
    yield from _listed("masks that could not be used", report.masks_failed)


def _listed(title: str, failures: list[Failure]) -> Iterator[str]:
    if failures:
        yield f"{title}:"
        yield from (f"  {failure.file}: {failure.error}" for failure in failures)
