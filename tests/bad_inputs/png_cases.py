"""PNGs: every kind of pixel, chunks that are damaged or out of place, metadata and bombs."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.bad_inputs.case import DAMAGED, FRAMES, LARGE, PARTS, Accepted, Case, like
from tests.bad_inputs.making import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SLICE,
    Grey,
    chunk,
    directory,
    flat_png,
    header,
    idat,
    orientation,
    png,
    rows,
    sliced,
)

GREYS = chunk(b"PLTE", bytes(value for value in range(256) for _ in range(3)))
HEIGHT, WIDTH = SLICE.shape


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
    yield Case("16 bit grey", lambda: _colour(deep, GREY, 16), like(scaled, 0.6))
    shallow = SLICE.astype(">u2")
    yield Case("16 bit grey that holds 8", lambda: _colour(shallow, GREY, 16), like(SLICE))
    yield Case(
        "16 bit colour", lambda: _colour(_stack(SLICE.astype(">u2") * 257, 3), RGB, 16), like(SLICE, 0.1)
    )
    yield Case("8 bit colour", lambda: _colour(_stack(SLICE, 3), RGB), like(SLICE))
    half = np.full_like(SLICE, 128)
    faded = (SLICE.astype(float) * 128 / 255).round().astype(np.uint8)
    yield Case("alpha", lambda: _colour(np.dstack([_stack(SLICE, 3), half]), RGBA), like(faded, 0.6))
    yield Case(
        "16 bit alpha",
        lambda: _colour(np.dstack([SLICE, half]).astype(">u2") * 257, GREY_ALPHA, 16),
        like(faded, 0.6),
    )
    yield Case("grey alpha", lambda: _colour(np.dstack([SLICE, half]), GREY_ALPHA), like(faded, 0.6))
    clear = np.dstack([_stack(np.full_like(SLICE, 255), 3), np.zeros_like(SLICE)])
    yield Case("wholly transparent white", lambda: _colour(clear, RGBA), like(np.zeros_like(SLICE)))
    yield Case("8 bit palette", lambda: _colour(SLICE, PALETTE, 8, GREYS), like(SLICE))
    hidden = np.where(SLICE < 10, 0, SLICE).astype(np.uint8)
    tail = chunk(b"tRNS", bytes(10))
    yield Case("palette with transparency", lambda: _colour(SLICE, PALETTE, 8, GREYS, tail), like(hidden))
    masked = np.where(SLICE == 100, 0, SLICE).astype(np.uint8)
    yield Case("grey with a transparent value", lambda: sliced(chunk(b"tRNS", b"\0\x64")), like(masked))
    yield Case(
        "interlaced", lambda: png(header(WIDTH, HEIGHT, 8, GREY, 1), idat(_interlaced(SLICE))), like(SLICE)
    )
    yield Case("one pixel", lambda: sliced(pixels=SLICE[:1, -1:]), like(SLICE[:1, -1:]))
    yield Case("one pixel wide", lambda: sliced(pixels=SLICE[:, :1]), like(SLICE[:, :1]))
    yield Case("one pixel high", lambda: sliced(pixels=SLICE[:1]), like(SLICE[:1]))
    yield Case("pixels in 384 chunks", lambda: _scattered(1), like(SLICE))
    yield Case("empty chunks between pixels", lambda: _scattered(7, chunk(b"IDAT")), like(SLICE))
    empty = Image.new("L", (640, 480))
    yield Case("all black", lambda: flat_black(640, 480), like(np.asarray(empty)))


def damaged() -> Iterator[Case]:
    """Chunks that are wrong, missing, doubled, unknown or in the wrong place."""
    size, body, end = header(WIDTH, HEIGHT), idat(rows(SLICE)), chunk(b"IEND")
    packed = zlib.compress(rows(SLICE))
    yield Case("wrong checksum of IHDR", lambda: png(_miscounted(size), body), DAMAGED)
    yield Case("wrong checksum of PLTE", lambda: _colour(SLICE, PALETTE, 8, _miscounted(GREYS)), DAMAGED)
    yield Case("wrong checksum of IDAT", lambda: png(size, _miscounted(body)), DAMAGED)
    yield Case("wrong checksum of IEND", lambda: png(size, body, end=_miscounted(end)), DAMAGED)
    yield Case("wrong checksum of a text", lambda: sliced(chunk(b"tEXt", b"a\0b", crc=1)), DAMAGED)
    yield Case("one pixel's bit flipped", lambda: _flipped(png(size, body)), DAMAGED)
    yield Case("no IDAT", lambda: png(size), DAMAGED)
    yield Case("empty IDAT", lambda: png(size, chunk(b"IDAT")), DAMAGED)
    yield Case("no PLTE", lambda: _colour(SLICE, PALETTE), DAMAGED)
    yield Case("no IHDR", lambda: png(body), DAMAGED)
    yield Case("IEND only", png, DAMAGED)
    yield Case("IHDR twice", lambda: png(size, header(48, 48), body), DAMAGED)
    yield Case("IHDR twice, the same", lambda: png(size, size, body), DAMAGED)
    yield Case("IHDR second", lambda: png(chunk(b"tEXt", b"a\0b"), size, body), DAMAGED)
    yield Case("IHDR too short", lambda: png(chunk(b"IHDR", bytes(4)), body), DAMAGED)
    yield Case("PLTE twice", lambda: _colour(SLICE, PALETTE, 8, GREYS, GREYS), DAMAGED)
    yield Case("PLTE after the pixels", lambda: png(header(WIDTH, HEIGHT, 8, PALETTE), body, GREYS), DAMAGED)
    yield Case("PLTE of half a colour", lambda: _colour(SLICE, PALETTE, 8, chunk(b"PLTE", bytes(4))), DAMAGED)
    yield Case("PLTE of 300 colours", lambda: _colour(SLICE, PALETTE, 8, chunk(b"PLTE", bytes(900))), DAMAGED)
    yield Case("pixels after IEND", lambda: png(size, end=end) + body + end, DAMAGED)
    yield Case("pixels in two places", lambda: png(size, body, chunk(b"tEXt", b"a\0b"), body), DAMAGED)
    yield Case("unknown critical chunk", lambda: sliced(chunk(b"ABCD", b"x")), DAMAGED)
    yield Case("unknown chunk", lambda: sliced(chunk(b"abCd", b"x")), like(SLICE))
    yield Case("chunk type of spaces", lambda: sliced(chunk(b"    ", b"x")), DAMAGED)
    yield Case("length past the end", lambda: png(size, b"\x7f\xff\xff\xff" + body[4:]), DAMAGED)
    yield Case("negative length", lambda: png(size, b"\xff\xff\xff\xf4" + body[4:]), DAMAGED)
    # Only a faulty program writes this: a cut or changed file has a wrong checksum. The rest stays black.
    early = np.vstack([SLICE[:5], np.zeros_like(SLICE[5:])])
    yield Case("deflate that ends early", lambda: png(size, idat(rows(SLICE[:5]))), like(early))
    yield Case("too many rows", lambda: png(size, idat(rows(SLICE) * 9)), like(SLICE))
    yield Case("deflate cut", lambda: png(size, chunk(b"IDAT", packed[: len(packed) // 2])), DAMAGED)
    yield Case("deflate of noise", lambda: png(size, chunk(b"IDAT", b"\x78\x9c" + b"\xfe" * 99)), DAMAGED)
    yield Case("row filter 9", lambda: png(size, idat(b"\x09" + rows(SLICE)[1:])), DAMAGED)
    yield Case("zero wide", lambda: png(header(0, 16), body), DAMAGED)
    yield Case("zero high", lambda: png(header(24, 0), body), DAMAGED)
    for depth, colour in ((3, GREY), (32, GREY), (16, PALETTE), (4, RGB), (8, 1), (8, 7), (0, GREY)):
        yield Case(
            f"depth {depth} of colour type {colour}", lambda d=depth, c=colour: _colour(SLICE, c, d), DAMAGED
        )
    yield Case("unknown filter method", lambda: png(chunk(b"IHDR", size[8:19] + b"\1\0"), body), DAMAGED)
    yield Case("frames without their number", lambda: sliced(after=[chunk(b"fdAT", bytes(9))]), FRAMES)


def metadata() -> Iterator[Case]:
    """What says nothing about pixels costs nothing and changes nothing, but for which way is up."""
    megabyte = 1_000_000
    bomb = zlib.compress(bytes(100 * megabyte), 9)
    good = like(SLICE)
    greedy = directory([(tag, 7, 900_000, 8) for tag in range(1000, 3000)], bytes(megabyte))
    ancillary = {
        "10 MB text": [chunk(b"tEXt", b"c\0" + b"x" * 10 * megabyte)],
        "compressed text bomb": [chunk(b"zTXt", b"c\0\0" + bomb)],
        "ten compressed text bombs": [chunk(b"zTXt", b"c\0\0" + bomb)] * 10,
        "international text bomb": [chunk(b"iTXt", b"c\0\1\0\0\0" + bomb)],
        "colour profile bomb": [chunk(b"iCCP", b"c\0\0" + bomb)],
        "colour profile of noise": [chunk(b"iCCP", b"c\0\0noise")],
        "colour profile without a name": [chunk(b"iCCP", b"")],
        "text that is not text": [chunk(b"iTXt", b"\xff\xfe\xfd")],
        "gamma 0": [chunk(b"gAMA", bytes(4))],
        "gamma 42949": [chunk(b"gAMA", b"\xff" * 4)],
        "gamma of two bytes": [chunk(b"gAMA", b"\1\2")],
        "chromaticities of nothing": [chunk(b"cHRM", b"")],
        "resolution 0": [chunk(b"pHYs", bytes(9))],
        "resolution of nothing": [chunk(b"pHYs", b"")],
        "damaged exif": [chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff\1\x12")],
        "png exif of noise": [chunk(b"eXIf", bytes(range(256)))],
        "exif that points behind itself": [chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")],
        "exif whose entries all name a megabyte": [chunk(b"eXIf", greedy)],
        "exif orientation 0": [chunk(b"eXIf", orientation(0))],
        "exif orientation 9": [chunk(b"eXIf", orientation(9))],
        "resolution of division by zero": [chunk(b"eXIf", directory([(0x011A, 5, 1, 8)]))],
        "last change at month 99": [chunk(b"tIME", b"\xff" * 7)],
    }
    for name, chunks in ancillary.items():
        yield Case(name, lambda c=chunks: sliced(*c), good)
    yield Case("exif upside down", lambda: sliced(chunk(b"eXIf", orientation(3))), like(SLICE[::-1, ::-1]))
    yield Case(
        "exif after the pixels",
        lambda: sliced(after=[chunk(b"eXIf", orientation(3))]),
        like(SLICE[::-1, ::-1]),
    )
    packet = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="3"/>'
    yield Case("xmp upside down", lambda: sliced(chunk(b"iTXt", packet)), like(SLICE[::-1, ::-1]))
    yield Case("a million empty chunks", lambda: sliced(chunk(b"teXt") * 1_000_000), PARTS)
    yield Case("30,000 texts", lambda: sliced(chunk(b"tEXt", b"a\0b") * 30_000), PARTS)


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
    yield Case(
        "40 megapixels of palette",
        lambda: flat_png(8000, 5000, 8, PALETTE, GREYS, chunk(b"tRNS", b"\1")),
        whole,
    )


def flat_black(width: int, height: int) -> bytes:
    return png(header(width, height), idat(bytes(height * (width + 1))))


def _colour(samples: np.ndarray, colour: int, depth: int = 8, *before: bytes) -> bytes:
    return png(header(WIDTH, HEIGHT, depth, colour), *before, idat(rows(samples)))


def _stack(plane: np.ndarray, channels: int) -> np.ndarray:
    return np.dstack([plane] * channels)


def _packed(few: Grey, depth: int) -> bytes:
    """Rows of samples of 1, 2 or 4 bits, the first in the highest bits."""
    bits = np.unpackbits(few[..., None], axis=2)[..., -depth:].reshape(HEIGHT, -1)
    return rows(np.packbits(bits, axis=1))


def _interlaced(grey: Grey) -> bytes:
    """Adam7's seven passes."""
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    return b"".join(rows(grey[y::dy, x::dx]) for y, x, dy, dx in passes)


def _scattered(step: int, between: bytes = b"") -> bytes:
    packed = zlib.compress(rows(SLICE), 0)
    pieces = [chunk(b"IDAT", packed[n : n + step]) + between for n in range(0, len(packed), step)]
    return png(header(WIDTH, HEIGHT), *pieces)


def _miscounted(whole: bytes) -> bytes:
    return whole[:-4] + struct.pack(">I", int.from_bytes(whole[-4:], "big") ^ 1)


def _flipped(data: bytes) -> bytes:
    place = data.index(b"IDAT") + 20
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
