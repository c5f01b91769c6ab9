"""Is this a brain MRI at all? Answered from activations of the same forward pass, before its answer counts.

Each picture's mean activations of two stages are standardised, and their Mahalanobis distance from those of
real slices is taken (Lee et al., A simple unified framework for detecting out-of-distribution samples,
NeurIPS 2018). A logistic regression on both, fitted on real slices against pictures of other things, gives
the probability that the picture is none.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from shared.errors import ModelFileError
from worker.inference.answers import STAGES

_CLIP = 6.0  # standard deviations; beyond, more says nothing more
_DISTANCE_CLIP = 10.0
DISTANCE_WEIGHT = 3.0  # of a distance against a single activation, before the fit

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Gate:
    """The fitted parameters; D = 384 activations, K = 2 stages."""

    mean: Array  # (D,) of real slices
    deviation: Array  # (D,)
    precision_stage2: Array  # (128, 128) inverse covariance of real slices' standardised activations
    precision_stage3: Array  # (256, 256)
    distance_mean: Array  # (K,) of the logarithm of the squared distance
    distance_deviation: Array  # (K,)
    weights: Array  # (D + K,)
    bias: Array  # ()

    def scores(self, stages: Array) -> npt.NDArray[np.float64]:
        """Activations (N, D) -> probability of being no brain MRI (N,)."""
        logits = np.einsum("nd,d->n", self.features(stages), self.weights.astype(np.float64))
        logits += float(self.bias)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60))))

    def features(self, stages: Array) -> npt.NDArray[np.float64]:
        """(N, D) -> (N, D + K): what the regression sees."""
        distances = (np.log(self.squared_distances(stages)) - self.distance_mean) / self.distance_deviation
        limited = DISTANCE_WEIGHT * distances.clip(-_DISTANCE_CLIP, _DISTANCE_CLIP)
        return np.concatenate([self._standardised(stages).clip(-_CLIP, _CLIP), limited], axis=1)

    def squared_distances(self, stages: Array) -> npt.NDArray[np.float64]:
        """(N, D) -> (N, K) squared Mahalanobis distances from the real slices, never 0."""
        values = self._standardised(stages).astype(np.float32)
        distances, start = [], 0
        for precision, width in zip(
            (self.precision_stage2, self.precision_stage3), STAGES.values(), strict=True
        ):
            part = values[:, start : start + width]
            # einsum, not @: the threads of a BLAS spin on after the product and take the cores from the
            # engine's next batch, which doubles its time. In single precision for the same reason: it is
            # half the work, and a relative error of 1e-6 is none of a distance whose logarithm counts.
            distances.append((np.einsum("nd,de->ne", part, precision) * part).sum(axis=1, dtype=np.float64))
            start += width
        return np.asarray(np.maximum(np.stack(distances, axis=1), 1e-6))

    def _standardised(self, stages: Array) -> npt.NDArray[np.float64]:
        return np.asarray((stages.astype(np.float64) - self.mean) / self.deviation)

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        save_file(
            {field.name: np.asarray(getattr(self, field.name), np.float32) for field in fields(self)}, path
        )
        path.chmod(0o644)  # safetensors writes for its owner alone; the worker may be another user

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises `ModelFileError`."""
        try:
            return cls(**load_file(path))
        except (OSError, SafetensorError, TypeError) as error:
            raise ModelFileError(
                f"{path} is not this version's input gate. Export the model again."
            ) from error
