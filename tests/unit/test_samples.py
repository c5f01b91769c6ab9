"""The shipped phantoms are what the generator makes, and the manifest tells the truth about them."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from samples.catalogue import PHANTOMS, SEED
from samples.make_phantoms import describe
from samples.phantom import Phantom, render

FOLDER = Path(__file__).parents[2] / "samples"
MAX_BYTES = 250_000


def manifest() -> list[dict[str, str]]:
    with (FOLDER / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shipped(phantom: Phantom) -> npt.NDArray[np.uint8]:
    with Image.open(FOLDER / f"{phantom.name}.png") as image:
        return np.asarray(image)


@pytest.mark.parametrize("phantom", PHANTOMS, ids=lambda phantom: phantom.name)
def test_regeneration_gives_the_shipped_pixels(phantom: Phantom) -> None:
    """One grey level of slack: another machine's libm may round differently."""
    fresh, kept = render(phantom, SEED), shipped(phantom)
    assert fresh.shape == kept.shape
    assert np.abs(fresh.astype(int) - kept.astype(int)).max() <= 1


def test_another_seed_gives_other_heads() -> None:
    phantom = PHANTOMS[1]
    assert not np.array_equal(render(phantom, SEED + 1), shipped(phantom))


def test_manifest_lists_exactly_the_shipped_pictures() -> None:
    pictures = sorted(path.name for path in FOLDER.glob("*.png"))
    assert [row["file"] for row in manifest()] == pictures == [f"{p.name}.png" for p in PHANTOMS]


def test_manifest_rows_and_checksums_match_the_files() -> None:
    for phantom, row in zip(PHANTOMS, manifest(), strict=True):
        png = (FOLDER / row["file"]).read_bytes()
        assert row == describe(phantom, png)
        assert row["sha256"] == hashlib.sha256(png).hexdigest()


def test_half_of_the_pictures_show_a_tumour() -> None:
    expected = [row["expected"] for row in manifest()]
    assert expected.count("Tumor") == expected.count("No Tumor") == 4


@pytest.mark.parametrize("phantom", PHANTOMS, ids=lambda phantom: phantom.name)
def test_pictures_are_small_grey_eight_bit_pngs_without_metadata(phantom: Phantom) -> None:
    path = FOLDER / f"{phantom.name}.png"
    assert path.stat().st_size < MAX_BYTES
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.mode) == ("PNG", "L")
        assert image.info == {}
        assert len(image.getexif()) == 0
        assert image.size == (phantom.width, phantom.height)


@pytest.mark.parametrize("row", [row for row in manifest() if row["lesion_x"]], ids=lambda row: row["file"])
def test_manifest_points_at_a_bright_structure(row: dict[str, str]) -> None:
    """A good part of the marked circle, a ring's wall too, shines well above the rest of the head."""
    x, y, radius = (int(row[key]) for key in ("lesion_x", "lesion_y", "lesion_radius"))
    with Image.open(FOLDER / row["file"]) as image:
        pixels = np.asarray(image, dtype=np.float64)
    rows, columns = np.indices(pixels.shape)
    away = np.hypot(columns - x, rows - y)
    rest_of_head = pixels[(away > 1.6 * radius) & (pixels > 30)]
    assert np.percentile(pixels[away < 1.1 * radius], 85) > 1.6 * np.median(rest_of_head)
