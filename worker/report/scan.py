"""One scan of a report: its pictures, its result and what to make of them, on one page."""

from collections.abc import Sequence

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table

from worker.report.cells import MAX_LINES, NOT_RECORDED, grid, labelled, percent, prediction, typed, verdict
from worker.report.facts import NEEDS_REVIEW, NO_TUMOR, ModelFacts, ReadingFacts, ScanFacts
from worker.report.fonts import printable
from worker.report.layout import (
    AMBER,
    AMBER_PALE,
    BODY,
    INK,
    NAVY,
    PALE,
    SMALL,
    STRONG,
    TEAL,
    OutlineEntry,
    coloured,
    mono,
    one_line,
    utc,
)
from worker.report.pictures import PictureRow
from worker.report.text import TypedText

HEATMAP_NOTE = (
    "The heatmap shows where the model found evidence for a tumor, on an absolute scale: dark or transparent "
    "means none, warm colors mean strong evidence. It is not a segmentation and not an outline of a lesion."
)
BELOW_THRESHOLD_NOTE = " In this scan the evidence stayed below the decision threshold."
OUTSIDE_HEAD_NOTE = (
    " Most of the heat lies outside the head: this result rests on something other than tissue."
)
REVIEW_NOTE = (
    "<b>Inconclusive result: radiologist review needed.</b> The model's answer for this scan is too "
    "uncertain to rely on in either direction. A radiologist needs to read the original images."
)
UNREAD = "not reviewed by a radiologist"
COMMENT_LINES = 24  # room for as many letters as a comment may have, in any script
_TIGHT = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
]


def scan_block(number: int, total: int, scan: ScanFacts, report_model: ModelFacts, max_side: int) -> Flowable:
    """One scan with its pictures and result, kept on one page."""
    name = printable(scan.filename)
    shown = name if len(name) <= 60 else name[:59] + "…"
    parts: list[Flowable] = [OutlineEntry("scans", "Scans", 0)] if number == 1 else []
    parts += [
        OutlineEntry(f"scan-{number}", f"Scan {number}: {shown} ({one_line(scan.prediction)})", 1),
        _scan_title(number, total, scan.filename),
        Spacer(0, 1.5 * mm),
        PictureRow(scan.original, scan.heatmap, scan.overlay, max_side),
        Spacer(0, 1.5 * mm),
        _result_table(scan),
        *_reading(scan.reading),
        _origin_table(scan),
        Paragraph(_heatmap_note(scan), SMALL),
    ]
    if scan.model is not None and scan.model != report_model:
        parts.append(
            TypedText(f"Analyzed with another model: {_model_line(scan.model)}", SMALL.fontSize, INK)
        )
    if scan.review == NEEDS_REVIEW and scan.reading is None:
        parts += [Spacer(0, 1.5 * mm), _review_box()]
    return KeepTogether([*parts, Spacer(0, 5 * mm)])


def _heatmap_note(scan: ScanFacts) -> str:
    below = BELOW_THRESHOLD_NOTE if scan.prediction == NO_TUMOR else ""
    return HEATMAP_NOTE + below + (OUTSIDE_HEAD_NOTE if scan.is_heat_outside_head else "")


def _scan_title(number: int, total: int, filename: str) -> Table:
    label = Paragraph(f"Scan {number} of {total}", coloured(STRONG, NAVY))
    row = [label, TypedText(filename, BODY.fontSize, INK, max_lines=MAX_LINES)]
    return grid(
        [row],
        (0.2, 0.8),
        ("BACKGROUND", (0, 0), (-1, -1), PALE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.8, TEAL),
    )


def _result_table(scan: ScanFacts) -> Table:
    cells = [
        labelled("Prediction", prediction(scan)),
        labelled("Tumor probability", Paragraph(percent(scan.probability), STRONG)),
        labelled("Confidence", Paragraph(percent(scan.confidence), BODY)),
        labelled("Tumor type", typed(scan.tumor_type)) if scan.tumor_type else "",
    ]
    return _fact_row(cells, (0.22, 0.25, 0.25, 0.28))


def _reading(reading: ReadingFacts | None) -> list[Flowable]:
    """What a radiologist says, below what the model says."""
    if reading is None:
        return [_fact_row([labelled("Radiologist", Paragraph(UNREAD, BODY))], (1,))]
    cells = [
        labelled("Radiologist", verdict(reading)),
        labelled("Reviewed by", typed(reading.reader)),
        labelled("Reviewed", Paragraph(utc(reading.at), BODY)),
    ]
    table = _fact_row(cells, (0.22, 0.5, 0.28))
    if reading.comment is None:
        return [table]
    comment = TypedText(reading.comment, BODY.fontSize, INK, max_lines=COMMENT_LINES)
    return [table, _fact_row([labelled("Radiologist's comment", comment)], (1,))]


def _origin_table(scan: ScanFacts) -> Table:
    analysed = utc(scan.analysed_at) if scan.analysed_at else NOT_RECORDED
    cells = [
        labelled("Scan ID", mono(scan.scan_id)),
        labelled("Uploaded", Paragraph(utc(scan.created_at), BODY)),
        labelled("Analyzed", Paragraph(analysed, BODY)),
    ]
    return _fact_row(cells, (0.47, 0.25, 0.28))


def _fact_row(cells: Sequence[object], shares: Sequence[float]) -> Table:
    return grid([list(cells)], shares, *_TIGHT, ("BOTTOMPADDING", (0, 0), (-1, -1), 3))


def _review_box() -> Table:
    return grid(
        [[Paragraph(REVIEW_NOTE, BODY)]],
        (1,),
        ("BOX", (0, 0), (-1, -1), 0.8, AMBER),
        ("BACKGROUND", (0, 0), (-1, -1), AMBER_PALE),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
    )


def _model_line(model: ModelFacts) -> str:
    return (
        f"{model.name} {model.version}, weights {model.weights_sha256[:12]}, "
        f"preprocessing {model.preprocessing_version}"
    )
