"""PNGs of few bytes and many pixels, and the largest that are accepted."""

import zlib
from collections.abc import Iterator

import numpy as np

from tests.bad_inputs.case import DAMAGED, LARGE, Accepted, Case, like
from tests.bad_inputs.making import (
    GREYS,
    PALETTE,
    PASSES,
    RGBA,
    SLICE,
    chunk,
    flat_png,
    header,
    idat,
    png,
    rows,
)


def bombs() -> Iterator[Case]:
    """Few bytes, many pixels."""
    yield Case("30000 x 30000 of 1 bit", lambda: flat_png(30_000, 30_000, 1), LARGE)
    yield Case("13300 x 13300", lambda: flat_png(13_300, 13_300), LARGE)
    yield Case("16385 wide", lambda: flat_png(16_385, 1), LARGE)
    yield Case("16385 high", lambda: flat_png(1, 16_385), LARGE)
    yield Case("1 x 30000", lambda: flat_png(1, 30_000), LARGE)
    yield Case("30000 x 1", lambda: flat_png(30_000, 1), LARGE)
    yield Case("16384 x 2442", lambda: flat_png(16_384, 2442, 1), LARGE)
    yield Case("16384 wide", lambda: flat_png(16_384, 2), like(np.full((2, 16_384), 0x55, np.uint8)))
    for width, height in ((2**31 - 1, 1), (2**31, 1), (2**32 - 1, 2**32 - 1), (1, 2**31), (100_000, 100_000)):
        yield Case(
            f"claims {width} x {height}",
            lambda w=width, h=height: png(header(w, h), idat(b"")),
            LARGE,
        )
    flood = zlib.compress(rows(SLICE) + bytes(300_000_000), 1)
    yield Case(
        "300 MB of deflate after the pixels", lambda: png(header(24, 16), chunk(b"IDAT", flood)), like(SLICE)
    )
    yield Case("40 megapixels without data", lambda: png(header(8000, 5000), idat(b"")), DAMAGED)


def largest() -> Iterator[Case]:
    """Just within the limits: what they cost is the bound on memory."""
    whole = Accepted((8000, 5000))
    yield Case("40 megapixels of grey", lambda: flat_png(8000, 5000), whole)
    yield Case("40 megapixels of 16 bit grey", lambda: flat_png(8000, 5000, 16), whole)
    yield Case("40 megapixels with alpha", lambda: flat_png(8000, 5000, 8, RGBA), whole)
    yield Case("40 megapixels of 16 bit alpha", lambda: flat_png(8000, 5000, 16, RGBA), whole)
    yield Case("40 megapixels of filtered and interlaced colour", lambda: _slowest(8000, 5000), whole)
    yield Case(
        "40 megapixels of palette",
        lambda: flat_png(8000, 5000, 8, PALETTE, GREYS, chunk(b"tRNS", b"\1")),
        whole,
    )


def _slowest(width: int, height: int) -> bytes:
    """16 bits of four channels, interlaced, each row by the filter that takes the most steps."""
    packer = zlib.compressobj(1)
    uneven = bytes(range(0, 256, 7)) * (width // 4)  # so that the filter's choices cannot be foreseen
    packed = [
        packer.compress((b"\4" + uneven[: 8 * -(-(width - x) // dx)]) * -(-(height - y) // dy))
        for y, x, dy, dx in PASSES
    ]
    pixels = chunk(b"IDAT", b"".join(packed) + packer.flush())
    return png(header(width, height, 16, RGBA, interlace=1), pixels)
