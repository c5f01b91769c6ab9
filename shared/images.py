"""Bytes of a picture -> an upright 8-bit grey Pillow image, or a clear refusal.

The API's upload check, the workers, training and the offline commands all decode through `read_grey`, so
that a picture means the same pixels everywhere. Pillow and ISA-L only: the API imports this.

A file of at most 16 MiB within the default limits costs at most 10 s of CPU and 600 MB, whatever is in it.
The worst that we could make takes 2.5 to 5 s, by processor (40 megapixels of 16-bit RGBA, interlaced, under
the Paeth filter), and 480 MB (progressive JPEG of four channels). What is refused: at most 2 s and 60 MB.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops

from shared.bare_pictures import BarePicture, damaged
from shared.errors import FileTooLargeError
from shared.jpeg_segments import bare_jpeg
from shared.pixel_budget import PixelBudget
from shared.png_chunks import bare_png

FORMATS = ("JPEG", "PNG")
COLOUR_SHARE = "colour_share"  # in `Image.info` of what `read_grey` gives: share of strongly coloured pixels
_COLOUR_SIDE = 64  # px; colour is looked for in a picture reduced to about this size
_STRIP_PIXELS = 1_000_000  # about; converted at once
_DRAFT = 8  # the smallest fraction that JPEG's decoder makes
_COLOURFUL = 64  # of 255, saturation and brightness both: more than a scanner's tint
DAMAGED = (  # what Pillow's decoders report damaged input through
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    MemoryError,
    struct.error,
)
TURNS = {  # by EXIF orientation: what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = frozenset(TURNS[orientation] for orientation in (5, 6, 7, 8))


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest picture that is decoded; read from the header, before any pixel is."""

    max_pixels: int = 40_000_000
    max_side: int = 16_384


DEFAULT_LIMITS = ImageLimits()
_BUDGET = PixelBudget(DEFAULT_LIMITS.max_pixels)  # of the whole process: so is its memory


def read_grey(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a whole JPEG or PNG into an upright image of mode "L", width x height as displayed.

    The type is found from the content, never from a name. 16-bit pictures are scaled from their own
    darkest..brightest value to 0..255; colour becomes luma; transparent pixels become black; EXIF
    orientation is applied. `info[COLOUR_SHARE]` tells how much of it was in colour.

    Raises `UnreadableImageError` for anything that is no complete single-frame JPEG or PNG and
    `FileTooLargeError` for more pixels than `limits` allow.
    """
    bare = _bare(data)
    image = _open(bare.data, limits)
    with _BUDGET.spent(image.width * image.height):
        _load(image)
        return _upright(_to_grey(image), bare.orientation)


def check_picture(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Width and height as displayed, of a file that `read_grey` can read. Raises what that raises.

    Costs a third of it for slices as they come: of a PNG whose rows are all there none is decoded, of a
    JPEG all codes are read but an eighth of the pixels of each side is made.
    """
    bare = _bare(data)
    image = _open(bare.data, limits)
    width, height = image.size
    if not bare.is_whole:
        with _BUDGET.spent(width * height):
            if bare.has_drafts:
                image.draft(None, (max(1, width // _DRAFT), max(1, height // _DRAFT)))  # None: in its colours
            _load(image)
    turn = TURNS.get(bare.orientation)
    return (height, width) if turn in _ON_ITS_SIDE else (width, height)


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except DAMAGED as error:
        raise damaged() from error


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    """The picture, of which only the header is read yet."""
    try:
        with warnings.catch_warnings():
            # Our own limit, checked just below from the header, replaces Pillow's bomb warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise FileTooLargeError(_too_large(limits)) from error
    except DAMAGED as error:
        raise damaged() from error
    _check_size(image, limits)
    return image


def _bare(data: bytes) -> BarePicture:
    if data.startswith(b"\xff\xd8"):
        return bare_jpeg(data)
    if data.startswith(b"\x89P"):
        return bare_png(data)
    raise damaged()


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise FileTooLargeError(_too_large(limits))


def _too_large(limits: ImageLimits) -> str:
    return (
        f"The image has too many pixels. At most {limits.max_pixels:,} in all and "
        f"{limits.max_side:,} on a side are accepted."
    )


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _to_grey(image: Image.Image) -> Image.Image:
    """Any mode that JPEG and PNG decode to -> "L".

    Strip by strip: whole copies in four channels would take several times the picture's own memory.
    """
    if image.mode == "L" and "transparency" not in image.info:
        grey, share = image.copy(), 0.0
    else:
        convert = _deep_to_grey(image) if image.mode.startswith("I") else _shallow_to_grey
        grey = Image.new("L", image.size)
        colour = _ColourCount(image)
        for top, strip in _strips(image, colour.strip):
            grey.paste(convert(strip), (0, top))
            colour.add(strip)
        share = colour.share()
    grey.info = {COLOUR_SHARE: share}
    return grey


def _strips(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    """The image cut into pieces of so many rows, each with the row that it begins at."""
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _shallow_to_grey(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("L")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("L")


def _deep_to_grey(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """More than 8 bits per pixel -> 8, linear between the darkest and the brightest value of the image."""
    low, high = (int(value) for value in image.getextrema())  # type: ignore[arg-type]
    if high <= 255 and low >= 0:
        return lambda strip: strip.convert("I").convert("L")
    scale = 255 / max(high - low, 1)
    return lambda strip: strip.convert("I").point(lambda value: value * scale + (-low * scale)).convert("L")


class _ColourCount:
    """Counts strongly coloured pixels of a reduced picture, strip by strip."""

    def __init__(self, image: Image.Image) -> None:
        self._factor = max(1, max(image.size) // _COLOUR_SIDE)
        self._is_grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
        self._strong = 0
        self._all = 0
        rows = max(1, _STRIP_PIXELS // image.width)
        self.strip = max(1, rows // self._factor) * self._factor  # whole cells, so that strips change nothing

    def add(self, strip: Image.Image) -> None:
        if self._is_grey:
            return
        small = _to_rgb(strip).reduce(self._factor)
        _, saturation, value = small.convert("HSV").split()
        self._strong += sum(ImageChops.darker(saturation, value).histogram()[_COLOURFUL:])
        self._all += small.width * small.height

    def share(self) -> float:
        return self._strong / self._all if self._all else 0.0


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")  # Pillow warns of the direct way, which gives the same
    return image if image.mode == "RGB" else image.convert("RGB")
