"""Small versions of pictures of the local store: a list shows dozens, and whole ones are 250 kB each.

Made when they are first asked for and kept in this process' memory alone, so that what is deleted from the
store leaves nothing behind.
"""

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from shared.errors import FileUploadError
from shared.images import DAMAGED, FORMATS, read_grey
from shared.pixel_budget import PixelBudget

SMALL_TYPE = "image/webp"
QUALITY = 80
MOST_KEPT = 500  # of about 6 kB
_BUDGET = PixelBudget(20_000_000)  # decoded in this process at the same time


def small_version(file: Path, side: int) -> bytes | None:
    """The picture fitted into a square of `side` pixels; None if it cannot be decoded or has just gone."""
    try:
        return _made(file, file.stat().st_mtime_ns, side)
    except (*DAMAGED, FileUploadError):
        return None


@lru_cache(MOST_KEPT)
def _made(file: Path, modified: int, side: int) -> bytes:  # noqa: ARG001 - `modified`: other bytes, another entry
    data = file.read_bytes()
    with Image.open(io.BytesIO(data), formats=FORMATS) as image, _BUDGET.spent(image.width * image.height):
        # Overlays are ours and in colour; originals are read as the analysis reads them, turned upright.
        shown = image.convert("RGB") if file.parent.name == "overlay" else read_grey(data)
        shown.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    out = io.BytesIO()
    shown.save(out, "WEBP", quality=QUALITY, method=2)
    return out.getvalue()
