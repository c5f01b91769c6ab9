"""Evidence map + picture -> heatmap and overlay, at the picture's own size. No torch.

The scale is absolute: the same colour means the same evidence in every picture, and a map without evidence
stays black. It is never stretched to its own maximum, which would paint something hot on every scan.
"""

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


def draw(picture: Image.Image, evidence: npt.NDArray[np.float32], crop: Crop) -> Drawing:
    """Lay an evidence map (h, w) in 0..1, which covers `crop`, over a mode "L" picture."""
    heat = _spread(evidence, crop, picture.size)
    colours = Image.frombytes("P", picture.size, heat.tobytes())
    colours.putpalette(_PALETTE)
    return Drawing(heatmap=encode_png(colours), overlay=encode_png(_tint(picture, heat, colours)))


def _tint(picture: Image.Image, heat: Image.Image, colours: Image.Image) -> Image.Image:
    """The picture with the colours over it where there is evidence; grey as it was where there is none."""
    tints = heat.point(_TINTS)
    box = tints.getbbox()
    if box is None:
        return picture
    overlay = Image.merge("RGB", (picture, picture, picture))
    overlay.paste(colours.crop(box).convert("RGB"), box, tints.crop(box))
    return overlay


def _spread(evidence: npt.NDArray[np.float32], crop: Crop, size: tuple[int, int]) -> Image.Image:
    """The map as a mode "L" picture of `size` (width, height), 255 = evidence 1, zero outside the crop."""
    grid = np.clip(np.nan_to_num(evidence) * 255.0, 0, 255).round().astype(np.uint8)
    square = Image.fromarray(grid).resize((crop.side, crop.side), Image.Resampling.BILINEAR)
    canvas = Image.new("L", size)
    canvas.paste(square, (crop.left, crop.top))
    return canvas


def _colour_table() -> bytes:
    levels = [stop for stop, _ in _STOPS]
    channels = [np.interp(range(256), levels, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()


def _tint_table() -> list[int]:
    strengths = np.interp(range(256), (_FAINTEST, 128, 255), (0, 0.75 * _STRONGEST_TINT, _STRONGEST_TINT))
    return [int(strength) for strength in strengths]


_PALETTE = _colour_table()
_TINTS = _tint_table()
