"""Bytes of pictures, byte by byte: a PNG writer and a JPEG's segments that make what no library would."""

import io
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SLICE: Grey = np.linspace(0, 255, 24 * 16).reshape(16, 24).astype(np.uint8)
SLICE.flags.writeable = False
HEIGHT, WIDTH = SLICE.shape


def chunk(kind: bytes, content: bytes = b"", crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def header(width: int, height: int, depth: int = 8, colour: int = GREY, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def rows(pixels: npt.NDArray[np.generic]) -> bytes:
    """Unfiltered rows of samples, (H, W) or (H, W, channels)."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def idat(raw: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(raw))


PASSES = (  # of Adam7: first row and column, steps between rows and columns
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
GREYS = chunk(b"PLTE", bytes(value for value in range(256) for _ in range(3)))


def png(*chunks: bytes, end: bytes = chunk(b"IEND")) -> bytes:
    return SIGNATURE + b"".join(chunks) + end


def sliced(*before: bytes, pixels: Grey = SLICE, after: Sequence[bytes] = ()) -> bytes:
    """The slice as a PNG, with chunks between header and pixels, and after the pixels."""
    height, width = pixels.shape
    return png(header(width, height), *before, idat(rows(pixels)), *after)


def coloured(samples: npt.NDArray[np.generic], colour: int, depth: int = 8, *before: bytes) -> bytes:
    """A PNG of the slice's size whose samples are (H, W) or (H, W, channels)."""
    return png(header(WIDTH, HEIGHT, depth, colour), *before, idat(rows(samples)))


def flat_png(width: int, height: int, depth: int = 8, colour: int = GREY, *before: bytes) -> bytes:
    """A PNG of one value all over, however large: it compresses a thousandfold."""
    channels = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}[colour]
    row = b"\0" + b"\x55" * ((width * channels * depth + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(header(width, height, depth, colour), *before, chunk(b"IDAT", packed))


def saved(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def jpeg(pixels: Grey = SLICE, mode: str = "L", **options: object) -> bytes:
    image = Image.fromarray(pixels).convert(mode)
    return saved(image, "JPEG", **{"quality": 95, **options})


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments, right after its start."""
    return data[:2] + b"".join(segments) + data[2:]


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame claims another size."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        place = data.find(marker)
        if place > 0:
            return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]
    raise AssertionError("no frame")


def with_frame_marker(data: bytes, marker: int) -> bytes:
    """A JPEG that claims another way of coding."""
    place = data.index(b"\xff\xc0")
    return data[: place + 1] + bytes([marker]) + data[place + 2 :]


def directory(
    entries: Iterable[tuple[int, int, int, int]], tail: bytes = b"", count: int | None = None
) -> bytes:
    """A big-endian TIFF block; entries are (tag, type, count, value or offset)."""
    packed = [
        struct.pack(">HHIHH", tag, kind, number, value, 0)
        if kind == 3 and number == 1
        else struct.pack(">HHII", tag, kind, number, value)
        for tag, kind, number, value in entries
    ]
    number = len(packed) if count is None else count
    return b"MM\0*" + struct.pack(">IH", 8, number) + b"".join(packed) + bytes(4) + tail


def orientation(value: int) -> bytes:
    return directory([(0x0112, 3, 1, value)])


def exif_segment(block: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + block)


def repeated_scans(side: int, times: int) -> bytes:
    """A progressive JPEG whose last scan, which changes nothing, comes again and again."""
    data = saved(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4", 0, scan)
    return data[:-2] + data[table:-2] * times + data[-2:]
