"""What the drawn evidence shows."""

import io

import numpy as np
from PIL import Image

from worker.heatmap import draw
from worker.png import encode_png
from worker.preprocessing import Crop


def drawn(evidence: np.ndarray, crop: Crop, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    picture = Image.new("L", size, 100)
    drawing = draw(picture, evidence.astype(np.float32), crop)
    heatmap, overlay = (
        Image.open(io.BytesIO(data)).convert("RGB") for data in (drawing.heatmap, drawing.overlay)
    )
    assert heatmap.size == overlay.size == size
    return np.asarray(heatmap, dtype=int), np.asarray(overlay, dtype=int)


def test_no_evidence_leaves_the_picture_as_it_is_and_the_heatmap_black() -> None:
    heatmap, overlay = drawn(np.zeros((8, 8)), Crop(0, 0, 64), (64, 48))
    assert heatmap.max() == 0
    assert (overlay == 100).all()


def test_the_scale_is_absolute_not_stretched_to_the_maps_own_maximum() -> None:
    weak, _ = drawn(np.full((4, 4), 0.2), Crop(0, 0, 32), (32, 32))
    strong, _ = drawn(np.full((4, 4), 0.9), Crop(0, 0, 32), (32, 32))
    assert weak.mean() < strong.mean() / 3


def test_evidence_lies_where_the_crop_was() -> None:
    evidence = np.zeros((2, 2))
    evidence[0, 1] = 1.0  # top right quarter of the crop
    heatmap, overlay = drawn(evidence, Crop(left=20, top=-10, side=60), (100, 50))
    hottest = np.unravel_index(heatmap.sum(axis=2).argmax(), heatmap.shape[:2])
    assert hottest[0] < 20
    assert hottest[1] >= 50
    assert heatmap[:, :20].max() == 0
    assert heatmap[:, 80:].max() == 0
    assert (overlay[:, :20] == 100).all()


def test_evidence_is_spread_as_if_the_whole_map_were() -> None:
    """Only the part with evidence is resampled: it comes out as it would from the whole."""
    random = np.random.default_rng(3)
    for crop in (Crop(-20, 7, 131), Crop(30, -90, 222), Crop(5, 5, 20), Crop(0, 95, 10), Crop(200, 0, 50)):
        evidence = np.zeros((20, 20))
        top, left = random.integers(0, 20, 2)
        evidence[top : top + 4, left : left + 3] = random.random()
        whole = Image.fromarray((evidence.astype(np.float32) * 255).round().astype(np.uint8))
        canvas = Image.new("L", (120, 100))
        canvas.paste(whole.resize((crop.side, crop.side), Image.Resampling.BILINEAR), (crop.left, crop.top))
        drawing = draw(Image.new("L", (120, 100), 100), evidence.astype(np.float32), crop)
        levels = np.asarray(Image.open(io.BytesIO(drawing.heatmap)), dtype=int)
        assert np.abs(levels - np.asarray(canvas, dtype=int)).max() <= 1


def test_numbers_that_are_none_do_not_paint() -> None:
    heatmap, _ = drawn(np.full((4, 4), np.nan), Crop(0, 0, 32), (32, 32))
    assert heatmap.max() == 0


def test_written_pngs_read_back_pixel_for_pixel() -> None:
    random = np.random.default_rng(0)
    for mode, shape in (("L", (7, 13)), ("RGB", (7, 13, 3))):
        image = Image.fromarray(random.integers(0, 256, shape, np.uint8), mode=None)
        again = Image.open(io.BytesIO(encode_png(image)))
        assert (again.mode, again.size) == (mode, (13, 7))
        assert np.array_equal(np.asarray(again), np.asarray(image))
