"""Text that people typed, in any script, as a Platypus flowable: wrapped, shaped, right order on the line.

Nothing is parsed as markup.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from worker.report.bidi import embedding_levels
from worker.report.fonts import SANS, SANS_BOLD, Run, drawable, printable, script_of, shape

_BREAK_BEFORE_OR_AFTER = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")
MAX_LETTERS = 2000  # more is no name
_BREAK_AFTER = "-_./@"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its runs from left to right, its letters in reading order, its width in points at size 1."""

    runs: tuple[Run, ...]
    text: str
    width: float
    rtl: bool  # the paragraph reads from right to left


def in_visual_order(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Runs in reading order -> from left to right (UAX #9, rule L2)."""
    order = list(runs)
    for level in range(max((run.level for run in order), default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and order[end].level >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = end + 1
    return tuple(order)


def split_runs(text: str, fonts: Sequence[str], levels: Sequence[int]) -> list[Run]:
    """Shape maximal stretches of one font, one level and one script, in reading order."""
    scripts: list[str | None] = []
    for char in text:
        scripts.append(script_of(char) or (scripts[-1] if scripts else None))
    keys = list(zip(fonts, levels, scripts, strict=True))
    cuts = [0, *(i for i in range(1, len(text)) if keys[i] != keys[i - 1]), len(text)]
    return [
        shape(text[start:end], fonts[start], levels[start]) for start, end in pairwise(cuts) if end > start
    ]


def _clusters(text: str) -> list[tuple[int, int]]:
    """Stretches that must not be torn apart: a letter with its marks and joiners."""
    starts = [
        index
        for index, char in enumerate(text)
        if index == 0
        or not (
            unicodedata.category(char)[0] == "M"
            or char in "\u200c\u200d"
            or text[index - 1] == "\u200d"
            or unicodedata.combining(text[index - 1]) == 9  # virama: joins the next consonant
        )
    ]
    return list(pairwise([*starts, len(text)]))


def _may_break_after(text: str, end: int) -> bool:
    if end >= len(text) or text[end - 1] == " " or text[end - 1] in _BREAK_AFTER:
        return True
    return any(script_of(char) in _BREAK_BEFORE_OR_AFTER for char in text[end - 1 : end + 1])


def _break_lines(text: str, width_of: Callable[[int, int], float], width: float) -> list[tuple[int, int]]:
    """Greedy line breaks: at spaces and signs, between ideographs, and inside a word only if it must be."""
    lines: list[tuple[int, int]] = []
    start, allowed, used, since = 0, 0, 0.0, 0.0
    for first, last in _clusters(text):
        cluster = width_of(first, last)
        if used + cluster > width and first > start and text[first] != " ":
            cut, carried = (allowed, since) if allowed > start else (first, 0.0)
            lines.append((start, cut))
            start, used, since = cut, carried, carried
        used += cluster
        since += cluster
        if _may_break_after(text, last):
            allowed, since = last, 0.0
    return [*lines, (start, len(text))] if text else []


def lay_out(text: str, font: str, width: float) -> tuple[Line, ...]:
    """Wrap text to a width in units of the font size; `text` is what `printable` returned."""
    text, fonts = drawable(text, font)
    base, *levels = embedding_levels(text)

    def width_of(first: int, last: int) -> float:
        return shape(text[first:last], fonts[first], levels[first]).width / 1000

    lines = []
    for start, end in _break_lines(text, width_of, width):
        stop = start + len(text[start:end].rstrip())
        if text[start:stop]:
            runs = split_runs(text[start:stop], fonts[start:stop], levels[start:stop])
            total = sum(run.width for run in runs) / 1000
            lines.append(Line(in_visual_order(runs), text[start:stop], total, base == 1))
    return tuple(lines)


class TypedText(Flowable):  # type: ignore[misc]  # ReportLab ships no types
    """A paragraph of text that somebody typed. `max_lines` cuts it with an ellipsis."""

    def __init__(
        self, text: str, size: float, color: Color, *, bold: bool = False, max_lines: int | None = None
    ) -> None:
        super().__init__()
        self._text = printable(text[:MAX_LETTERS])
        self._size = size
        self._leading = size * 1.32
        self._color = color
        self._font = SANS_BOLD if bold else SANS
        self._max_lines = max_lines
        self._lines: tuple[Line, ...] = ()

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:  # noqa: ARG002
        """Break into lines for this width; returns the size in points."""
        limit = available_width / self._size
        self._lines = lay_out(self._text, self._font, limit)
        if self._max_lines and len(self._lines) > self._max_lines:
            self._lines = self._shortened(limit)
        self.width, self.height = available_width, self._leading * max(len(self._lines), 1)
        return self.width, self.height

    def _shortened(self, limit: float) -> tuple[Line, ...]:
        text = " ".join(line.text for line in self._lines[: self._max_lines])
        lines = self._lines
        while len(lines) > (self._max_lines or 1):
            text = text[:-2]
            lines = lay_out(text.rstrip() + "…", self._font, limit)
        return lines

    def draw(self) -> None:
        """Paint the lines; ReportLab has moved the origin to the lower left corner."""
        self.canv.setFillColor(self._color)
        widest = max((line.width for line in self._lines), default=0.0)
        for number, line in enumerate(self._lines):
            y = self.height - self._leading * number - self._size
            indent = widest - line.width if line.rtl else 0.0
            # Only strayed marks make a line wider than planned; it is set smaller rather than cut off.
            size = min(self._size, self.width / line.width)
            draw_line(self.canv, line, indent * size, y, size)


def draw_line(canvas: Canvas, line: Line, x: float, y: float, size: float) -> None:
    """Paint one line.

    Shaped runs carry their letters as ActualText, so that copying gives words. Right-to-left runs do not:
    readers reverse what they find there, and Arabic and Hebrew glyphs have characters of their own.
    """
    for run in line.runs:
        named = run.glyphs is not None and run.level % 2 == 0
        if named:
            letters = ("\ufeff" + run.text).encode("utf-16-be").hex().upper()
            canvas.addLiteral(f"/Span <</ActualText <{letters}>>> BDC")
        text = canvas.beginText(x, y)
        text.setFont(run.font, size)
        if run.glyphs is None:
            text.textOut(run.text)
        at = x
        for glyph in run.glyphs or ():
            text.setTextOrigin(at + glyph.x_offset * size / 1000, y + glyph.y_offset * size / 1000)
            text.textOut(glyph.code)
            at += glyph.advance * size / 1000
        canvas.drawText(text)
        x += run.width * size / 1000
        if named:
            canvas.addLiteral("EMC")
