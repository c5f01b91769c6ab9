"""How a report's pages look: colours, paragraph styles, logo, header, footer and page numbers."""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from worker.report.fonts import MONO, SANS, SANS_BOLD, drawable, printable

PRODUCT = "Brain Tumor Detection System"
KIND = "MRI analysis report"
DISCLAIMER = (
    "Research software, not a medical device. Not for diagnosis. "
    "Findings must be confirmed by a qualified radiologist."
)

# On white every text colour has a contrast of 5.5 or more (WCAG AA asks for 4.5), on PALE and AMBER_PALE too.
INK = HexColor(0x1D2730)
NAVY = HexColor(0x17365D)
TEAL = HexColor(0x1F6F78)
GREY = HexColor(0x55606B)
LINE = HexColor(0xC9D1D8)
PALE = HexColor(0xF3F6F8)
RED = HexColor(0x8E1B1B)
GREEN = HexColor(0x1E5B3A)
AMBER = HexColor(0x7A4B00)
AMBER_PALE = HexColor(0xFFF6E0)

PAGE_WIDTH, PAGE_HEIGHT = A4
SIDE = 17 * mm
TEXT_WIDTH = PAGE_WIDTH - 2 * SIDE
FIRST_TOP = 39 * mm
TOP = 22 * mm
BOTTOM = 23 * mm

BODY = ParagraphStyle("body", fontName=SANS, fontSize=8.6, leading=11.6, textColor=INK)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=7.6, leading=10.2, textColor=GREY)
LABEL = ParagraphStyle("label", parent=SMALL, fontSize=7, leading=9.4)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=SANS_BOLD)
HEADING = ParagraphStyle(
    "heading", parent=STRONG, fontSize=11.5, leading=15, textColor=NAVY, spaceBefore=10, spaceAfter=4
)
FIGURE = ParagraphStyle("figure", parent=STRONG, fontSize=16, leading=19, textColor=NAVY)
RIGHT = ParagraphStyle("right", parent=BODY, alignment=TA_RIGHT)
HEAD_CELL = ParagraphStyle("head-cell", parent=STRONG, fontSize=7.8, leading=10, textColor=white)
HEAD_CELL_RIGHT = ParagraphStyle("head-cell-right", parent=HEAD_CELL, alignment=TA_RIGHT)
MONO_SMALL = ParagraphStyle("mono", parent=BODY, fontName=MONO, fontSize=6.6, leading=9, splitLongWords=1)


def utc(moment: datetime) -> str:
    """An aware moment as people read it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def one_line(text: str) -> str:
    """Text for places that take no shaping (footer, identifiers): what the main face lacks is replaced."""
    letters, fonts = drawable(printable(text), SANS)
    return "".join(c if font == SANS else "\ufffd" for c, font in zip(letters, fonts, strict=True))


def mono(text: str) -> Paragraph:
    """An identifier or a hash, escaped, breaking anywhere."""
    return Paragraph(escape(one_line(text)[:200]), MONO_SMALL)


def coloured(style: ParagraphStyle, colour: Color) -> ParagraphStyle:
    """The same style in another colour."""
    return ParagraphStyle(f"{style.name}-{colour.hexval()}", parent=style, textColor=colour)


class OutlineEntry(Flowable):  # type: ignore[misc]  # ReportLab ships no types
    """Nothing to see: a place that the PDF outline and links lead to."""

    def __init__(self, key: str, title: str, level: int) -> None:
        super().__init__()
        self._key, self._title, self._level = key, title, level

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:  # noqa: ARG002
        """Take no room."""
        return 0, 0

    def draw(self) -> None:
        """Register this place."""
        self.canv.bookmarkHorizontal(self._key, 0, 4 * mm)
        self.canv.addOutlineEntry(self._title, self._key, self._level)


class PageCanvas(Canvas):  # type: ignore[misc]  # ReportLab ships no types
    """Knows the number of pages only at the end, and then fills in each page's "Page x of y"."""

    def reserve_page_number(self) -> None:
        """Refer to this page's number, which `save` will paint."""
        self.doForm(f"page-{self.getPageNumber()}")

    def save(self) -> None:
        """Paint the page numbers and write the file."""
        total = self.getPageNumber() - 1
        for number in range(1, total + 1):
            self.beginForm(f"page-{number}")
            self.setFillColor(GREY)
            self.setFont(SANS, 7)
            self.drawRightString(PAGE_WIDTH - SIDE, 9.5 * mm, f"Page {number} of {total}")
            self.endForm()
        super().save()


