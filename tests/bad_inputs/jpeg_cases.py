"""JPEGs: colours, orientations, codings that are not supported, metadata and bombs."""

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

from tests.bad_inputs.case import DAMAGED, LARGE, PARTS, Accepted, Case, like
from tests.bad_inputs.making import (
    SLICE,
    directory,
    exif_segment,
    jpeg,
    orientation,
    repeated_scans,
    saved,
    segment,
    with_frame_marker,
    with_segments,
    with_size,
)

CLOSE = 2.0
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
    yield Case("jpeg of ycck", _ycck, like(SLICE, 90), "print.jpg")
    yield Case("jpeg of lowest quality", lambda: jpeg(quality=1), like(SLICE, 12))
    yield Case("jpeg of one pixel", lambda: jpeg(SLICE[:1, :1]), Accepted((1, 1)))
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


def metadata() -> Iterator[Case]:
    good = like(SLICE, CLOSE)
    thumbnail = jpeg(255 - SLICE)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    numbered = [segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))] * 100
    blocks = {
        "a hundred segments of 64 kB": [segment(0xE5, bytes(65_000))] * 100,
        "a comment of 64 kB": [segment(0xFE, b"x" * 65_000)],
        "a colour profile": [segment(0xE2, b"ICC_PROFILE\0\1\1" + profile)],
        "a hundred first parts of a profile": numbered,
        "part 0 of 0 of a profile": [segment(0xE2, b"ICC_PROFILE\0\0\0")],
        "a profile without parts": [segment(0xE2, b"ICC_PROFILE\0")],
        "a deflate bomb as profile": [segment(0xE2, b"ICC_PROFILE\0\1\1" + zlib.compress(bytes(30_000_000)))],
        "a thumbnail": [exif_segment(orientation(1) + thumbnail)],
        "a thumbnail in a JFIF extension": [segment(0xE0, b"JFXX\0\x10" + thumbnail)],
        "Photoshop's resources, cut": [segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff")],
        "an Adobe block of nothing": [segment(0xEE, b"Adobe")],
        "an empty segment of each kind": [segment(0xE0 + n) for n in range(16)],
    }
    for name, segments in blocks.items():
        yield Case(f"jpeg with {name}", lambda s=segments: with_segments(jpeg(), *s), good)
    yield Case("two million empty segments", lambda: with_segments(jpeg(), segment(0xFE) * 2_000_000), PARTS)
    yield Case("10 MB of fill bytes", lambda: with_segments(jpeg(), b"\xff" * 10_000_000), good)
    yield Case("10 MB of junk between segments", lambda: with_segments(jpeg(), bytes(10_000_000)), good)


def damaged() -> Iterator[Case]:
    for marker in (0xC1, 0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xCB, 0xCD, 0xCE, 0xCF):
        if marker != 0xC1:  # extended sequential, of 8 bits: the same picture
            yield Case(f"coding {marker:x}", lambda m=marker: with_frame_marker(jpeg(), m), DAMAGED)
    yield Case("extended sequential coding", lambda: with_frame_marker(jpeg(), 0xC1), like(SLICE, CLOSE))
    yield Case("no frame", lambda: _without(jpeg(), 0xC0), DAMAGED)
    yield Case("no quantisation tables", lambda: _without(jpeg(), 0xDB), DAMAGED)
    yield Case("frame twice", lambda: _twice(jpeg(), 0xC0), DAMAGED)
    yield Case("start twice", lambda: b"\xff\xd8" + jpeg(), DAMAGED)
    yield Case("start within the pixels", lambda: jpeg()[:-2] + jpeg(), DAMAGED)
    yield Case("zero wide jpeg", lambda: with_size(jpeg(), 0, 16), DAMAGED)
    yield Case("zero high jpeg", lambda: with_size(jpeg(), 24, 0), DAMAGED)
    yield Case("segment of length 0", lambda: with_segments(jpeg(), b"\xff\xfe\0\0"), DAMAGED)
    yield Case("segment past the end", lambda: with_segments(jpeg(), b"\xff\xfe\xff\xff"), DAMAGED)
    yield Case("12 bit jpeg", lambda: _depth(jpeg(), 12), DAMAGED)
    yield Case("9 components", lambda: _components(jpeg(), 9), DAMAGED)
    # What is lost within the coded pixels cannot be told from pixels: such a picture is accepted.
    yield Case(
        "jpeg whose pixels end early",
        lambda: saved(_ramp(), "JPEG")[:-600] + b"\xff\xd9",
        Accepted((256, 256)),
    )


def bombs() -> Iterator[Case]:
    yield Case("jpeg that claims 65500 x 65500", lambda: with_size(jpeg(), 65_500, 65_500), LARGE)
    yield Case("jpeg that claims 20000 x 20000", lambda: with_size(jpeg(), 20_000, 20_000), LARGE)
    yield Case("jpeg that claims 8000 x 5001", lambda: with_size(jpeg(), 8000, 5001), LARGE)
    yield Case("progressive jpeg of 200 scans", lambda: repeated_scans(6000, 200), PARTS)
    yield Case("progressive jpeg of 20,000 scans", lambda: repeated_scans(64, 20_000), PARTS)
    yield Case(
        "progressive jpeg of 60 scans", lambda: repeated_scans(64, 50), like(np.full((64, 64), 128, np.uint8))
    )


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
    yield Case("40 megapixels of progressive cmyk", lambda: _large("CMYK", progressive=True), whole)


def _large(mode: str, **options: object) -> bytes:
    return saved(Image.new(mode, (8000, 5000)), "JPEG", **options)


def _ramp() -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 256, (256, 256), dtype=np.uint8)
    return Image.fromarray(noise)


def _ycck() -> bytes:
    """Four channels that an Adobe block calls YCCK; Pillow writes them as CMYK, so the colours are odd."""
    data = jpeg(mode="CMYK")
    place = data.find(b"Adobe")
    if place < 0:
        return with_segments(data, segment(0xEE, b"Adobe\0\x64\0\0\0\0\2"))
    return data[: place + 11] + b"\2" + data[place + 12 :]


def _find(data: bytes, marker: int) -> tuple[int, int]:
    start = data.index(bytes([0xFF, marker]))
    return start, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def _without(data: bytes, marker: int) -> bytes:
    start, end = _find(data, marker)
    return data[:start] + data[end:]


def _twice(data: bytes, marker: int) -> bytes:
    start, end = _find(data, marker)
    return data[:end] + data[start:end] + data[end:]


def _depth(data: bytes, bits: int) -> bytes:
    start, _ = _find(data, 0xC0)
    return data[: start + 4] + bytes([bits]) + data[start + 5 :]


def _components(data: bytes, number: int) -> bytes:
    start, _ = _find(data, 0xC0)
    return data[: start + 9] + bytes([number]) + data[start + 10 :]
