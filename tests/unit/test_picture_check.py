"""`worker.picture_check`: what is plain to see without the model."""

import io

import numpy as np
import pytest
from PIL import Image

from shared.images import COLOUR_SHARE, read_grey
from tests.fakes import MadeUpPrediction, MadeUpRejection
from worker.picture_check import BLANK, IN_COLOUR, rejection_of

FINDING = MadeUpPrediction(0.9, {}, np.zeros((4, 4), np.float32))
RNG = np.random.default_rng(0)


def decoded(image: Image.Image, **options) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return read_grey(file.getvalue())


def noise(*channels: float) -> Image.Image:
    """A noisy picture whose channels are shares of the same values."""
    values = RNG.uniform(60, 255, (90, 120, 1)) * np.array(channels)
    return Image.fromarray(values.astype(np.uint8).squeeze())


def test_grey_pictures_are_left_to_the_model():
    for picture in (noise(1.0), noise(1.0, 1.0, 1.0), noise(1.0, 0.9, 0.95)):
        assert rejection_of(decoded(picture), FINDING) is None
    rejection = MadeUpRejection()
    rejected = MadeUpPrediction(0.9, {}, np.zeros((4, 4), np.float32), rejection=rejection)
    assert rejection_of(decoded(noise(1.0)), rejected) is rejection


def test_blank_pictures_are_rejected_whatever_the_model_says():
    found = rejection_of(decoded(Image.new("L", (50, 60), 200)), FINDING)
    assert (found.reason, found.score) == (BLANK, 1.0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_pictures_are_rejected_in_every_mode(mode):
    picture = noise(1.0, 0.4, 0.2).convert(mode)
    file = io.BytesIO()
    picture.save(file, "JPEG" if mode == "CMYK" else "PNG")
    assert rejection_of(read_grey(file.getvalue()), FINDING).reason == IN_COLOUR


def test_a_coloured_label_beside_a_slice_is_no_colour_picture():
    picture = noise(1.0, 1.0, 1.0)
    picture.paste((255, 40, 40), (0, 0, 40, 30))
    grey = decoded(picture)
    assert 0.05 < grey.info[COLOUR_SHARE] < 0.25
    assert rejection_of(grey, FINDING) is None
