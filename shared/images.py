"""Bytes of a picture -> an upright 8-bit grey Pillow image, or a clear refusal.

The API's upload check, the workers, training and the offline commands all decode through `read_grey`, so
that a picture means the same pixels everywhere. Pillow only: the API imports this.
"""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageOps

from shared.errors import FileTooLargeError, UnreadableImageError

FORMATS = ("JPEG", "PNG")
COLOUR_SHARE = "colour_share"  # in `Image.info` of what `read_grey` gives: share of strongly coloured pixels
_COLOUR_SIDE = 64  # px; colour is looked for in a picture reduced to about this size
_COLOURFUL = 64  # of 255, saturation and brightness both: more than a scanner's tint


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest picture that is decoded; read from the header, before any pixel is."""

    max_pixels: int = 40_000_000
    max_side: int = 16_384


DEFAULT_LIMITS = ImageLimits()


def read_grey(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a whole JPEG or PNG into an upright image of mode "L", width x height as displayed.

    The type is found from the content, never from a name. 16-bit pictures are scaled from their own
    darkest..brightest value to 0..255; colour becomes luma; transparent pixels become black; EXIF
    orientation is applied. `info[COLOUR_SHARE]` tells how much of it was in colour.

    Raises `UnreadableImageError` for anything that is no complete single-frame JPEG or PNG and
    `FileTooLargeError` for more pixels than `limits` allow.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit, checked just below from the header, replaces Pillow's bomb warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(image, limits)
        if getattr(image, "n_frames", 1) > 1:
            raise UnreadableImageError("The file holds several frames. Send one slice per file.")
        image.load()
        return ImageOps.exif_transpose(_to_grey(image))
    except Image.DecompressionBombError as error:
        raise FileTooLargeError(_too_large(limits)) from error
    except (OSError, SyntaxError, ValueError, MemoryError, OverflowError, EOFError) as error:
        # Pillow's decoders report damaged input through all of these.
        raise UnreadableImageError(
            "The file is not a complete JPEG or PNG image. Export the slice again and re-send it."
        ) from error


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise FileTooLargeError(_too_large(limits))


def _too_large(limits: ImageLimits) -> str:
    return (
        f"The image has too many pixels. At most {limits.max_pixels:,} in all and "
        f"{limits.max_side:,} on a side are accepted."
    )


def _to_grey(image: Image.Image) -> Image.Image:
    """Any mode that JPEG and PNG decode to -> "L", keeping the EXIF data that says which way is up."""
    exif = image.getexif()
    if image.mode.startswith("I") or image.mode == "F":
        grey = _scale_deep(image)
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        grey = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("L")
    else:
        grey = image.convert("L")
    grey.info = {"exif": exif.tobytes()} if exif else {}
    grey.info[COLOUR_SHARE] = _colour_share(image)
    return grey


def _colour_share(image: Image.Image) -> float:
    if image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I"):
        return 0.0
    factor = max(1, max(image.size) // _COLOUR_SIDE)
    small = image.convert("RGB").reduce(factor) if image.mode != "RGB" else image.reduce(factor)
    _, saturation, value = small.convert("HSV").split()
    strong = ImageChops.darker(saturation, value).histogram()[_COLOURFUL:]
    return sum(strong) / (small.width * small.height)


def _scale_deep(image: Image.Image) -> Image.Image:
    """More than 8 bits per pixel -> 8, linear between the darkest and the brightest value present."""
    deep = image.convert("I")
    low, high = (int(value) for value in deep.getextrema())  # type: ignore[arg-type]
    if high <= 255 and low >= 0:
        return deep.convert("L")
    span = max(high - low, 1)
    return deep.point(lambda value: value * (255 / span) + (-low * 255 / span)).convert("L")
