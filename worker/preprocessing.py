"""A grey picture -> the model's input: find the head, cut a padded square, level the contrast.

Training, the workers and every offline command prepare pictures through `prepare`, so that a picture means
the same numbers everywhere. NumPy, SciPy and Pillow only: no torch.
"""

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

PREPROCESSING_VERSION = "head-crop-2"
"""Part of a model's manifest: change it whenever `prepare` gives other numbers for the same picture."""

PIXEL_MEAN = 0.35
PIXEL_STD = 0.25
"""Input = (levelled intensity in 0..1 - mean) / std: about zero mean and unit spread inside a head."""

_SEARCH_SIDE = 160  # px; the head is looked for in a picture reduced to about this size, for speed
_FOREGROUND = 0.10  # of the picture's contrast: darker than any tissue, brighter than scanner noise
_SMALLEST_HEAD = 0.04  # of the picture's area; less is a label or noise, so the whole picture is taken
_MARGIN = 0.04  # of the head's longer side, left around the head
_HEAD_MEDIAN = 0.4  # where the median of the head's intensities is put
_GAMMA_LIMITS = (0.5, 2.0)
_HEAD_CELLS = 32

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square in the original picture's pixels; it may stick out of the picture: outside is padding."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What the model sees of one picture: `pixels` (1, S, S) float32, normalised, and where they are from."""

    pixels: FloatArray
    crop: Crop
    head: ByteArray  # (32, 32) share of the crop's cells that is head, 0..255


def prepare(image: Image.Image, size: int) -> ModelInput:
    """Crop the head of a mode "L" picture to a square, resample it to `size` px and level its contrast.

    The aspect ratio is kept. Any picture gives finite numbers, blank ones included.
    """
    levelled, crop, head = _level(image, size)
    return ModelInput(normalise(levelled)[None], crop, _head_in_crop(head, crop, image.size))


def normalise(levelled: FloatArray) -> FloatArray:
    """Levelled intensities in 0..1 -> the model's input scale; any shape."""
    return ((levelled - PIXEL_MEAN) / PIXEL_STD).astype(np.float32)


def level(image: Image.Image, size: int) -> tuple[FloatArray, Crop]:
    """The head's square as (size, size) float32 in 0..1 and the crop it shows."""
    levelled, crop, _ = _level(image, size)
    return levelled, crop


def _level(image: Image.Image, size: int) -> tuple[FloatArray, Crop, BoolArray]:
    """As `level`, with the head's mask in the reduced picture.

    The window runs from the 1st to the 99.5th percentile of the head; a gamma then puts the head's
    median at a fixed value, so that exposure and windowing hardly matter.
    """
    small, head, background = find_head(image)
    crop = _crop_around(head, image.size)
    square = _cut_square(image, crop, size, background)
    low, median, high = _percentiles(small[head], (1.0, 50.0, 99.5))
    span = max(high - low, 1.0)  # a blank picture has no contrast to stretch
    middle = float(np.clip((median - low) / span, 0.02, 0.98))
    gamma = float(np.clip(np.log(_HEAD_MEDIAN) / np.log(middle), *_GAMMA_LIMITS))
    # Sixteen bits of grey would not help: the decoded pictures are 8-bit, so 256 levels are all there are.
    table = (
        np.clip((np.arange(256, dtype=np.float32) - np.float32(low)) / np.float32(span), 0.0, 1.0) ** gamma
    )
    return table.astype(np.float32)[square], crop, head


