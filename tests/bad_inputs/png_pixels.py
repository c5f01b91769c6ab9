"""PNGs of every depth and colour."""

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.bad_inputs.case import Case, like
from tests.bad_inputs.making import (
    GREY,
    GREY_ALPHA,
    GREYS,
    HEIGHT,
    PALETTE,
    PASSES,
    RGB,
    RGBA,
    SLICE,
    WIDTH,
    Grey,
    chunk,
    coloured,
    header,
    idat,
    png,
    rows,
    sliced,
)


def pixels() -> Iterator[Case]:
    """Every depth and colour that the format has, with the grey that must come out."""
    for depth in (1, 2, 4):
        step = 255 // (2**depth - 1)
        few = (SLICE >> (8 - depth)).astype(np.uint8)
        yield Case(
            f"{depth} bit grey",
            lambda f=few, d=depth: png(header(WIDTH, HEIGHT, d), idat(_packed(f, d))),
            like(few * np.uint8(step)),
        )
        yield Case(
            f"{depth} bit palette",
            lambda f=few, d=depth, s=step: png(
                header(WIDTH, HEIGHT, d, PALETTE),
                chunk(b"PLTE", bytes(v * s for v in range(2**d) for _ in range(3))),
                idat(_packed(f, d)),
            ),
            like(few * np.uint8(step)),
        )
    deep = np.linspace(1000, 5000, SLICE.size).reshape(SLICE.shape).astype(">u2")
    scaled = ((deep.astype(float) - 1000) * 255 / 4000).astype(np.uint8)
    yield Case("16 bit grey", lambda: coloured(deep, GREY, 16), like(scaled))
    shallow = SLICE.astype(">u2")
    yield Case("16 bit grey that holds 8", lambda: coloured(shallow, GREY, 16), like(SLICE))
    yield Case("16 bit colour", lambda: coloured(_stack(SLICE.astype(">u2") * 257, 3), RGB, 16), like(SLICE))
    yield Case("8 bit colour", lambda: coloured(_stack(SLICE, 3), RGB), like(SLICE))
    half = np.full_like(SLICE, 128)
    faded = (SLICE.astype(float) * 128 / 255).round().astype(np.uint8)
    yield Case("alpha", lambda: coloured(np.dstack([_stack(SLICE, 3), half]), RGBA), like(faded))
    yield Case(
        "16 bit alpha",
        lambda: coloured(np.dstack([SLICE, half]).astype(">u2") * 257, GREY_ALPHA, 16),
        like(faded),
    )
    yield Case("grey alpha", lambda: coloured(np.dstack([SLICE, half]), GREY_ALPHA), like(faded))
    clear = np.dstack([_stack(np.full_like(SLICE, 255), 3), np.zeros_like(SLICE)])
    yield Case("wholly transparent white", lambda: coloured(clear, RGBA), like(np.zeros_like(SLICE)))
    yield Case("8 bit palette", lambda: coloured(SLICE, PALETTE, 8, GREYS), like(SLICE))
    hidden = np.where(SLICE < 10, 0, SLICE).astype(np.uint8)
    tail = chunk(b"tRNS", bytes(10))
    yield Case("palette with transparency", lambda: coloured(SLICE, PALETTE, 8, GREYS, tail), like(hidden))
    masked = np.where(SLICE == 100, 0, SLICE).astype(np.uint8)
    yield Case("grey with a transparent value", lambda: sliced(chunk(b"tRNS", b"\0\x64")), like(masked))
    yield Case(
        "interlaced", lambda: png(header(WIDTH, HEIGHT, 8, GREY, 1), idat(_interlaced(SLICE))), like(SLICE)
    )
    yield Case("one pixel", lambda: sliced(pixels=SLICE[:1, -1:]), like(SLICE[:1, -1:]))
    yield Case("one pixel wide", lambda: sliced(pixels=SLICE[:, :1]), like(SLICE[:, :1]))
    yield Case("one pixel high", lambda: sliced(pixels=SLICE[:1]), like(SLICE[:1]))
    yield Case("pixels in 384 chunks", lambda: _scattered(1), like(SLICE))
    yield Case("19,000 empty chunks of pixels", lambda: _scattered(99, chunk(b"IDAT") * 3_800), like(SLICE))
    yield Case("empty chunks between pixels", lambda: _scattered(7, chunk(b"IDAT")), like(SLICE))
    empty = Image.new("L", (640, 480))
    yield Case("all black", lambda: flat_black(640, 480), like(np.asarray(empty)))


def flat_black(width: int, height: int) -> bytes:
    return png(header(width, height), idat(bytes(height * (width + 1))))


def _stack(plane: np.ndarray, channels: int) -> np.ndarray:
    return np.dstack([plane] * channels)


def _packed(few: Grey, depth: int) -> bytes:
    """Rows of samples of 1, 2 or 4 bits, the first in the highest bits."""
    bits = np.unpackbits(few[..., None], axis=2)[..., -depth:].reshape(HEIGHT, -1)
    return rows(np.packbits(bits, axis=1))


def _interlaced(grey: Grey) -> bytes:
    """Adam7's seven passes."""
    return b"".join(rows(grey[y::dy, x::dx]) for y, x, dy, dx in PASSES)


def _scattered(step: int, between: bytes = b"") -> bytes:
    packed = zlib.compress(rows(SLICE), 0)
    pieces = [chunk(b"IDAT", packed[n : n + step]) + between for n in range(0, len(packed), step)]
    return png(header(WIDTH, HEIGHT), *pieces)