class ReportTemplate(BaseDocTemplate):  # type: ignore[misc]  # ReportLab ships no types
    """A first page with the branding and later pages with a running header."""

    def __init__(self, target: object, report_id: str, generated_at: datetime) -> None:
        self._shown_id = one_line(report_id)[:64]
        self._generated_at = generated_at
        super().__init__(
            target,
            pagesize=A4,
            title=f"{KIND} {self._shown_id}",
            author=PRODUCT,
            subject="Brain tumor detection on MRI slices",
            creator=PRODUCT,
            lang="en-US",
            initialFontName=SANS,
            displayDocTitle=True,
            invariant=1,
            pageCompression=1,
        )
        self.addPageTemplates(
            [
                PageTemplate("first", [_frame(FIRST_TOP)], onPage=self._first, autoNextPageTemplate="later"),
                PageTemplate("later", [_frame(TOP)], onPage=self._later),
            ]
        )

    def _first(self, canvas: PageCanvas, _: object) -> None:
        created = self._generated_at.astimezone(UTC)
        canvas.setDateFormatter(lambda *_: f"D:{created:%Y%m%d%H%M%S}+00'00'")
        canvas.saveState()
        draw_logo(canvas, SIDE, PAGE_HEIGHT - 31 * mm, 16 * mm)
        canvas.setFillColor(NAVY)
        canvas.setFont(SANS_BOLD, 16)
        canvas.drawString(SIDE + 21 * mm, PAGE_HEIGHT - 21.5 * mm, PRODUCT)
        canvas.setFillColor(GREY)
        canvas.setFont(SANS, 10)
        canvas.drawString(SIDE + 21 * mm, PAGE_HEIGHT - 27.5 * mm, KIND)
        canvas.setFont(SANS, 8)
        right = PAGE_WIDTH - SIDE
        canvas.drawRightString(right, PAGE_HEIGHT - 21.5 * mm, f"Report {self._shown_id}")
        canvas.drawRightString(right, PAGE_HEIGHT - 27.5 * mm, utc(self._generated_at))
        _rule(canvas, PAGE_HEIGHT - 35 * mm, TEAL, 1.2)
        canvas.restoreState()
        self._footer(canvas)

    def _later(self, canvas: PageCanvas, _: object) -> None:
        canvas.saveState()
        draw_logo(canvas, SIDE, PAGE_HEIGHT - 16 * mm, 6 * mm)
        canvas.setFillColor(NAVY)
        canvas.setFont(SANS_BOLD, 8)
        canvas.drawString(SIDE + 8.5 * mm, PAGE_HEIGHT - 14 * mm, PRODUCT)
        canvas.setFillColor(GREY)
        canvas.setFont(SANS, 8)
        canvas.drawRightString(PAGE_WIDTH - SIDE, PAGE_HEIGHT - 14 * mm, KIND)
        _rule(canvas, PAGE_HEIGHT - 18 * mm, TEAL, 0.8)
        canvas.restoreState()
        self._footer(canvas)

    def _footer(self, canvas: PageCanvas) -> None:
        canvas.saveState()
        _rule(canvas, 18 * mm, LINE, 0.5)
        canvas.setFillColor(INK)
        canvas.setFont(SANS_BOLD, 7)
        canvas.drawString(SIDE, 14 * mm, DISCLAIMER)
        canvas.setFillColor(GREY)
        canvas.setFont(SANS, 7)
        canvas.drawString(SIDE, 9.5 * mm, f"Report {self._shown_id}  ·  {utc(self._generated_at)}")
        canvas.reserve_page_number()
        canvas.restoreState()


def _frame(top: float) -> Frame:
    height = PAGE_HEIGHT - top - BOTTOM
    return Frame(
        SIDE, BOTTOM, TEXT_WIDTH, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0
    )


def _rule(canvas: Canvas, y: float, colour: Color, thickness: float) -> None:
    canvas.setStrokeColor(colour)
    canvas.setLineWidth(thickness)
    canvas.line(SIDE, y, PAGE_WIDTH - SIDE, y)


def draw_logo(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A brain slice seen from above, in a rounded square: midline, ventricles and a located point."""
    canvas.saveState()
    canvas.translate(x, y)
    canvas.scale(size / 100, size / 100)
    canvas.setFillColor(NAVY)
    canvas.roundRect(0, 0, 100, 100, 20, stroke=0, fill=1)
    canvas.setStrokeColor(white)
    canvas.setLineWidth(5)
    canvas.ellipse(20, 12, 80, 88)
    canvas.setLineWidth(3)
    canvas.setLineCap(1)
    canvas.line(50, 17, 50, 34)
    canvas.line(50, 66, 50, 83)
    for side in (-1, 1):
        canvas.bezier(50 + side * 5, 62, 50 + side * 12, 55, 50 + side * 6, 47, 50 + side * 13, 38)
    canvas.setFillColor(HexColor(0x7FD1D8))
    canvas.circle(66, 63, 6.5, stroke=0, fill=1)
    canvas.restoreState()
