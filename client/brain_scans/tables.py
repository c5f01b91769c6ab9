"""CSV files with the columns `filename` and `patient_id`."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from brain_scans.errors import WrongUseError

FILENAME, PATIENT = "filename", "patient_id"
MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A file and its patient as they were written; no patient is the empty text."""

    filename: str
    patient: str


def read_table_file(path: Path) -> list[Row]:
    """The rows of a file. Raises `WrongUseError` if it cannot be used."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongUseError(f"{path} cannot be read: {error.strerror}.") from error
    return read_table(data, str(path))


def read_table(data: bytes, name: str) -> list[Row]:
    """The rows; commas or semicolons, as spreadsheets write them. Raises `WrongUseError` naming the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUseError(f"{name} is not UTF-8 text. Save it as CSV UTF-8.") from None
    head = text.split("\n", 1)[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    columns = [column.strip().lower() for column in reader.fieldnames or []]
    if FILENAME not in columns:
        raise WrongUseError(f"{name} needs a first line with the columns {FILENAME},{PATIENT}.")
    reader.fieldnames = columns
    rows = []
    try:
        for line in reader:
            filename = (line.get(FILENAME) or "").strip().replace("\\", "/").removeprefix("./")
            if not filename:
                raise WrongUseError(f"{name}, line {reader.line_num}: the file name is missing.")
            rows.append(Row(filename, (line.get(PATIENT) or "").strip()))
    except csv.Error as error:
        raise WrongUseError(f"{name}, line {reader.line_num}: {error}.") from error
    return rows
