"""JPEGs of every colour, and of every way to lie."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.bad_inputs.case import CLOSE, DAMAGED, LARGE, Accepted, Case, like
from tests.bad_inputs.coded import lossless
from tests.bad_inputs.making import (
    SLICE,
    directory,
    exif_segment,
    jpeg,
    orientation,
    saved,
    segment,
    with_segments,
)

STORED = {  # by orientation: how an upright picture lies in the file
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: np.rot90,
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a, -1),
}


def pixels() -> Iterator[Case]:
    good = like(SLICE, CLOSE)
    yield Case("grey jpeg", jpeg, good, "a.jpeg")
    yield Case("colour jpeg", lambda: jpeg(mode="RGB"), good, "a.JPG")
    yield Case("colour jpeg without subsampling", lambda: jpeg(mode="RGB", subsampling=0), good)
    yield Case("progressive jpeg", lambda: jpeg(progressive=True), good)
    yield Case("progressive colour jpeg", lambda: jpeg(mode="RGB", progressive=True), good)
    yield Case("jpeg with restarts", lambda: jpeg(restart_marker_blocks=1), good)
    yield Case("jpeg of rgb", lambda: jpeg(mode="RGB", keep_rgb=True), good)
    yield Case("jpeg of cmyk", lambda: jpeg(mode="CMYK"), good)
    yield Case("jpeg of ycck whose grey is ink", lambda: _ycck(black=False), good, "print.jpg")
    yield Case("jpeg of ycck whose grey is black", lambda: _ycck(black=True), good, "print.jpg")
    # The coarsest step is 255 wide for a block's mean, an eighth of that for each pixel.
    yield Case("jpeg of lowest quality", lambda: jpeg(quality=1), like(SLICE, 32))
    grey = np.full((16, 24), 128, np.uint8)
    yield Case("lossless jpeg", lambda: lossless(24, 16), like(grey))
    yield Case("lossless colour jpeg", lambda: lossless(24, 16, 3), like(grey))
    yield Case("lossless jpeg of 16 bit", lambda: lossless(24, 16, depth=16), DAMAGED)
    yield Case("jpeg of one pixel", lambda: jpeg(SLICE[:1, :1]), Accepted((1, 1)))
    yield Case("jpeg of 1 x 30000", lambda: saved(Image.new("L", (1, 30_000)), "JPEG"), LARGE)
    yield Case("jpeg of 65500 x 1", lambda: saved(Image.new("L", (65_500, 1)), "JPEG"), LARGE)
    yield Case("bytes of nothing between segments", lambda: with_segments(jpeg(), b"\xff\xff\xff"), good)
    yield Case("junk between segments", lambda: with_segments(jpeg(), b"junk"), good)


def upright() -> Iterator[Case]:
    for value, stored in STORED.items():
        yield Case(
            f"jpeg of orientation {value}",
            lambda v=value, s=stored: with_segments(
                jpeg(np.ascontiguousarray(s(SLICE))), exif_segment(orientation(v))
            ),
            like(SLICE, CLOSE),
            f"turned-{value}.jpg",
        )
    little = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\3\0\0\0"
    xmp = b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>3</tiff:Orientation>"
    over = like(SLICE[::-1, ::-1], CLOSE)
    yield Case("orientation, lowest byte first", lambda: with_segments(jpeg(), exif_segment(little)), over)
    yield Case("orientation in xmp", lambda: with_segments(jpeg(), segment(0xE1, xmp)), over)
    broken = {
        "nothing": b"",
        "two letters": b"MM",
        "noise": bytes(range(200)),
        "a directory behind the end": b"MM\0*\x7f\xff\xff\xff",
        "a directory cut": orientation(6)[:15],
        "65535 entries": directory([(0x0100, 4, 1, 1)], count=65_535),
        "orientation 0": orientation(0),
        "orientation 200": orientation(200),
        "orientation as text": directory([(0x0112, 2, 4, 6)]),
        "two orientations in one": directory([(0x0112, 3, 2, 6)]),
        "a fraction by zero as resolution": directory([(0x011A, 5, 1, 8), (0x0128, 3, 1, 2)]),
        "a directory that leads to itself": directory([(0x8769, 4, 1, 8)]),
        "entries that all name 50 kB": directory([(tag, 7, 50_000, 8) for tag in range(1000)], bytes(50_000)),
    }
    for name, block in broken.items():
        yield Case(
            f"exif of {name}", lambda b=block: with_segments(jpeg(), exif_segment(b)), like(SLICE, CLOSE)
        )


def _ycck(black: bool) -> bytes:
    """The slice in four channels that an Adobe block calls YCCK, its grey in the black or in the inks.

    Pillow writes what it is given as CMYK, each channel inverted: so it is given what those of YCCK look
    like then, brightness (of the inverted inks), no colour, and black.
    """
    neutral, none = np.full_like(SLICE, 127), np.zeros_like(SLICE)
    channels = (none + 255, neutral, neutral, 255 - SLICE) if black else (SLICE, neutral, neutral, none)
    data = saved(Image.merge("CMYK", [Image.fromarray(channel) for channel in channels]), "JPEG", quality=95)
    colours = data.index(b"Adobe") + 11
    return data[:colours] + b"\2" + data[colours + 1 :]
