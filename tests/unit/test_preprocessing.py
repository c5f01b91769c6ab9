"""`worker.preprocessing.prepare`: the same numbers for the same head, whatever is around it."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from shared.images import read_grey
from worker import preprocessing
from worker.preprocessing import Crop, crop_mask, find_head, prepare

REAL = Path(__file__).parents[3] / "shared" / "data" / "dev_samples"


def head(width=200, height=240, centre=(100, 120), radii=(60, 80), background=0, noise=0.0):
    """An ellipse of folded tissue with a bright rim on an even background, as an image of mode "L"."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((columns - centre[0]) / radii[0], (rows - centre[1]) / radii[1])
    tissue = 110 + 40 * np.sin(columns / 4) * np.cos(rows / 5)
    picture = np.where(distance < 1, np.where(distance > 0.9, 220, tissue), background)
    picture = picture + noise * rng.standard_normal(picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def test_the_crop_is_a_square_around_the_head_with_a_small_margin():
    crop = prepare(head(), 64).crop
    assert 160 <= crop.side <= 190
    assert abs(crop.left + crop.side / 2 - 100) <= 3
    assert abs(crop.top + crop.side / 2 - 120) <= 3


def test_a_black_margin_changes_nothing():
    tight = head()
    wide = Image.new("L", (400, 300), 0)
    wide.paste(tight, (150, 20))
    first, second = prepare(tight, 64), prepare(wide, 64)
    assert np.abs(first.pixels - second.pixels).mean() < 0.2
    assert abs(second.crop.left - first.crop.left - 150) <= 4


def test_the_aspect_ratio_is_kept_and_the_square_may_stick_out_of_the_picture():
    narrow = head(width=130, centre=(65, 120))
    result = prepare(narrow, 96)
    assert result.crop.left < 0
    inside = result.pixels[0] > result.pixels[0].min() + 0.3
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert (np.ptp(rows) + 1) / (np.ptp(columns) + 1) == pytest.approx(80 / 60, rel=0.06)


@pytest.mark.parametrize("background", [40, 255])
def test_a_head_is_found_on_a_grey_and_on_a_white_page(background):
    assert prepare(head(background=background), 64).crop.side < 215


def test_a_head_is_found_in_scanner_noise_and_beside_a_text_label():
    noisy = np.asarray(head(noise=6)).copy()
    noisy[3:9, 3:60] = 255
    crop = prepare(Image.fromarray(noisy), 64).crop
    assert crop.side < 200


def test_exposure_and_gamma_hardly_matter():
    picture = np.asarray(head(), dtype=float)
    dark = Image.fromarray((255 * (picture / 255) ** 1.5 * 0.6).astype(np.uint8))
    first, second = prepare(head(), 64).pixels, prepare(dark, 64).pixels
    assert np.abs(first - second).mean() < 0.15


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64)),
        np.full((50, 90), 255),
        np.eye(40) * 255,
        np.zeros((1, 1)),
        np.full((3, 700), 7),
        np.random.default_rng(0).integers(0, 256, (200, 200)),
    ],
    ids=["black", "white", "line", "one pixel", "strip", "noise"],
)
def test_any_picture_gives_finite_numbers_of_the_right_shape(picture):
    result = prepare(Image.fromarray(picture.astype(np.uint8)), 64)
    assert result.pixels.shape == (1, 64, 64)
    assert result.pixels.dtype == np.float32
    assert np.isfinite(result.pixels).all()
    assert result.crop.side >= 1


def test_without_a_credible_head_the_whole_picture_is_taken():
    crop = prepare(Image.new("L", (100, 60), 9), 64).crop
    assert (crop.left, crop.side) == (-4, 108)


def test_a_mask_is_cut_like_its_picture():
    picture = head()
    mask = np.zeros((240, 200), np.uint8)
    mask[100:120, 80:100] = 255
    crop = prepare(picture, 80).crop
    cut = crop_mask(Image.fromarray(mask), crop, 80)
    row, column = ndimage.center_of_mass(cut)
    assert crop.top + (row + 0.5) * crop.side / 80 == pytest.approx(110, abs=1.5)
    assert crop.left + (column + 0.5) * crop.side / 80 == pytest.approx(90, abs=1.5)


def test_the_head_mask_is_never_empty():
    for value in (0, 255):
        _, mask, background = find_head(Image.new("L", (30, 30), value))
        assert mask.any()
        assert background == value


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real slices")
def test_real_slices_are_cropped_and_quick():
    for path in sorted(REAL.glob("*.jpg")):
        image = read_grey(path.read_bytes())
        best = min(_seconds(image) for _ in range(5))
        assert prepare(image, 128).crop.side <= 1.1 * max(image.size)
        # About 4 ms for 512 x 512 on an idle core; the bound leaves room for a busy one.
        assert best < 0.05


def _seconds(image):
    start = time.perf_counter()
    assert isinstance(prepare(image, 128).crop, Crop)
    return time.perf_counter() - start


def test_percentiles_are_those_of_numpy():
    rng = np.random.default_rng(2)
    for count in (1, 2, 3, 10, 1000):
        values = rng.integers(0, 511, count).astype(np.uint16)
        shares = (0.0, 1.0, 50.0, 99.5, 100.0, float(rng.uniform(0, 100)))
        found = preprocessing._percentiles(values, shares)
        np.testing.assert_allclose(found, np.percentile(values, shares), atol=1e-9)


def test_opening_is_that_of_scipy():
    rng = np.random.default_rng(3)
    for shape in ((1, 1), (1, 9), (2, 3), (3, 3), (17, 40)):
        for density in (0.3, 0.8, 0.95, 1.0):
            mask = rng.random(shape) < density
            expected = ndimage.binary_opening(mask, np.ones((3, 3), bool), border_value=0)
            np.testing.assert_array_equal(preprocessing._open(mask), expected)
