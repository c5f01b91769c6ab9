"""A scan's pictures side by side: decoded, reduced and painted one scan at a time."""

import io
import warnings
from collections.abc import Sequence

from PIL import Image, ImageOps
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from shared.errors import FileUploadError
from shared.images import DEFAULT_LIMITS, FORMATS, read_grey
from worker.report.facts import Picture
from worker.report.fonts import SANS, SANS_BOLD
from worker.report.layout import GREY, INK, LINE, PALE

JPEG_QUALITY = 85
MAX_SIDE = 800  # pixels: 363 dpi at the printed width
MAX_SIDE_MANY = 480  # 218 dpi: keeps a report of 200 scans below 25 MB
MANY_SCANS = 40
PICTURE_HEIGHT = 56 * mm  # a third of the text width, less the gaps: square slices fill their column
TITLE_HEIGHT = 5 * mm
GAP = 4 * mm


def max_side_for(scan_count: int) -> int:
    """Longest side in pixels of a picture in a report of so many scans."""
    return MAX_SIDE if scan_count <= MANY_SCANS else MAX_SIDE_MANY


def read_colour(data: bytes) -> Image.Image | None:
    """Decode one of our own pictures to RGB, what is transparent becoming black; None if it is damaged."""
    try:
        with warnings.catch_warnings():
            # Our own limit, checked just below from the header, replaces Pillow's bomb warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > DEFAULT_LIMITS.max_pixels:
            return None
        if image.mode.startswith("I") or image.mode == "F":
            return read_grey(data).convert("RGB")
        rgba = ImageOps.exif_transpose(image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")
    except (FileUploadError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, MemoryError):
        return None  # Pillow's decoders report damaged input through all of these


def read_original(data: bytes) -> Image.Image | None:
    """Decode an uploaded scan as the model saw it, in grey; None if it is damaged."""
    try:
        return read_grey(data)
    except FileUploadError:
        return None


class EmbeddedJpeg(ImageReader):  # type: ignore[misc]  # ReportLab ships no types
    """JPEG bytes that go into the PDF as they are.

    ReportLab's own reader decodes them once more for a name and keeps the pixels until the collector finds
    its reference cycle: 800 MB for 200 scans.
    """

    _dataA = None  # noqa: N815 - ReportLab's name for a transparency mask

    def __init__(self, data: bytes) -> None:
        self._jpeg = data

    def getRGBData(self) -> bytes:  # noqa: N802 - ReportLab's name; it only hashes the answer
        """What makes this picture this one."""
        return self._jpeg

    def jpeg_fh(self) -> io.BytesIO:
        """The file to embed."""
        return io.BytesIO(self._jpeg)


def as_jpeg(image: Image.Image, max_side: int) -> EmbeddedJpeg:
    """Reduce to `max_side` pixels, never enlarge, and encode."""
    reduced = image.copy()
    reduced.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    reduced.save(out, "JPEG", quality=JPEG_QUALITY)
    return EmbeddedJpeg(out.getvalue())


class PictureRow(Flowable):  # type: ignore[misc]  # ReportLab ships no types
    """Original, heatmap and overlay in three columns of one height.

    Its own height is fixed, so that laying out a report needs no picture; they are loaded in `draw`.
    """

    def __init__(self, original: Picture, heatmap: Picture, overlay: Picture, max_side: int) -> None:
        super().__init__()
        self._sources = (("Original", original), ("Heatmap", heatmap), ("Overlay", overlay))
        self._max_side = max_side

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:  # noqa: ARG002
        """Take the whole width."""
        self.width, self.height = available_width, PICTURE_HEIGHT + TITLE_HEIGHT
        return self.width, self.height

    def draw(self) -> None:
        """Load, reduce and paint the three pictures."""
        images = [self._load(title, source) for title, source in self._sources]
        column = (self.width - GAP * (len(images) - 1)) / len(images)
        height = common_height(images, column)
        for number, ((title, _), image) in enumerate(zip(self._sources, images, strict=True)):
            x = number * (column + GAP)
            self.canv.setFillColor(INK)
            self.canv.setFont(SANS_BOLD, 8)
            self.canv.drawCentredString(x + column / 2, PICTURE_HEIGHT + 1.6 * mm, title)
            if image is None:
                self._placeholder(x, column)
            else:
                self._picture(image, x + column / 2, height)

    def _load(self, title: str, source: Picture) -> Image.Image | None:
        data = source if isinstance(source, bytes) else source()
        return read_original(data) if title == "Original" else read_colour(data)

    def _picture(self, image: Image.Image, centre: float, height: float) -> None:
        width = height * image.width / image.height
        x, y = centre - width / 2, (PICTURE_HEIGHT - height) / 2
        self.canv.drawImage(as_jpeg(image, self._max_side), x, y, width, height)
        self.canv.setStrokeColor(LINE)
        self.canv.setLineWidth(0.5)
        self.canv.rect(x, y, width, height)

    def _placeholder(self, x: float, column: float) -> None:
        self.canv.saveState()
        self.canv.setFillColor(PALE)
        self.canv.setStrokeColor(GREY)
        self.canv.setLineWidth(0.5)
        self.canv.setDash(2, 2)
        self.canv.rect(x, 0, column, PICTURE_HEIGHT, fill=1)
        self.canv.setFillColor(GREY)
        self.canv.setFont(SANS, 8)
        self.canv.drawCentredString(x + column / 2, PICTURE_HEIGHT / 2, "Picture not available")
        self.canv.restoreState()


def common_height(images: Sequence[Image.Image | None], column: float) -> float:
    """The greatest height in points at which every picture fits its column with its own aspect ratio."""
    height: float = PICTURE_HEIGHT
    return min([height, *(column * image.height / image.width for image in images if image is not None)])
