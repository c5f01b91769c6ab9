"""Evidence maps against tumour masks: one picture's comparison."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import UnreadableImageError
from shared.images import read_grey
from worker.preprocessing import Crop, FloatArray, crop_mask
from worker.training import metrics

IOU_THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True, slots=True)
class Localisation:
    """Where the map of one picture lies, compared with the tumour's mask."""

    peak_inside: bool
    energy_inside: float
    overlaps: npt.NDArray[np.floating]  # (T,) intersection over union at IOU_THRESHOLDS


def read_mask(path: Path, picture: tuple[int, int], crop: Crop, size: int) -> FloatArray:
    """The mask of a picture of (width, height) -> the tumour's share per pixel of the model's square (S, S).

    Raises `UnreadableImageError` for a file that is no picture or one of another width or height.
    """
    try:
        mask = read_grey(path.read_bytes())
    except OSError as error:
        raise UnreadableImageError(f"The mask cannot be read: {error.strerror}.") from error
    if mask.size != picture:
        raise UnreadableImageError("The mask has another width or height than its picture.")
    return crop_mask(mask, crop, size)


def localise(evidence_map: FloatArray, mask: FloatArray) -> Localisation | None:
    """A map (h, w) and a mask (S, S) in 0..1 of the same square -> how they lie; None for an empty mask.

    Both cover the square that `worker.preprocessing` cuts around the head, so a cell of the map is S / h
    pixels of the mask. A pixel belongs to the tumour where more than half of it does.
    """
    if not (mask > 0.5).any():
        return None
    return Localisation(
        peak_inside=metrics.peak_inside(evidence_map, mask),
        energy_inside=metrics.energy_share(evidence_map, mask),
        overlaps=metrics.overlaps(evidence_map, mask, IOU_THRESHOLDS),
    )
