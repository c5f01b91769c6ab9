"""The pictures of a demo: which files, in which requests, and what is expected of them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from stack.errors import StackError

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_BYTES = 15_000_000  # the API takes 16 MiB in one request, multipart headers included
MOST_FILES = 50


def find_slices(folder: Path) -> list[Path]:
    """All PNG and JPEG files below `folder`, sorted. Raises `StackError` if there are none."""
    if not folder.is_dir():
        raise StackError(f"there is no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise StackError(f"no {', '.join(SUFFIXES)} files in {folder}")
    return files


def in_requests(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The files in order, cut into uploads that the API accepts. A file that is too big goes alone."""
    request: list[Path] = []
    size = 0
    for file in files:
        added = file.stat().st_size
        if request and (len(request) == MOST_FILES or size + added > MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(file)
        size += added
    if request:
        yield request


def picture_names(files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """A distinct file name for each overlay: the stem, or the whole relative path where stems repeat."""
    names: dict[str, Path] = {}
    for file in files:
        name = file.stem
        if name in names:
            name = "-".join(file.relative_to(folder).parts)
        while name in names:
            name += "-"
        names[name] = file
    return {file: f"{name}.png" for name, file in names.items()}


def expected_predictions(folder: Path) -> dict[str, str]:
    """File name -> expected prediction, from the folder's manifest.csv; empty if there is none."""
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return {}
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["file"]: row["expected"] for row in rows if row.get("file") and row.get("expected")}
