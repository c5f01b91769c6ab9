"""The fonts of the report: which face draws which letter, and letters -> glyphs (HarfBuzz).

ReportLab's own shaping takes a whole word's glyphs from one font and needs `rlbidi` for right-to-left
text; names mix scripts, so runs are shaped here, one font, script and direction at a time.
"""

import functools
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import uharfbuzz as harfbuzz
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

FONT_FOLDER = Path(__file__).parent / "fonts"
SANS = "ReportSans"
SANS_BOLD = "ReportSansBold"
MONO = "ReportMono"
FACES = {
    SANS: "DejaVuSansCondensed.ttf",
    SANS_BOLD: "DejaVuSansCondensed-Bold.ttf",
    MONO: "DejaVuSansMono.ttf",
    "ReportDevanagari": "NotoSansDevanagariUI-Regular.ttf",
    "ReportThai": "NotoSansThaiUI-Regular.ttf",
    "ReportHan": "DroidSansFallbackFull.ttf",
    "ReportHangul": "NanumSquareR.ttf",
}
FALLBACKS = (SANS, "ReportDevanagari", "ReportThai", "ReportHan", "ReportHangul")
# Han, kana and precomposed Hangul are one glyph per letter: their big fonts need no shaping.
UNSHAPED = frozenset({"ReportHan", "ReportHangul"})
REPLACEMENT = "\ufffd"
MAX_MARKS = 4  # per letter; more is a prank that would paint over the page
_JOINERS = "\u200c\u200d"
_PRIVATE_USE = 0xE000
_NO_LIGATURES = {"kern": False, "liga": False, "clig": False}


@dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph: the character code that ReportLab draws it by; positions in thousandths of the size."""

    code: str
    advance: float
    x_offset: float
    y_offset: float


@dataclass(frozen=True, slots=True)
class Run:
    """Letters of one font and direction. `glyphs` is None where plain drawing gives the same picture."""

    font: str
    text: str
    level: int  # of the bidirectional algorithm: odd is right to left
    width: float  # in thousandths of the font size
    glyphs: tuple[Glyph, ...] | None


@functools.cache
def register_fonts() -> None:
    """Make the faces known to ReportLab, once per process. The registry itself is global in ReportLab."""
    for name, filename in FACES.items():
        font = TTFont(name, str(FONT_FOLDER / filename))
        if name not in UNSHAPED:
            _give_every_glyph_a_code(font)
        pdfmetrics.registerFont(font)
    pdfmetrics.registerFontFamily(SANS, normal=SANS, bold=SANS_BOLD, italic=SANS, boldItalic=SANS_BOLD)


def _give_every_glyph_a_code(font: TTFont) -> None:
    """Joined forms have no character of their own: give them private-use codes, the same in each process."""
    face = font.face
    code = _PRIVATE_USE
    for glyph in range(face.numGlyphs):
        if glyph in face.glyphToChar:
            continue
        while code in face.charToGlyph:
            code += 1
        face.charToGlyph[code] = glyph
        face.glyphToChar[glyph] = [code]
        face.charWidths[code] = face.hmetrics[glyph][0]


@functools.cache
def _harfbuzz_font(name: str) -> harfbuzz.Font:
    """HarfBuzz's view of a face, scaled to thousandths of the font size."""
    face = harfbuzz.Face((FONT_FOLDER / FACES[name]).read_bytes())
    font = harfbuzz.Font(face)
    font.scale = (1000, 1000)
    return font


@functools.cache
def _characters(name: str) -> frozenset[int]:
    """What a face can draw by itself.

    Not the private-use codes of its joined forms, and nothing beyond the basic plane: ReportLab writes
    those into the table that text is copied by in a form that readers refuse.
    """
    register_fonts()
    codes = pdfmetrics.getFont(name).face.charToGlyph
    return frozenset(code for code in codes if code <= 0xFFFF and unicodedata.category(chr(code)) != "Co")


def printable(text: str) -> str:
    """Composed text on one line: no control, formatting or direction-changing characters, few marks."""
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if char.isspace():
            kept.append(" ")
        elif category in ("Cs", "Co", "Cn"):
            kept.append(REPLACEMENT)
        elif (category not in ("Cc", "Cf") or char in _JOINERS) and marks <= MAX_MARKS:
            kept.append(char)
    return " ".join("".join(kept).split())


def font_of(char: str, first: str, previous: str | None) -> str | None:
    """The face for one character, None if none has it; marks and joiners stay with their letter."""
    chain: tuple[str, ...] = (first, *FALLBACKS)
    if previous is not None and (unicodedata.combining(char) or char in _JOINERS or char == " "):
        chain = (previous, *chain)
    return next((name for name in chain if ord(char) in _characters(name)), None)


def drawable(text: str, first: str) -> tuple[str, list[str]]:
    """The text with U+FFFD for what no face has, and for each character the face that draws it."""
    fonts: list[str] = []
    chars: list[str] = []
    for char in text:
        font = font_of(char, first, fonts[-1] if fonts else None)
        if font is None and char in _JOINERS:
            continue
        chars.append(char if font else REPLACEMENT)
        fonts.append(font or SANS)
    return "".join(chars), fonts


def shape(text: str, font: str, level: int) -> Run:
    """Choose and place the glyphs of one run (a single font, script and direction)."""
    register_fonts()
    plain_width = pdfmetrics.stringWidth(text, font, 1000)
    if font in UNSHAPED or (level % 2 == 0 and text.isascii()):
        return Run(font, text, level, plain_width, None)
    buffer = harfbuzz.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if level % 2 else "ltr"
    harfbuzz.shape(_harfbuzz_font(font), buffer, {} if level % 2 else _NO_LIGATURES)
    names = pdfmetrics.getFont(font).face.glyphToChar
    glyphs = tuple(
        Glyph(chr(names[info.codepoint][0]), place.x_advance, place.x_offset, place.y_offset)
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
    )
    width = sum(glyph.advance for glyph in glyphs)
    plain = level % 2 == 0 and _is_plain(text, font, glyphs)
    return Run(font, text, level, plain_width if plain else width, None if plain else glyphs)


def _is_plain(text: str, font: str, glyphs: tuple[Glyph, ...]) -> bool:
    """Whether HarfBuzz did no more than ReportLab does by itself: one unmoved glyph per character."""
    index = pdfmetrics.getFont(font).face.charToGlyph
    return len(text) == len(glyphs) and all(
        index.get(ord(char)) == index[ord(glyph.code)] and not glyph.x_offset and not glyph.y_offset
        for char, glyph in zip(text, glyphs, strict=True)
    )


def script_of(char: str) -> str | None:
    """A letter's script by the first word of its Unicode name ("LATIN", "ARABIC"); None for the rest."""
    return unicodedata.name(char, "").partition(" ")[0] if unicodedata.category(char)[0] == "L" else None
