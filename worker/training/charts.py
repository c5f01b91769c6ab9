"""The model card's charts, from an evaluation's report. Matplotlib without any global state."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worker.evaluation.report import Report

_COLOUR = "#2a6f97"
_FAINT = "#8a8a8a"


def draw_charts(report: Report, folder: Path) -> dict[str, Path]:
    """Write the charts that `report` has numbers for as PNGs into `folder`; returns them by their titles."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {
        "Reliability diagram": (folder / "reliability.png", _reliability, bool(report.calibration_curve)),
        "ROC curve": (folder / "roc.png", _roc, bool(report.roc)),
        "Recall per class": (folder / "recall.png", _recall, bool(report.recall)),
    }
    drawn = {}
    for title, (path, draw, is_possible) in charts.items():
        path.unlink(missing_ok=True)
        if is_possible:
            figure = Figure(figsize=(4.2, 4.2), dpi=150, layout="constrained")
            draw(figure.add_subplot(title=title), report)
            figure.savefig(path, metadata={"Software": None})  # equal reports give equal files
            drawn[title] = path
    return drawn


def _reliability(axes: Axes, report: Report) -> None:
    scores = [bar.score for bar in report.calibration_curve]
    observed = [bar.observed for bar in report.calibration_curve]
    counts = [bar.count for bar in report.calibration_curve]
    areas = [15 + 250 * count / max(counts) for count in counts]  # a single slice stays visible
    _diagonal(axes)
    axes.scatter(scores, observed, s=areas, color=_COLOUR, alpha=0.75, clip_on=False)
    axes.set(xlabel="mean tumour probability", ylabel="observed share of tumours")
    axes.text(0.02, 0.94, "larger dots: more slices", color=_FAINT)


def _roc(axes: Axes, report: Report) -> None:
    _diagonal(axes)
    alarms, hits = zip(*report.roc, strict=True)
    auc = report.figures["auc"].value
    axes.plot(alarms, hits, color=_COLOUR, label=f"area under the curve {auc:.3f}")
    chosen = (1 - report.figures["specificity"].value, report.figures["sensitivity"].value)
    axes.plot(*chosen, "o", color=_COLOUR, label=f"threshold {report.threshold:g}")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity")
    axes.legend(loc="lower right", frameon=False)


def _recall(axes: Axes, report: Report) -> None:
    names = [f"{name}\n({estimate.n})" for name, estimate in report.recall.items()]
    values = [estimate.value for estimate in report.recall.values()]
    axes.bar(names, values, color=_COLOUR, width=0.6)
    for place, estimate in enumerate(report.recall.values()):
        if estimate.low is not None and estimate.high is not None:
            axes.vlines(place, estimate.low, estimate.high, color="black", linewidth=1.2)
    axes.set(ylim=(0, 1.02), ylabel="recall, with 95 % interval")


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8, linestyle="--")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
