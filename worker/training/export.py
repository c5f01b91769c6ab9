"""A trained network -> weights and manifest that the worker loads."""

import math
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.inference.answers import CLASSES
from worker.inference.engines import OPENVINO_INT8
from worker.inference.manifest import (
    ARCHITECTURE,
    QUANTISATION_VERSION,
    Band,
    Calibration,
    GateFile,
    Manifest,
    Training,
    sha256_of,
    write_manifest,
)
from worker.inference.network import LocalEvidenceNet
from worker.inference.weights import save_weights
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD, PREPROCESSING_VERSION
from worker.training.acceptance import Verdict
from worker.training.gate import Fitted
from worker.training.holdout import AS_TRAINED

NO_BAND = Band()
LARGEST_FILE = 23_000_000  # bytes; the repository carries the weights


@dataclass(frozen=True, slots=True)
class Made:
    """What a manifest says about a trained network."""

    input_size: int  # px
    training: Training
    metrics: dict[str, Any]
    calibration: Calibration = AS_TRAINED
    band: Band = NO_BAND
    int8: Verdict | None = None
    gate: Fitted | None = None


def export(network: LocalEvidenceNet, folder: Path, name: str, version: str, made: Made) -> Manifest:
    """Write `<name>.safetensors`, the gate and manifest.json into `folder`.

    Raises `ValueError` when the weights are too large for the repository or for half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{name}.safetensors"
    save_weights(network, weights)
    if weights.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{weights} has {weights.stat().st_size} bytes; at most {LARGEST_FILE} are wanted.")
    int8 = made.int8 if made.int8 and made.int8.is_accepted else None
    manifest = Manifest(
        name=name,
        version=version,
        architecture=ARCHITECTURE,
        head=network.parameters_of_head.as_dict(),
        classes=CLASSES,
        input_size=made.input_size,
        preprocessing_version=PREPROCESSING_VERSION,
        pixel_mean=PIXEL_MEAN,
        pixel_std=PIXEL_STD,
        weights_file=weights.name,
        weights_sha256=sha256_of(weights),
        calibration=made.calibration,
        band=made.band,
        gate=_export_gate(folder / f"{name}.gate.safetensors", made.gate) if made.gate else None,
        training=made.training,
        metrics=rounded(made.metrics),
        engines={OPENVINO_INT8: rounded(int8.figures)} if int8 else {},
        activation_ranges=int8.ranges if int8 else {},
        quantisation_version=QUANTISATION_VERSION if int8 else None,
    )
    write_manifest(folder, manifest)
    return manifest


def _export_gate(path: Path, fitted: Fitted) -> GateFile:
    fitted.gate.save(path)
    return GateFile(
        file=path.name,
        sha256=sha256_of(path),
        threshold=fitted.threshold,
        figures=rounded(fitted.figures),
    )


def current_commit() -> str:
    """The repository's commit, with "-dirty" when files differ from it; "unknown" outside a checkout."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - git is wherever the developer has it
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def rounded(value: Any) -> Any:
    """Floats to four digits, through dictionaries; what is not a number (an AUC of one class) is left out."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items() if not _is_nan(inner)}
    return round(value, 4) if isinstance(value, float) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
