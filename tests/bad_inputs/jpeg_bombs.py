"""JPEGs of few bytes and much work, and the largest that are accepted."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.bad_inputs.case import LARGE, PASSES, Accepted, Case, like
from tests.bad_inputs.coded import lossless, progressive
from tests.bad_inputs.making import (
    exif_segment,
    jpeg,
    orientation,
    repeated_scans,
    saved,
    with_segments,
    with_size,
)


def bombs() -> Iterator[Case]:
    yield Case("jpeg that claims 65500 x 65500", lambda: with_size(jpeg(), 65_500, 65_500), LARGE)
    yield Case("jpeg that claims 20000 x 20000", lambda: with_size(jpeg(), 20_000, 20_000), LARGE)
    yield Case("jpeg that claims 8000 x 5001", lambda: with_size(jpeg(), 8000, 5001), LARGE)
    yield Case("progressive jpeg of 200 scans", lambda: repeated_scans(6000, 200), PASSES)
    yield Case("progressive jpeg of 20,000 scans", lambda: repeated_scans(64, 20_000), PASSES)
    yield Case("40 megapixels in 26 scans", lambda: progressive(8000, 5000, 4, 21), PASSES)
    yield Case("16 megapixels in 63 scans", lambda: progressive(4000, 4000, 1, 61), PASSES)
    yield Case(
        "progressive jpeg of 60 scans", lambda: repeated_scans(64, 50), like(np.full((64, 64), 128, np.uint8))
    )
    yield Case("progressive jpeg of 100 scans", lambda: progressive(64, 64, 1, 98), Accepted((64, 64)))
    yield Case("progressive jpeg of 101 scans", lambda: progressive(64, 64, 1, 99), PASSES)


def largest() -> Iterator[Case]:
    whole = Accepted((8000, 5000))
    yield Case("40 megapixels of jpeg", lambda: _large("RGB"), whole)
    yield Case(
        "40 megapixels of turned jpeg",
        lambda: with_segments(_large("RGB"), exif_segment(orientation(6))),
        Accepted((5000, 8000)),
    )
    yield Case(
        "40 megapixels of progressive jpeg", lambda: _large("RGB", progressive=True, subsampling=0), whole
    )
    yield Case("40 megapixels in 25 scans", lambda: progressive(8000, 5000, 4, 20), whole)
    yield Case("40 megapixels of lossless jpeg", lambda: lossless(8000, 5000), whole)
    yield Case("40 megapixels of progressive cmyk", lambda: _large("CMYK", progressive=True), whole)


def _large(mode: str, **options: object) -> bytes:
    return saved(Image.new(mode, (8000, 5000)), "JPEG", **options)