def find_head(image: Image.Image) -> tuple[ByteArray, BoolArray, int]:
    """A reduced picture, the head's mask in it (never empty) and the background's grey value 0..255.

    Foreground is what differs from the corners by a share of the picture's own contrast, opened against
    thin lines and letters; the largest components are the head. Without a credible one, all is head.
    """
    factor = max(1, round(max(image.size) / _SEARCH_SIDE))
    small = np.asarray(image.reduce(factor) if factor > 1 else image)
    background = _corner_value(small)
    difference = np.abs(small - np.float32(background))
    # Twice the difference is a whole number: the background can lie halfway between two greys.
    contrast = _percentiles((2 * difference).astype(np.uint16), (99.0,))[0] / 2
    smooth = ndimage.uniform_filter(difference, 3)
    labels, count = ndimage.label(_open(smooth > max(_FOREGROUND * contrast, 3.0)))
    head = np.ones(small.shape, bool)
    if count:
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        if areas.max() >= _SMALLEST_HEAD * small.size:
            # A dark skull can cut a head in pieces: every sizeable piece belongs to it.
            head = (areas >= 0.2 * areas.max())[labels]
    return small, head, int(background)


def _percentiles(
    values: npt.NDArray[np.unsignedinteger[Any]], wanted: tuple[float, ...]
) -> tuple[float, ...]:
    """As `np.percentile` with linear interpolation; from the histogram, in a tenth of the time."""
    reached = np.bincount(values.ravel()).cumsum()
    places = [share / 100 * (values.size - 1) for share in wanted]
    below = np.searchsorted(reached, np.floor(places), side="right")
    above = np.searchsorted(reached, np.ceil(places), side="right")
    return tuple(
        float(low + (high - low) * (place % 1)) for low, high, place in zip(below, above, places, strict=True)
    )


def _open(mask: BoolArray) -> BoolArray:
    """Erosion, then dilation, by 3 x 3 pixels; outside the picture is background."""
    padded = np.pad(mask, 2)
    rows = padded[:-2] & padded[1:-1] & padded[2:]
    eroded = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    rows = eroded[:-2] | eroded[1:-1] | eroded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


def _corner_value(small: ByteArray) -> float:
    """The median grey of the four corners: black in most pictures, white on printed pages."""
    height, width = small.shape
    rows, columns = max(1, height // 16), max(1, width // 16)
    corners = [  # NumPy's median takes five times as long for so few values
        statistics.median(small[vertical, horizontal].ravel().tolist())
        for vertical in (slice(rows), slice(-rows, None))
        for horizontal in (slice(columns), slice(-columns, None))
    ]
    return float(statistics.median(corners))


def _crop_around(head: BoolArray, picture: tuple[int, int]) -> Crop:
    width, height = picture
    rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    scale_y, scale_x = height / head.shape[0], width / head.shape[1]
    top, bottom = rows[0] * scale_y, (rows[-1] + 1) * scale_y
    left, right = columns[0] * scale_x, (columns[-1] + 1) * scale_x
    side = max(1, round(max(bottom - top, right - left) * (1 + 2 * _MARGIN)))
    return Crop(
        left=round((left + right - side) / 2),
        top=round((top + bottom - side) / 2),
        side=side,
    )


def _head_in_crop(head: BoolArray, crop: Crop, picture: tuple[int, int]) -> ByteArray:
    scale = head.shape[1] / picture[0]
    left, top, side = round(crop.left * scale), round(crop.top * scale), max(1, round(crop.side * scale))
    canvas = Image.new("L", (side, side))
    canvas.paste(Image.fromarray(head.astype(np.uint8) * 255), (-left, -top))
    return np.asarray(canvas.resize((_HEAD_CELLS, _HEAD_CELLS), Image.Resampling.BOX))


def _cut_square(image: Image.Image, crop: Crop, size: int, background: int) -> ByteArray:
    canvas = Image.new("L", (crop.side, crop.side), background)
    canvas.paste(image, (-crop.left, -crop.top))
    # Bilinear in Pillow widens its kernel when it shrinks, so fine texture does not alias.
    return np.asarray(canvas.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


def crop_mask(mask: Image.Image, crop: Crop, size: int) -> FloatArray:
    """A mask in the picture's geometry (mode "L", 0 or 255) -> its share per pixel of the crop, 0..1."""
    return _cut_square(mask, crop, size, 0).astype(np.float32) / 255.0
