"""The table that says whose each file of a ZIP is."""

import csv
import io

from shared.errors import ValidationError

MANIFEST = "manifest.csv"
COLUMNS = ("filename", "patient_id")
MAX_MANIFEST_BYTES = 1_000_000


def read_manifest(content: bytes) -> dict[str, str]:
    """File name -> patient, as written. Raises `ValidationError` naming the line that is wrong."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise ValidationError("manifest: it is too long.", "manifest")
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        names = [name.strip().lower() for name in reader.fieldnames or ()]
    except (UnicodeDecodeError, csv.Error):
        raise ValidationError("manifest: it is not a CSV file in UTF-8.", "manifest") from None
    if not set(COLUMNS) <= set(names):
        raise ValidationError(f"manifest: the columns {','.join(COLUMNS)} are needed.", "manifest")
    reader.fieldnames = names
    rows: dict[str, str] = {}
    try:
        for row in reader:
            filename = (row["filename"] or "").strip()
            if not filename or filename in rows:
                raise ValidationError(
                    f"manifest: line {reader.line_num} names no file, or one that was named before.",
                    "manifest",
                )
            rows[filename] = (row["patient_id"] or "").strip()
    except csv.Error:
        line = reader.reader.line_num  # of the line that could not be read; `reader` still has the one before
        raise ValidationError(f"manifest: line {line} is damaged.", "manifest") from None
    if not rows:
        raise ValidationError("manifest: it names no file.", "manifest")
    return rows
