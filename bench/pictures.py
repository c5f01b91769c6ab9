"""Grey noise as pictures: each different, and the same in every run."""

import io

import numpy as np
from PIL import Image


def picture_bytes(number: int, side: int, image_format: str = "PNG") -> bytes:
    """A file of grey noise, `side` pixels wide and high, made from `number` alone."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)
    file = io.BytesIO()
    options = {"compress_level": 1} if image_format == "PNG" else {}
    Image.fromarray(noise).save(file, image_format, **options)
    return file.getvalue()
