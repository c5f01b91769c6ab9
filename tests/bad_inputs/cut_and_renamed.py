"""Files that are cut, empty, made of noise, or something else under a picture's name."""

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Iterator

from PIL import Image

from tests.bad_inputs.case import CLOSE, DAMAGED, EMPTY, FRAMES, NEITHER, Case, like
from tests.bad_inputs.making import (
    SIGNATURE,
    SLICE,
    chunk,
    directory,
    jpeg,
    saved,
    segment,
    sliced,
    with_segments,
)

BIG = Image.linear_gradient("L")  # 256 x 256


def cut() -> Iterator[Case]:
    whole = {
        "png": sliced(),
        "png written by a library": saved(BIG),
        "optimised png": saved(BIG, optimize=True),
        "jpeg": saved(BIG, "JPEG"),
        "progressive jpeg": saved(BIG, "JPEG", progressive=True),
        "colour jpeg": saved(BIG.convert("RGB"), "JPEG"),
    }
    for kind, data in whole.items():
        for share in (5, 30, 60, 95):
            yield Case(f"{kind} cut at {share} %", lambda d=data, s=share: d[: len(d) * s // 100], DAMAGED)
        yield Case(f"{kind} without its last byte", lambda d=data: d[:-1], DAMAGED)
    yield Case("png without its end", lambda: sliced()[:-12], DAMAGED)
    yield Case("jpeg without its end", lambda: jpeg()[:-2], DAMAGED)
    yield Case("nothing", lambda: b"", EMPTY)
    for first in (b"\x89", b"\xff", b"\0", b"G"):
        yield Case(f"one byte {first.hex()}", lambda f=first: f, NEITHER)
    yield Case("png signature only", lambda: SIGNATURE, DAMAGED)
    yield Case("png signature damaged by text mode", lambda: sliced().replace(b"\r\n", b"\n", 1), DAMAGED)
    yield Case("png header only", lambda: sliced()[:33], DAMAGED)
    yield Case("jpeg start only", lambda: b"\xff\xd8", DAMAGED)
    yield Case("jpeg start and end", lambda: b"\xff\xd8\xff\xd9", DAMAGED)
    yield Case("jpeg tables only", lambda: jpeg()[: jpeg().index(b"\xff\xc0")] + b"\xff\xd9", DAMAGED)
    for seed in range(4):
        noise = random.Random(seed).randbytes(5000)  # noqa: S311
        yield Case(f"noise {seed}", lambda n=noise: b"\1" + n, NEITHER)
        yield Case(f"noise {seed} after a png signature", lambda n=noise: SIGNATURE + n, DAMAGED)
        yield Case(f"noise {seed} after a jpeg start", lambda n=noise: b"\xff\xd8" + n, DAMAGED)
    yield Case("two zeroed blocks", lambda: bytes(8192), NEITHER)
    yield Case("png whose second half is zeroes", lambda: _zeroed(saved(BIG)), DAMAGED)


def renamed() -> Iterator[Case]:
    rgb = Image.new("RGB", (8, 8), "red")
    others = {
        "exe": b"MZ\x90\0" + bytes(60) + b"PE\0\0",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "svg with declaration": b"<?xml version='1.0'?><!DOCTYPE svg><svg/>",
        "html": b"<!DOCTYPE html><script>alert(1)</script>",
        "zip": zipped(b"nothing"),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\n1 0 obj<<>>endobj",
        "gif": saved(rgb, "GIF"),
        "tiff little endian": saved(rgb, "TIFF"),
        "tiff big endian": b"MM\0*" + bytes(64),
        "animated gif": saved(rgb, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]),
        "tiff of 32 bit numbers": saved(Image.new("F", (8, 8), 0.5), "TIFF"),
        "svg in gzip": gzip.compress(b"<svg xmlns='http://www.w3.org/2000/svg'/>", mtime=0),
        "windows shortcut": b"L\0\0\0\x01\x14\x02\0" + bytes(68),
        "webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24),
        "bmp": saved(rgb, "BMP"),
        "ico": saved(rgb, "ICO"),
        "eps": saved(rgb, "EPS"),
        "psd": b"8BPS\0\1" + bytes(60),
        "dicom": bytes(128) + b"DICM" + bytes(64),
        "nifti": struct.pack("<i", 348) + bytes(344),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        "jpeg xl": b"\xff\x0a" + bytes(40),
        "heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "mng": b"\x8aMNG\r\n\x1a\n" + bytes(40),
        "gzip": b"\x1f\x8b\x08" + bytes(40),
        "elf": b"\x7fELF" + bytes(60),
        "php": b"<?php system($_GET['c']); ?>",
        "python pickle": b"\x80\x04\x95",
        "utf-16 text": "\ufeffslice".encode("utf-16"),
    }
    for kind, data in others.items():
        yield Case(f"{kind} named .png", lambda d=data: d, NEITHER, f"{kind}.png")


def polyglots() -> Iterator[Case]:
    """Pictures that are something else as well: they are pictures, and are never served as the other."""
    page = b"<html><script>alert(1)</script></html>"
    grey = like(SLICE, CLOSE)
    yield Case("jpeg and zip", lambda: jpeg() + zipped(b"<?php ?>"), grey, "both.jpg")
    yield Case("png and zip", lambda: sliced() + zipped(b"<?php ?>"), like(SLICE))
    yield Case("png and html after its end", lambda: sliced() + page, like(SLICE), "page.html.png")
    yield Case("png with html in a text", lambda: sliced(chunk(b"tEXt", b"c\0" + page)), like(SLICE))
    yield Case("jpeg with php in a comment", lambda: with_segments(jpeg(), segment(0xFE, b"<?php ?>")), grey)
    yield Case("jpeg then pdf", lambda: jpeg() + b"%PDF-1.7 %%EOF", grey)
    yield Case("pdf then jpeg", lambda: b"%PDF-1.7\n" + jpeg(), NEITHER)
    yield Case("gif then png", lambda: b"GIF89a" + sliced(), NEITHER)
    yield Case("jpeg then jpeg", lambda: jpeg() + jpeg(255 - SLICE), grey)
    yield Case("png then jpeg", lambda: sliced() + jpeg(), like(SLICE))
    yield Case("jpeg start, then a png", lambda: b"\xff\xd8" + sliced(), DAMAGED)
    yield Case("png named .jpg", sliced, like(SLICE), "a.jpg")
    yield Case("jpeg named .png", jpeg, grey, "a.png")
    yield Case("png with trailing garbage", lambda: sliced() + bytes(100_000), like(SLICE))
    yield Case("jpeg with trailing garbage", lambda: jpeg() + bytes(range(256)) * 100, grey)


def animated() -> Iterator[Case]:
    first, second = Image.fromarray(SLICE), Image.fromarray(255 - SLICE)
    apng = saved(first, save_all=True, append_images=[second])
    mpo = saved(first.convert("RGB"), "MPO", save_all=True, append_images=[second.convert("RGB")])
    block = directory([(0xB001, 4, 1, 1)])
    yield Case("animated png", lambda: apng, FRAMES)
    yield Case("multi-picture jpeg", lambda: mpo, FRAMES, "stereo.jpg")
    yield Case(
        "animation of one frame", lambda: sliced(chunk(b"acTL", struct.pack(">II", 1, 0))), like(SLICE)
    )
    yield Case("animation of 2^31 frames", lambda: sliced(chunk(b"acTL", b"\x80\0\0\0\0\0\0\0")), FRAMES)
    yield Case("animation that says nothing", lambda: sliced(chunk(b"acTL")), like(SLICE))
    yield Case(
        "multi-picture jpeg of one",
        lambda: with_segments(jpeg(), segment(0xE2, b"MPF\0" + block)),
        like(SLICE, CLOSE),
    )
    yield Case(
        "damaged multi-picture block",
        lambda: with_segments(jpeg(), segment(0xE2, b"MPF\0MM")),
        like(SLICE, CLOSE),
    )


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.php", content)
    return file.getvalue()


def _zeroed(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
