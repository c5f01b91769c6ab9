"""Writes the sample pictures and their manifest: `python -m samples.make_phantoms [--out DIR] [--seed N]`."""

import argparse
import csv
import hashlib
import io
from pathlib import Path

from PIL import Image

from samples.catalogue import PHANTOMS, SEED
from samples.phantom import Phantom, render, to_pixels

COLUMNS = ("file", "expected", "kind", "shows", "lesion_x", "lesion_y", "lesion_radius", "sha256")


def encode(phantom: Phantom, seed: int) -> bytes:
    """The phantom as the bytes of a grey 8-bit PNG without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(render(phantom, seed)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def describe(phantom: Phantom, png: bytes) -> dict[str, str]:
    """The phantom's row of the manifest; lesion centre and radius in pixels, empty without lesion."""
    row = dict.fromkeys(COLUMNS, "")
    row |= {"file": f"{phantom.name}.png", "shows": phantom.shows, "sha256": hashlib.sha256(png).hexdigest()}
    lesion = phantom.lesion
    if lesion is None:
        return row | {"expected": "No Tumor", "kind": "healthy"}
    column, line = to_pixels(phantom, lesion.x, lesion.y)
    return row | {
        "expected": "Tumor",
        "kind": lesion.kind,
        "lesion_x": f"{column:.0f}",
        "lesion_y": f"{line:.0f}",
        "lesion_radius": f"{lesion.radius / phantom.mm_per_px:.0f}",
    }


def write_all(folder: Path, seed: int) -> None:
    """Writes eight pictures and manifest.csv into `folder`, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for phantom in PHANTOMS:
        png = encode(phantom, seed)
        (folder / f"{phantom.name}.png").write_bytes(png)
        rows.append(describe(phantom, png))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    write_all(options.out, options.seed)


if __name__ == "__main__":
    main()
