"""Evidence map + picture -> heatmap and overlay, at the picture's own size. No torch.

The scale is absolute: the same colour means the same evidence in every picture, and a map without evidence
stays black. It is never stretched to its own maximum, which would paint something hot on every scan.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.png import encode_png
from worker.preprocessing import Crop

# Evidence 0..1 -> colour: black, purple, red, orange, light yellow. Brightness rises all the way, so that
# the order survives a grey print and colour-blind eyes.
_STOPS = (
    (0, (0, 0, 0)),
    (64, (74, 12, 107)),
    (128, (187, 34, 72)),
    (192, (245, 125, 21)),
    (255, (252, 246, 165)),
)
_FAINTEST = 26  # of 255: weaker evidence (0.1) leaves the picture as it is
_STRONGEST_TINT = 150  # of 255: the anatomy stays visible under the strongest evidence


@dataclass(frozen=True, slots=True)
class Drawing:
    """PNG files of the original's width and height; an overlay without any evidence is grey."""

    heatmap: bytes
    overlay: bytes


@dataclass(frozen=True, slots=True)
class _Heat:
    """A mode "L" picture, 255 = evidence 1, and where its upper left corner lies. All around it is none."""

    picture: Image.Image
    place: tuple[int, int]


def draw(picture: Image.Image, evidence: npt.NDArray[np.float32], crop: Crop) -> Drawing:
    """Lay an evidence map (h, w) in 0..1, which covers `crop`, over a mode "L" picture."""
    heat = _spread(evidence, crop, picture.size)
    heatmap = Image.new("P", picture.size)
    if heat is not None:
        heatmap.paste(_as_indices(heat.picture), heat.place)
    heatmap.putpalette(_PALETTE)
    overlay = picture if heat is None else _tint(picture, heat)
    return Drawing(heatmap=encode_png(heatmap), overlay=encode_png(overlay))


def _tint(picture: Image.Image, heat: _Heat) -> Image.Image:
    """The picture with the colours over it where there is evidence; grey as it was where there is none."""
    tints = heat.picture.point(_TINTS)
    box = tints.getbbox()
    if box is None:
        return picture
    colours = _as_indices(heat.picture.crop(box))
    colours.putpalette(_PALETTE)
    place = (heat.place[0] + box[0], heat.place[1] + box[1])
    overlay = Image.merge("RGB", (picture, picture, picture))
    overlay.paste(colours.convert("RGB"), place, tints.crop(box))
    return overlay


def _as_indices(heat: Image.Image) -> Image.Image:
    """The same numbers as those of colours in a palette."""
    return Image.frombytes("P", heat.size, heat.tobytes())


def _spread(evidence: npt.NDArray[np.float32], crop: Crop, size: tuple[int, int]) -> _Heat | None:
    """The map at the resolution of a picture of `size` where there is evidence; None if there is none."""
    grid = Image.fromarray(np.clip(np.nan_to_num(evidence) * 255.0, 0, 255).round().astype(np.uint8))
    cells = grid.getbbox()
    if cells is None:
        return None
    scale_x, scale_y = crop.side / grid.width, crop.side / grid.height
    left, right = _reached(cells[0], cells[2], scale_x, crop.left, crop.side, size[0])
    top, bottom = _reached(cells[1], cells[3], scale_y, crop.top, crop.side, size[1])
    if left >= right or top >= bottom:
        return None
    box = (left / scale_x, top / scale_y, right / scale_x, bottom / scale_y)
    patch = grid.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)
    return _Heat(patch, (crop.left + left, crop.top + top))


def _reached(first: int, end: int, scale: float, start: int, side: int, length: int) -> tuple[int, int]:
    """The pixels of a crop that cells from `first` up to before `end` have a part in, in one direction.

    The crop begins at `start` of `length` pixels of the picture. Bilinear: a cell reaches to the middle of
    the next one.
    """
    return (
        max(math.floor((first - 1) * scale), 0, -start),
        min(math.ceil((end + 1) * scale), side, length - start),
    )


def _colour_table() -> bytes:
    levels = [stop for stop, _ in _STOPS]
    channels = [np.interp(range(256), levels, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()


def _tint_table() -> list[int]:
    strengths = np.interp(range(256), (_FAINTEST, 128, 255), (0, 0.75 * _STRONGEST_TINT, _STRONGEST_TINT))
    return [int(strength) for strength in strengths]


_PALETTE = _colour_table()
_TINTS = _tint_table()
