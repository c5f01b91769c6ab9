"""`python -m worker.training.model_card [DIR]`: write MODEL_CARD.md and its charts beside a model's weights.

DIR (default: model_weights) holds manifest.json and metrics.json, the latter from
`python -m worker.evaluate DATA --split val --masks MASKS --json`. All numbers come from these two files; the
prose that nothing can compute is in model_card.template.md.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ValidationError

from shared.errors import ModelFileError
from shared.logs import configure_logging, get_logger
from worker.evaluation.report import Estimate, Report
from worker.evaluation.table import title_of, titled
from worker.inference.manifest import Manifest, read_manifest
from worker.training.charts import draw_charts

METRICS_NAME, CARD_NAME, CHARTS_FOLDER = "metrics.json", "MODEL_CARD.md", "figures"
TEMPLATE = Path(__file__).with_name("model_card.template.md")
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "model_weights"

_SETS = {
    "recontrasted": "contrasts remapped and inverted",
    "moved": "tumours moved into healthy slices",
    "removed": "tumours replaced by healthy tissue",
    "broken_shortcut": "the three together",
}
_UNSEEN = "other_pictures_rejected_when_kind_unseen"
_GATE_TITLES = {
    "val_rejected": "validation slices",
    "val_changed_rejected": "validation slices, turned and with their intensities changed",
    "other_pictures_rejected": "pictures that are no brain MRI",
}

log = get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, or 2 when the two files are missing or do not fit."""
    parser = argparse.ArgumentParser(prog="python -m worker.training.model_card", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, metavar="DIR")
    options = parser.parse_args(arguments)
    configure_logging("INFO")
    try:
        path = write_card(options.folder)
    except (ModelFileError, OSError) as error:
        log.error("the model card cannot be made", reason=str(error))  # noqa: TRY400 - the line says it all
        return 2
    log.info("model card written", path=str(path))
    return 0


def write_card(folder: Path) -> Path:
    """Write the card of the model in `folder` and its charts; returns the card's path.

    Raises `ModelFileError` when manifest.json or metrics.json is missing, not valid, or of another model.
    """
    manifest, report = read_manifest(folder), read_report(folder)
    if report.model.weights_sha256 != manifest.weights_sha256:
        raise ModelFileError(
            f"{folder / METRICS_NAME} was measured with other weights. Run worker.evaluate --json again."
        )
    charts = draw_charts(report, folder / CHARTS_FOLDER)
    pictures = {title: path.relative_to(folder).as_posix() for title, path in charts.items()}
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    card = folder / CARD_NAME
    card.write_text(template.substitute(values(manifest, report, pictures)), encoding="utf-8")
    return card


def read_report(folder: Path) -> Report:
    """metrics.json in `folder`; raises `ModelFileError` with one line that says what to do."""
    path = folder / METRICS_NAME
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"No readable {path}. Write it with python -m worker.evaluate --json."
        ) from error
    except ValidationError as error:
        raise ModelFileError(
            f"{path} is no report of this version. Write it again with worker.evaluate --json."
        ) from error


def values(manifest: Manifest, report: Report, charts: dict[str, str]) -> dict[str, str]:
    """What fills the template's placeholders, by their names; `charts` are titles and relative paths."""
    training = manifest.training
    return {
        "name": manifest.name,
        "version": manifest.version,
        "architecture": manifest.architecture,
        "input_size": str(manifest.input_size),
        "preprocessing_version": manifest.preprocessing_version,
        "weights_file": manifest.weights_file,
        "weights_sha256": manifest.weights_sha256,
        "commit": training.commit,
        "seed": str(training.seed),
        "epochs": str(training.epochs),
        "data_sha256": training.data_sha256,
        "measured_on": _measured_on(report),
        "figures": _table(("", "value", "95 % interval", "slices", "groups"), _figure_rows(report)),
        "charts": "\n".join(f"![{title}]({path})" for title, path in charts.items()),
        "made_slices": _table(
            ("validation slices with", *_titles(_made_columns(manifest))), _made_rows(manifest)
        ),
        "decisions": "\n".join(f"- {line}" for line in _decisions(manifest, report)),
        "gate": _table(("pictures rejected", "share"), _gate_rows(manifest)),
        "engines": _table(("engine", *_titles(_engine_columns(manifest))), _engine_rows(manifest)),
    }


def _measured_on(report: Report) -> str:
    kept = f" of the split `{report.split}`" if report.split else ""
    classes = ", ".join(f"{name} {count}" for name, count in report.classes.items())
    left_out = f"; {report.n_failed} files could not be analysed" if report.n_failed else ""
    return (
        f"{report.n} slices{kept} in {report.groups} groups ({classes}){left_out}, with the engine "
        f"`{report.model.engine}` on {report.model.device}, at the threshold {report.threshold:g}"
    )


def _figure_rows(report: Report) -> Iterator[tuple[str, ...]]:
    for title, estimate in titled(report).items():
        yield title, f"{estimate.value:.3f}", _interval(estimate), str(estimate.n), str(estimate.groups)


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"


def _made_columns(manifest: Manifest) -> list[str]:
    found = {name for kept in _SETS for name in manifest.metrics.get(kept, {})}
    return [
        name for name in ("auc", "accuracy", "sensitivity", "specificity", "pointing_game") if name in found
    ]


def _made_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    for key, title in _SETS.items():
        if key in manifest.metrics:
            yield title, *(_number(manifest.metrics[key].get(name)) for name in _made_columns(manifest))


def _engine_columns(manifest: Manifest) -> list[str]:
    return list(dict.fromkeys(name for figures in manifest.engines.values() for name in figures))


def _engine_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    for engine, figures in manifest.engines.items():
        yield f"`{engine}`", *(_number(figures.get(name)) for name in _engine_columns(manifest))


def _gate_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    for name, figure in (manifest.gate.figures if manifest.gate else {}).items():
        if not isinstance(figure, dict):
            yield _GATE_TITLES.get(name, title_of(name)), _number(figure)
    for kind, figure in (manifest.gate.figures.get(_UNSEEN, {}) if manifest.gate else {}).items():
        yield f"{title_of(kind)}, when left out of the fit", _number(figure)


def _decisions(manifest: Manifest, report: Report) -> Iterator[str]:
    yield f"At a tumour probability of {report.threshold:g} or more a slice is called a tumour."
    if report.best_iou_threshold is not None:
        yield f"The maps overlap best with the masks when they are cut at {report.best_iou_threshold:.2f}."
    band, gate = manifest.band, manifest.gate
    if band.low < band.high:
        yield f"Tumour probabilities between {band.low:.3f} and {band.high:.3f} are marked for review."
    if gate:
        yield f"Slices that the input gate scores above {gate.threshold:.3g} are rejected as no brain MRI."
    if "ece_left_out" in manifest.metrics:
        yield (
            "On patients that the calibration was not fitted on, the calibration error is "
            f"{manifest.metrics['ece_left_out']:.3f} (cross-validated)."
        )


def _titles(names: Sequence[str]) -> list[str]:
    return [title_of(name) for name in names]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    if len(lines) == 2:
        return "None."
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
