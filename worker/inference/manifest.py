"""manifest.json beside the weights: what the model is, what made it, and what it needs to run."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.errors import ModelFileError

MANIFEST_NAME = "manifest.json"
ARCHITECTURE = "resnet18-local-evidence"
QUANTISATION_VERSION = "shared-steps-2"
"""Of `worker.inference.quantisation`: change it whenever the same weights and ranges give other answers."""


class Training(BaseModel):
    """Where the weights come from: enough to train them again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    seed: int
    epochs: int
    data_sha256: str
    config: dict[str, Any]


class Calibration(BaseModel):
    """The tumour probability is sigmoid(scale * logit + offset)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(1.0, gt=0)
    offset: float = 0.0


class Band(BaseModel):
    """Tumour probabilities strictly between `low` and `high` are inconclusive: a person must look.

    `sensitivity` is the share of tumour slices at or above `low`, `specificity` the share of others at or
    below `high`, as chosen; both on the val split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(0.5, ge=0, le=0.5)
    high: float = Field(0.5, ge=0.5, le=1)
    sensitivity: float | None = None
    specificity: float | None = None


class GateFile(BaseModel):
    """The input gate: pictures that score above `threshold` are rejected as no brain MRI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    threshold: float = Field(gt=0, lt=1)
    figures: dict[str, Any]


class Manifest(BaseModel):
    """A model's description; unknown or missing fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    architecture: str
    head: dict[str, float]
    classes: tuple[str, ...]
    input_size: int = Field(ge=32)
    preprocessing_version: str
    pixel_mean: float
    pixel_std: float
    weights_file: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    calibration: Calibration = Calibration()
    band: Band = Band()
    gate: GateFile | None = None
    training: Training
    metrics: dict[str, Any]
    engines: dict[str, dict[str, float]] = {}
    """Engines of reduced precision that may run this model, each with its figures on the val split."""
    activation_ranges: dict[str, float] = {}
    """Upper end of each layer's input, for eight-bit engines; see `worker.inference.quantisation`."""
    quantisation_version: str | None = None
    """The way of making eight-bit engines that `engines` was measured with."""

    @field_validator("input_size")
    @classmethod
    def _whole_cells(cls, size: int) -> int:
        if size % 32:
            raise ValueError("must be a multiple of 32, the stride of the network")
        return size

    @field_validator("weights_file")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if Path(name).name != name:
            raise ValueError("must be a file name beside the manifest, without folders")
        return name


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`; raises `ModelFileError` with one line that says what to do."""
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"No readable {MANIFEST_NAME} in {folder}. Point the model setting at a folder that holds "
            "manifest.json and the weights."
        ) from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelFileError(
            f"{path} is not a valid manifest: {where}: {first['msg']}. Export the model again."
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest` as indented JSON with a newline at its end."""
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex; raises `ModelFileError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
