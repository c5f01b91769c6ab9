"""Load a model folder and predict: batch in, list out, same length."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from shared.errors import ModelFileError, ModelPredictionError
from shared.results import NEEDS_REVIEW
from worker.inference.answers import CLASSES, NO_TUMOUR, probability
from worker.inference.device import choose_device
from worker.inference.engines import Engine, build_engine
from worker.inference.gate import Gate
from worker.inference.manifest import ARCHITECTURE, Manifest, read_manifest, sha256_of
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD, PREPROCESSING_VERSION

if TYPE_CHECKING:
    from worker.inference.network import HeadParameters, LocalEvidenceNet

EVIDENCE_MAP = "tumour evidence map"
NO_BRAIN_MRI = "The picture does not look like a brain MRI slice."


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a picture gets no diagnosis."""

    reason: str
    score: float
    """Probability of being no brain MRI, 0..1."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's answer for one picture."""

    probability: float
    """Of a tumour, calibrated: 1 - p(notumor)."""
    raw_probability: float
    """Of a tumour, before calibration."""
    class_probabilities: dict[str, float]
    """By the model's classes (glioma, meningioma, pituitary, notumor); sums to 1."""
    evidence_map: npt.NDArray[np.float32]
    """(h, w) in 0..1: evidence of tumour per location of the input square (= the crop). Its scale is
    absolute: an empty map means no evidence."""
    method: str = EVIDENCE_MAP
    """How the map was made. An evidence map holds each location's probability, and the picture's is a
    monotone function of it alone; up to a fixed scale it is Grad-CAM (`worker.inference.grad_cam`)."""
    review: str | None = None
    """"needs_review" where the probability lies in the manifest's inconclusive band."""
    rejection: Rejection | None = None
    """Set where the picture is no brain MRI: then nothing else may be shown as a finding."""


class Predictor:
    """A loaded model. Built once per process; holds no other state."""

    def __init__(self, engine: Engine, manifest: Manifest, gate: Gate | None = None) -> None:
        self.manifest = manifest
        self._engine = engine
        self._gate = gate

    @classmethod
    def load(cls, folder: Path, device: str = "auto", engine: str = "auto") -> Self:
        """The model in `folder` (manifest.json and weights) on "cpu", "cuda" or, with "auto", the better one.

        `engine` is one of `worker.inference.engines.NAMES` or "auto", the fastest for the device. Raises
        `ModelFileError` when manifest, weights and this code do not belong together.
        """
        manifest = read_manifest(folder)
        _check_compatible(manifest, folder)
        weights = _checked(folder / manifest.weights_file, manifest.weights_sha256)
        gate = (
            Gate.load(_checked(folder / manifest.gate.file, manifest.gate.sha256)) if manifest.gate else None
        )

        def load_network() -> "LocalEvidenceNet":
            from worker.inference.network import LocalEvidenceNet
            from worker.inference.weights import load_weights

            network = LocalEvidenceNet(_head_parameters(manifest, folder))
            load_weights(network, weights)
            return network

        built = build_engine(load_network, folder, manifest, choose_device(device), engine)
        return cls(built, manifest, gate)

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        return self._engine.device

    @property
    def engine(self) -> str:
        """The name of what runs the network."""
        return self._engine.name

    @property
    def inconclusive(self) -> tuple[float, float] | None:
        """Probabilities strictly between these are left to a person."""
        band = self.manifest.band
        return band.low, band.high

    def predict(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[Prediction]:
        """One forward pass over pictures of shape (1, S, S), float32, as `worker.preprocessing` makes them.

        Raises `ModelPredictionError` for inputs of another shape and for an answer that is not finite.
        """
        if not inputs:
            return []
        size = self.manifest.input_size
        if any(pixels.shape != (1, size, size) for pixels in inputs):
            raise ModelPredictionError(f"The model takes pictures of 1 x {size} x {size} values.")
        batch = np.stack(inputs).astype(np.float32, copy=False)
        if not np.isfinite(batch).all():  # an engine may answer such a picture as if it were a real one
            raise ModelPredictionError("The picture holds values that are not numbers.")
        answers = self._engine.run(batch)
        raw = probability(answers.tumour).astype(np.float64)  # (N,)
        classes = answers.class_probabilities(self.manifest.calibration)  # (N, 4)
        maps = probability(answers.evidence)  # (N, h, w)
        gate_scores = self._gate.scores(answers.stages) if self._gate else np.zeros(len(batch))
        if not all(np.isfinite(values).all() for values in (classes, maps, gate_scores)):
            raise ModelPredictionError("The model gave an answer that is not a number.")
        return [self._prediction(*row) for row in zip(raw, classes, maps, gate_scores, strict=True)]

    def _prediction(
        self, raw: float, row: npt.NDArray[np.float32], grid: npt.NDArray[np.float32], gate_score: float
    ) -> Prediction:
        probabilities = {name: float(value) for name, value in zip(CLASSES, row, strict=True)}
        probability = 1.0 - probabilities[NO_TUMOUR]
        band, gate = self.manifest.band, self.manifest.gate
        is_rejected = gate is not None and gate_score > gate.threshold
        return Prediction(
            probability=probability,
            raw_probability=float(raw),
            class_probabilities=probabilities,
            evidence_map=grid.copy(),  # its own memory: a kept result must not keep its batch
            review=NEEDS_REVIEW if band.low < probability < band.high else None,
            rejection=Rejection(NO_BRAIN_MRI, float(gate_score)) if is_rejected else None,
        )


def _checked(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise ModelFileError(f"{path} is missing. Fetch it, or export the model again.")
    if sha256_of(path) != sha256:
        raise ModelFileError(
            f"{path} is not the file that its manifest names (SHA-256 differs). Fetch both again."
        )
    return path


def _check_compatible(manifest: Manifest, folder: Path) -> None:
    if manifest.architecture != ARCHITECTURE:
        raise ModelFileError(
            f'{folder} holds a "{manifest.architecture}" model; this code runs "{ARCHITECTURE}".'
        )
    if manifest.classes != CLASSES:
        raise ModelFileError(
            f"{folder} has the classes {', '.join(manifest.classes)}; "
            f"expected {', '.join(CLASSES)}, in this order."
        )
    prepared = (manifest.preprocessing_version, manifest.pixel_mean, manifest.pixel_std)
    if prepared != (PREPROCESSING_VERSION, PIXEL_MEAN, PIXEL_STD):
        raise ModelFileError(
            f'{folder} was trained on preprocessing "{manifest.preprocessing_version}"; this code has '
            f'"{PREPROCESSING_VERSION}". Use the code version that the model was made with, or train again.'
        )


def _head_parameters(manifest: Manifest, folder: Path) -> "HeadParameters":
    from worker.inference.network import HeadParameters

    try:
        return HeadParameters(
            channels=int(manifest.head["channels"]),
            sharpness=manifest.head["sharpness"],
            prior_logit=manifest.head["prior_logit"],
        )
    except KeyError as error:
        raise ModelFileError(
            f"The manifest in {folder} lacks head.{error.args[0]}. Export the model again."
        ) from error
