"""The small pieces that every part of a report is made of: tables, labelled values, figures as words."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from worker.report.facts import NO_TUMOR, TUMOR, ReadingFacts, ScanFacts
from worker.report.fonts import SANS
from worker.report.layout import AMBER, BODY, GREEN, INK, LABEL, RED, STRONG, TEXT_WIDTH, coloured, one_line
from worker.report.text import TypedText

NOT_RECORDED = "not recorded"
NOTHING = "\N{EN DASH}"
VERDICTS = {TUMOR: "Tumor", NO_TUMOR: "No tumor"}
UNUSABLE = "Cannot be judged"
MAX_LINES = 8  # of one value: a block must fit on a page whatever was typed


def grid(
    rows: Sequence[Sequence[object]],
    shares: Sequence[float],
    *commands: tuple[object, ...],
    repeat_rows: int = 0,
) -> Table:
    """A table over the whole text width, its columns as shares of it, in our face even where it is empty."""
    widths = [TEXT_WIDTH * share for share in shares]
    style = TableStyle([("FONTNAME", (0, 0), (-1, -1), SANS), ("VALIGN", (0, 0), (-1, -1), "TOP"), *commands])
    return Table(rows, widths, repeatRows=repeat_rows, style=style)


def percent(share: float) -> str:
    """0..1 as per cent with one decimal; never "100.0%" or "0.0%" for what is only close to it."""
    if not math.isfinite(share):
        return "not available"
    if 0.9995 <= share < 1:
        return "> 99.9%"
    if 0 < share < 0.0005:
        return "< 0.1%"
    return f"{share:.1%}"


def review_label(review: str | None) -> str:
    """A review state as people read it."""
    return one_line(review).replace("_", " ").capitalize() if review else NOTHING


def labelled(label: str, value: Flowable) -> list[Flowable]:
    """A value below its small label."""
    return [Paragraph(label, LABEL), value]


def typed(value: str | None, *, bold: bool = False) -> TypedText:
    """A recorded value in any script, or "not recorded"."""
    return TypedText(value or NOT_RECORDED, BODY.fontSize, INK, bold=bold, max_lines=MAX_LINES)


def prediction(scan: ScanFacts) -> Paragraph:
    """The prediction in words, which the color only repeats."""
    return _coloured_word(scan.prediction, scan.prediction)


def verdict(reading: ReadingFacts) -> Paragraph:
    """The same of what a radiologist says."""
    return _coloured_word(reading.verdict, VERDICTS.get(reading.verdict, UNUSABLE))


def _coloured_word(meaning: str, words: str) -> Paragraph:
    colour = {TUMOR: RED, NO_TUMOR: GREEN}.get(meaning, AMBER)
    return Paragraph(escape(one_line(words)), coloured(STRONG, colour))
