"""Do the model's files belong together? Reads them, and loads nothing."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.doctor.finding import Finding, ok, problem, warning

NAME = "model"
MANIFEST = "manifest.json"


def check(folder: Path) -> Iterator[Finding]:
    if folder.is_file():
        yield ok(NAME, "a file of weights without a manifest, as the replaced system had")
    elif not (folder / MANIFEST).is_file():
        yield warning(
            NAME,
            "There is no model here. That is fine where no scan worker runs; elsewhere point MODEL_FOLDER at "
            "a folder with manifest.json and weights.",
        )
    else:
        yield _files(folder)


def _files(folder: Path) -> Finding:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        wanted = _hashes(manifest)
    except (OSError, ValueError, KeyError, TypeError):
        return problem(NAME, "manifest.json cannot be read or lacks fields: copy the model folder again.")
    for name, sha256 in wanted.items():
        try:
            with (folder / Path(name).name).open("rb") as file:
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return problem(NAME, f"{Path(name).name} cannot be read: copy the model folder again.")
        if not is_same:
            return problem(
                NAME, f"{Path(name).name} is not the file that manifest.json names: copy the folder again."
            )
    return ok(
        NAME, f"{manifest.get('name')} {manifest.get('version')}: {len(wanted)} files as in the manifest"
    )


def _hashes(manifest: dict[str, Any]) -> dict[str, str]:
    hashes = {str(manifest["weights_file"]): str(manifest["weights_sha256"])}
    gate = manifest.get("gate")
    return hashes | ({str(gate["file"]): str(gate["sha256"])} if gate else {})
