"""Load a model folder and predict: batch in, list out, same length."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from shared.errors import ModelFileError, ModelPredictionError
from worker.inference.engines import Engine, build_engine
from worker.inference.manifest import ARCHITECTURE, Manifest, read_manifest, sha256_of
from worker.inference.network import CLASSES, NO_TUMOUR, HeadParameters, LocalEvidenceNet
from worker.inference.weights import load_weights
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD, PREPROCESSING_VERSION


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's answer for one picture."""

    probability: float
    """Of a tumour: 1 - p(notumor)."""
    class_probabilities: dict[str, float]
    """glioma, meningioma, pituitary, notumor; sums to 1."""
    evidence_map: npt.NDArray[np.float32]
    """(h, w) in 0..1: probability of tumour per location of the input square (= the crop). Its scale is
    absolute: an empty map means no evidence. `probability` is a monotone function of this map alone."""


class Predictor:
    """A loaded model. Built once per process; holds no other state."""

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self.manifest = manifest
        self._engine = engine

    @classmethod
    def load(cls, folder: Path, device: str = "auto", engine: str = "auto") -> Self:
        """The model in `folder` (manifest.json and weights) on "cpu", "cuda" or, with "auto", the better one.

        `engine` is one of `worker.inference.engines.NAMES` or "auto", the fastest for the device. Raises
        `ModelFileError` when manifest, weights and this code do not belong together.
        """
        manifest = read_manifest(folder)
        _check_compatible(manifest, folder)
        weights = folder / manifest.weights_file
        if not weights.is_file():
            raise ModelFileError(f"{weights} is missing. Fetch it, or export the model again.")
        if sha256_of(weights) != manifest.weights_sha256:
            raise ModelFileError(
                f"{weights} is not the file that its manifest names (SHA-256 differs). Fetch both again."
            )
        network = LocalEvidenceNet(_head_parameters(manifest, folder))
        load_weights(network, weights)
        return cls(build_engine(network, manifest, choose_device(device), engine), manifest)

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        return self._engine.device

    @property
    def engine(self) -> str:
        """The name of what runs the network."""
        return self._engine.name

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
        outputs = self._engine.run(batch)
        classes = outputs.class_probabilities().numpy()  # (N, 4)
        maps = torch.sigmoid(outputs.evidence).numpy()  # (N, h, w)
        if not (np.isfinite(classes).all() and np.isfinite(maps).all()):
            raise ModelPredictionError("The model gave an answer that is not a number.")
        return [_prediction(row, grid) for row, grid in zip(classes, maps, strict=True)]


def choose_device(wanted: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu"; anything else unchanged.

    Raises `ModelFileError` for "cuda" on a machine without it.
    """
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ModelFileError(f'Unknown device "{wanted}". Use "auto", "cpu" or "cuda".')
    if wanted == "cuda" and not available:
        raise ModelFileError('No CUDA device is usable here. Set the device to "auto" or "cpu".')
    return wanted


def _prediction(row: npt.NDArray[np.float32], grid: npt.NDArray[np.float32]) -> Prediction:
    probabilities = {name: float(value) for name, value in zip(CLASSES, row, strict=True)}
    return Prediction(
        probability=1.0 - probabilities[NO_TUMOUR],
        class_probabilities=probabilities,
        evidence_map=grid.copy(),  # its own memory: a kept result must not keep its batch
    )


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


def _head_parameters(manifest: Manifest, folder: Path) -> HeadParameters:
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
