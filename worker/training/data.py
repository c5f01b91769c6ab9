"""A folder of class folders -> prepared pictures in memory, with masks, splits and a hash of it all."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from shared.images import read_grey
from worker.inference.answers import CLASSES, NO_TUMOUR
from worker.preprocessing import crop_mask, find_head, level

SUFFIXES = (".jpg", ".jpeg", ".png")
_VAL_SHARE = 0.15

ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of the data set."""

    file: str  # relative to the folder of class folders
    label: int  # index into CLASSES
    split: str  # "train" or "val"
    source: str
    plane: str
    group: str  # never split inside one


@dataclass(frozen=True, slots=True)
class Pictures:
    """N prepared pictures, each a square of C x C pixels around its head."""

    records: tuple[Record, ...]
    levelled: ByteArray  # (N, C, C) 0..255
    masks: ByteArray  # (N, C, C) 0..255, share of the pixel that is tumour; zero without a mask
    depths: ByteArray  # (N, C, C) distance in pixels to the nearest point outside the head
    labels: npt.NDArray[np.int64]  # (N,)
    has_mask: npt.NDArray[np.bool_]  # (N,)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def is_tumour(self) -> npt.NDArray[np.bool_]:
        """(N,) true where the class is one of the tumour types."""
        return np.asarray(self.labels != CLASSES.index(NO_TUMOUR))


def some(pictures: Pictures, chosen: npt.NDArray[np.int64]) -> Pictures:
    """The pictures at these places."""
    return Pictures(
        records=tuple(pictures.records[index] for index in chosen),
        levelled=pictures.levelled[chosen],
        masks=pictures.masks[chosen],
        depths=pictures.depths[chosen],
        labels=pictures.labels[chosen],
        has_mask=pictures.has_mask[chosen],
    )


def list_records(folder: Path) -> list[Record]:
    """The pictures under `folder`, from manifest.csv where there is one, else split by a hash of the file.

    Raises `ValueError` when there is none.
    """
    manifest = folder / "manifest.csv"
    records = _from_manifest(manifest) if manifest.is_file() else _from_folders(folder)
    if not records:
        raise ValueError(f"No pictures in class folders {', '.join(CLASSES)} under {folder}.")
    return sorted(records, key=lambda record: record.file)


def _from_manifest(path: Path) -> list[Record]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Record(
                file=row["file"],
                label=CLASSES.index(row["class"]),
                split=row["split"],
                source=row.get("source", ""),
                plane=row.get("plane", ""),
                group=row.get("group", "") or row["file"],
            )
            for row in csv.DictReader(file)
        ]


def _from_folders(folder: Path) -> list[Record]:
    records = []
    for label, name in enumerate(CLASSES):
        for path in sorted((folder / name).glob("*")):
            if path.suffix.lower() in SUFFIXES:
                # The content decides, so equal files can never be on both sides.
                digest = hashlib.sha256(path.read_bytes()).digest()
                split = "val" if digest[0] < _VAL_SHARE * 256 else "train"
                file = path.relative_to(folder).as_posix()
                records.append(Record(file, label, split, "", "", digest.hex()))
    return records


def load_pictures(folder: Path, masks: Path | None, records: Sequence[Record], side: int) -> Pictures:
    """Decode and prepare `records` at `side` px. A tumour picture without a mask file counts as unmasked."""
    count = len(records)
    levelled = np.zeros((count, side, side), np.uint8)
    mask = np.zeros_like(levelled)
    depths = np.zeros_like(levelled)
    has_mask = np.zeros(count, bool)
    for index, record in enumerate(tqdm(records, desc="prepare", unit="picture", leave=False)):
        picture, crop = level(read_grey((folder / record.file).read_bytes()), side)
        levelled[index] = np.rint(picture * 255)
        depths[index] = head_depth(levelled[index])
        path = masks / Path(record.file).with_suffix(".png") if masks else None
        if path is not None and path.is_file():
            mask[index] = np.rint(crop_mask(read_grey(path.read_bytes()), crop, side) * 255)
            has_mask[index] = bool(mask[index].max() > 127)
    labels = np.array([record.label for record in records], np.int64)
    return Pictures(tuple(records), levelled, mask, depths, labels, has_mask)


def head_depth(levelled: ByteArray) -> ByteArray:
    """(C, C) grey -> (C, C) distance in pixels to the outside of the head, 0 outside, at most 255."""
    _, head, _ = find_head(Image.fromarray(levelled))
    if head.shape != levelled.shape:  # a canvas large enough to be searched at a reduced size
        head = np.asarray(Image.fromarray(head).resize(levelled.shape[::-1], Image.Resampling.NEAREST))
    padded = np.pad(ndimage.binary_fill_holes(head), 1)
    distance = np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1]
    return np.asarray(np.minimum(distance, 255), np.uint8)


def data_hash(folder: Path, masks: Path | None, records: Sequence[Record]) -> str:
    """SHA-256 over names, splits and contents of the pictures and of their masks."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.file}|{record.label}|{record.split}|".encode())
        digest.update(hashlib.sha256((folder / record.file).read_bytes()).digest())
        path = masks / Path(record.file).with_suffix(".png") if masks else None
        if path is not None and path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
