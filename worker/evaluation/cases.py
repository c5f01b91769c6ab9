"""A folder of labelled pictures -> cases: which file shows what, from where, of whom."""

import csv
from dataclasses import dataclass
from pathlib import Path

from shared.results import HEALTHY_CLASS, UNTYPED_CLASS

TYPES = ("glioma", "meningioma", "pituitary")
CLASSES = (*TYPES, HEALTHY_CLASS)
SUFFIXES = (".jpg", ".jpeg", ".png")
MANIFEST = "manifest.csv"

_EXPECTED = f"{UNTYPED_CLASS} and {HEALTHY_CLASS}, or {', '.join(CLASSES)}"


@dataclass(frozen=True, slots=True)
class Case:
    """One picture and what is true of it."""

    file: str  # relative to the folder
    label: str  # UNTYPED_CLASS or one of CLASSES
    source: str  # "" where nobody says
    group: str  # pictures that are not independent of each other, such as a patient's

    @property
    def is_tumour(self) -> bool:
        """Whatever its type."""
        return self.label != HEALTHY_CLASS


def list_cases(folder: Path, split: str | None = None) -> list[Case]:
    """The cases under `folder`, by file: from its manifest.csv if it has one, else from its class folders.

    `split` keeps the manifest's rows of that split. Raises `ValueError` when nothing is left or the classes
    are not one of the two sets, and `OSError` when the manifest cannot be read.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        cases = _from_manifest(manifest, split)
    elif split is not None:
        raise ValueError(f"There is no {MANIFEST} that would say what belongs to the split {split!r}.")
    else:
        cases = _from_folders(folder)
    if not cases:
        kept = f" of the split {split!r}" if split else ""
        raise ValueError(f"There are no pictures{kept}. Expected class folders {_EXPECTED}.")
    labels = {case.label for case in cases}
    if UNTYPED_CLASS in labels and labels & set(TYPES):
        raise ValueError(f'The class "{UNTYPED_CLASS}" cannot stand beside types. Expected {_EXPECTED}.')
    return sorted(cases, key=lambda case: case.file)


def _from_manifest(path: Path, split: str | None) -> list[Case]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        needed = {"file", "class"} | ({"split"} if split is not None else set())
        if missing := needed - set(rows.fieldnames or ()):
            raise ValueError(f"{MANIFEST} lacks the column {', '.join(sorted(missing))}.")
        return [_from_row(row) for row in rows if split is None or row["split"] == split]


def _from_row(row: dict[str, str]) -> Case:
    file, label = row["file"], row["class"]
    if not file or label not in (UNTYPED_CLASS, *CLASSES):
        raise ValueError(f'{MANIFEST} gives {file} the class "{label}". Expected {_EXPECTED}.')
    return Case(file, label, row.get("source") or "", row.get("group") or file)


def _from_folders(folder: Path) -> list[Case]:
    return [
        Case(file, label, "", file)
        for label in (UNTYPED_CLASS, *CLASSES)
        for path in (folder / label).rglob("*")
        if path.suffix.lower() in SUFFIXES
        for file in [path.relative_to(folder).as_posix()]
    ]
