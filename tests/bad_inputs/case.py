"""One bad input, or a strange good one: its bytes, its name, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.errors import FileTooLargeError, FileUploadError, UnreadableImageError
from tests.bad_inputs.making import Grey

EMPTY = "The file is empty."
NEITHER = "The file is neither a JPEG nor a PNG image, whatever its name says."
DAMAGED = "The file is not a complete JPEG or PNG image. Export the slice again and re-send it."
FRAMES = "The file holds several frames. Send one slice per file."
PARTS = "The file is cut into too many parts. Export the slice again and re-send it."
PASSES = "The JPEG is coded in more passes than its size allows. Save it as a baseline JPEG or as a PNG."
RARE = "The JPEG is coded in a way that few programs read. Save it as a baseline JPEG or as a PNG."
LARGE = "The image has too many pixels. At most 40,000,000 in all and 16,384 on a side are accepted."

CLOSE = 2  # a grey slice at JPEG quality 95, whose finest steps are 2 wide: rounded there and back


@dataclass(frozen=True, slots=True)
class Accepted:
    """Width and height as displayed, and the grey pixels that must come out, if they are known."""

    size: tuple[int, int]
    pixels: Grey | None = None
    tolerance: int = 0  # how far any one pixel may be off


@dataclass(frozen=True, slots=True)
class Case:
    """`data` makes the file's bytes."""

    name: str
    data: Callable[[], bytes]
    expected: Accepted | str  # the sentence of the refusal
    filename: str = "slice.png"


def error_of(sentence: str) -> type[FileUploadError]:
    return FileTooLargeError if sentence == LARGE else UnreadableImageError


def like(pixels: Grey, tolerance: int = 0) -> Accepted:
    """Accepted, and these are the pixels."""
    height, width = pixels.shape
    return Accepted((width, height), np.asarray(pixels), tolerance)
