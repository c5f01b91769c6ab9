"""PNGs whose chunks are wrong or out of place, and those that say much beside the picture."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from tests.bad_inputs.case import DAMAGED, FRAMES, PARTS, Case, like
from tests.bad_inputs.making import (
    GREY,
    GREYS,
    HEIGHT,
    PALETTE,
    RGB,
    SLICE,
    WIDTH,
    chunk,
    coloured,
    directory,
    header,
    idat,
    orientation,
    png,
    rows,
    sliced,
)


def damaged() -> Iterator[Case]:
    """Chunks that are wrong, missing, doubled, unknown or in the wrong place."""
    size, body, end = header(WIDTH, HEIGHT), idat(rows(SLICE)), chunk(b"IEND")
    packed = zlib.compress(rows(SLICE))
    yield Case("wrong checksum of IHDR", lambda: png(_miscounted(size), body), DAMAGED)
    yield Case("wrong checksum of PLTE", lambda: coloured(SLICE, PALETTE, 8, _miscounted(GREYS)), DAMAGED)
    yield Case("wrong checksum of IDAT", lambda: png(size, _miscounted(body)), DAMAGED)
    yield Case("wrong checksum of IEND", lambda: png(size, body, end=_miscounted(end)), DAMAGED)
    yield Case("wrong checksum of a text", lambda: sliced(chunk(b"tEXt", b"a\0b", crc=1)), DAMAGED)
    yield Case("one pixel's bit flipped", lambda: _flipped(png(size, body)), DAMAGED)
    yield Case("no IDAT", lambda: png(size), DAMAGED)
    yield Case("empty IDAT", lambda: png(size, chunk(b"IDAT")), DAMAGED)
    yield Case("no PLTE", lambda: coloured(SLICE, PALETTE), DAMAGED)
    yield Case("no IHDR", lambda: png(body), DAMAGED)
    yield Case("IEND only", png, DAMAGED)
    yield Case("IHDR twice", lambda: png(size, header(48, 48), body), DAMAGED)
    yield Case("IHDR twice, the same", lambda: png(size, size, body), DAMAGED)
    yield Case("IHDR second", lambda: png(chunk(b"tEXt", b"a\0b"), size, body), DAMAGED)
    yield Case("IHDR too short", lambda: png(chunk(b"IHDR", bytes(4)), body), DAMAGED)
    yield Case("PLTE twice", lambda: coloured(SLICE, PALETTE, 8, GREYS, GREYS), DAMAGED)
    yield Case("PLTE after the pixels", lambda: png(header(WIDTH, HEIGHT, 8, PALETTE), body, GREYS), DAMAGED)
    yield Case(
        "PLTE of half a colour", lambda: coloured(SLICE, PALETTE, 8, chunk(b"PLTE", bytes(4))), DAMAGED
    )
    yield Case(
        "PLTE of 300 colours", lambda: coloured(SLICE, PALETTE, 8, chunk(b"PLTE", bytes(900))), DAMAGED
    )
    clear = chunk(b"tRNS", b"\0\x64")
    yield Case("tRNS twice", lambda: sliced(clear, clear), DAMAGED)
    yield Case("tRNS after the pixels", lambda: sliced(after=[clear]), DAMAGED)
    yield Case("IEND twice", lambda: png(size, body) + end, like(SLICE))
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
            f"depth {depth} of colour type {colour}", lambda d=depth, c=colour: coloured(SLICE, c, d), DAMAGED
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
        "two colour profiles": [chunk(b"iCCP", b"a\0\0" + bomb), chunk(b"iCCP", b"b\0\0" + bomb)],
        "two gammas": [chunk(b"gAMA", bytes(4)), chunk(b"gAMA", b"\xff" * 4)],
        "a thousand times the same text": [chunk(b"tEXt", b"Author\0nobody")] * 1000,
        "two exifs of which one turns nothing": [chunk(b"eXIf", orientation(v)) for v in (1, 3)],
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
    yield Case("30,000 chunks of pixels", lambda: sliced(after=[chunk(b"IDAT")] * 30_000), PARTS)
    yield Case("30,000 texts", lambda: sliced(chunk(b"tEXt", b"a\0b") * 30_000), PARTS)


def _miscounted(whole: bytes) -> bytes:
    return whole[:-4] + struct.pack(">I", int.from_bytes(whole[-4:], "big") ^ 1)


def _flipped(data: bytes) -> bytes:
    place = data.index(b"IDAT") + 20
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
