"""The parts of a report that speak of all scans: patient, summary, overview table and model."""

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

from reportlab.lib.colors import white
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer

from worker.report.cells import (
    NOT_RECORDED,
    NOTHING,
    grid,
    labelled,
    percent,
    prediction,
    review_label,
    typed,
    verdict,
)
from worker.report.facts import NEEDS_REVIEW, NO_TUMOR, TUMOR, ModelFacts, PatientFacts, ScanFacts
from worker.report.layout import (
    AMBER,
    BODY,
    FIGURE,
    HEAD_CELL,
    HEAD_CELL_RIGHT,
    HEADING,
    INK,
    LABEL,
    LINE,
    NAVY,
    PALE,
    RIGHT,
    SMALL,
    STRONG,
    TEAL,
    OutlineEntry,
    coloured,
    mono,
)
from worker.report.text import TypedText

READING_NOTE = (
    "The tumor probability is the model's estimate that the slice shows a tumor. The confidence is the "
    "probability of the prediction that is shown, tumor or no tumor. Neither replaces a clinical reading: a "
    "single slice is judged without history, other sequences or neighboring slices."
)


def patient_section(patient: PatientFacts) -> list[Flowable]:
    """Who the report is about."""
    age = NOT_RECORDED if patient.age is None else f"{patient.age} years"
    rows: list[list[object]] = [
        [
            labelled("Name", typed(patient.name, bold=True)),
            "",
            labelled("Patient ID", typed(patient.patient_id)),
        ],
        [
            labelled("Age", typed(age)),
            labelled("Gender", typed(patient.gender)),
            labelled("Phone", typed(patient.phone)),
        ],
        [labelled("Email", typed(patient.email)), "", ""],
    ]
    table = grid(
        rows,
        (0.3, 0.3, 0.4),
        ("SPAN", (0, 0), (1, 0)),
        ("SPAN", (0, 2), (2, 2)),
        ("BACKGROUND", (0, 0), (-1, -1), PALE),
        ("LINEBELOW", (0, 0), (-1, -2), 0.5, white),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 4),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
    )
    return [Paragraph("Patient", HEADING), table]


def summary_section(scans: Iterable[ScanFacts]) -> list[Flowable]:
    """Counts, and the highest tumour probability."""
    facts = [(scan.prediction, scan.review == NEEDS_REVIEW, scan.probability) for scan in scans]
    highest = max((p for _, _, p in facts if math.isfinite(p)), default=math.nan)
    figures = [
        (str(len(facts)), "Scans"),
        (str(sum(word == TUMOR for word, _, _ in facts)), "Tumor"),
        (str(sum(word == NO_TUMOR for word, _, _ in facts)), "No Tumor"),
        (str(sum(review for _, review, _ in facts)), "Needs review"),
        (percent(highest) if facts else NOTHING, "Highest tumor probability"),
    ]
    cells = [[Paragraph(figure, FIGURE), Paragraph(label, LABEL)] for figure, label in figures]
    table = grid(
        [cells],
        (0.17, 0.17, 0.17, 0.2, 0.29),
        ("LINEABOVE", (0, 0), (-1, -1), 1, TEAL),
        ("LINEAFTER", (0, 0), (-2, -1), 0.5, LINE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
    )
    return [OutlineEntry("summary", "Summary", 0), Paragraph("Summary", HEADING), table]


def overview_section(scans: Iterable[ScanFacts]) -> list[Flowable]:
    """All scans in one table, whose header is repeated on each page."""
    titles = [Paragraph(title, HEAD_CELL) for title in ("No.", "File", "Prediction")]
    titles += [Paragraph(title, HEAD_CELL_RIGHT) for title in ("Tumor probability", "Confidence")]
    titles.append(Paragraph("Review", HEAD_CELL))
    rows = [titles, *(_overview_row(number, scan) for number, scan in enumerate(scans, 1))]
    if len(rows) == 1:
        rows.append(["", Paragraph("No scan has been analyzed.", BODY), "", "", "", ""])
    table = grid(
        rows,
        (0.06, 0.34, 0.13, 0.18, 0.13, 0.16),
        ("BACKGROUND", (0, 0), (-1, 0), NAVY),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), (white, PALE)),
        ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        repeat_rows=1,
    )
    return [Paragraph("Overview", HEADING), table]


def _overview_row(number: int, scan: ScanFacts) -> list[Flowable]:
    return [
        Paragraph(f'<a href="#scan-{number}" color="{TEAL.hexval()}">{number}</a>', BODY),
        TypedText(scan.filename, BODY.fontSize, INK, max_lines=2),
        prediction(scan),
        Paragraph(percent(scan.probability), RIGHT),
        Paragraph(percent(scan.confidence), RIGHT),
        _review(scan),
    ]


def _review(scan: ScanFacts) -> Paragraph:
    """What a radiologist says, or else whether one has to look."""
    if scan.reading is not None:
        return verdict(scan.reading)
    style = coloured(STRONG, AMBER) if scan.review == NEEDS_REVIEW else BODY
    return Paragraph(escape(review_label(scan.review)), style)


def model_section(model: ModelFacts) -> Flowable:
    """Which model made the predictions, and how to read its figures."""
    facts: list[list[object]] = [
        [labelled("Name", typed(model.name)), labelled("Version", typed(model.version))],
        [
            labelled("Weights (SHA-256, short)", mono(model.weights_sha256[:12])),
            labelled("Preprocessing version", typed(model.preprocessing_version)),
        ],
        [labelled("Weights (SHA-256)", mono(model.weights_sha256)), ""],
    ]
    table = grid(
        facts,
        (0.5, 0.5),
        ("SPAN", (0, 2), (1, 2)),
        ("BACKGROUND", (0, 0), (-1, -1), PALE),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
    )
    heading = [OutlineEntry("model", "Model", 0), Paragraph("Model", HEADING)]
    return KeepTogether([*heading, table, Spacer(0, 2 * mm), Paragraph(READING_NOTE, SMALL)])
