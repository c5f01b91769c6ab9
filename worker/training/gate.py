"""Fit the input gate: real slices, as published and changed like other scanners', against other things.

The threshold is set by real slices alone. What the gate does with kinds of pictures that it has never seen is
measured by leaving each kind out of the fit in turn.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.inference.answers import STAGES
from worker.inference.engines import Engine
from worker.inference.gate import Gate
from worker.preprocessing import prepare
from worker.training.augmentation import augment
from worker.training.augmentation import plain as unchanged
from worker.training.composition import Composer
from worker.training.data import Pictures
from worker.training.holdout import published
from worker.training.non_mri import crops, drawn, photographs

_MOST_REJECTED = 0.004  # of validation slices as published
_MOST_REJECTED_CHANGED = 0.015  # of the same, turned and with their intensities changed at full strength
_INVERSE_STRENGTH = 0.01  # of the regression's penalty
_DRAWN, _CROPS = 60, 25  # pictures of each family, parts of each photograph
_CHUNK = 64
_SEED = 5

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The gate, its threshold and how it did."""

    gate: Gate
    threshold: float
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slices:
    """Activations (N, D) of real slices: as published, and changed."""

    plain: Array
    changed: Array

    @property
    def both(self) -> Array:
        """(2 N, D)."""
        return np.concatenate([self.plain, self.changed])


def fit_gate(engine: Engine, train: Pictures, val: Pictures, size: int) -> Fitted:
    """Fit on training slices, set the threshold on validation slices, measure each kind when left out."""
    rng = np.random.default_rng(_SEED)
    real, held_out = _slices(engine, train, size, rng), _slices(engine, val, size, rng)
    others = _others(engine, size, rng)
    gate = _fit(real.both, np.concatenate(list(others.values())))
    threshold = _threshold(gate, held_out)
    unseen = {}
    for kind in sorted({_kind(name) for name in others}):
        rest = np.concatenate([values for name, values in others.items() if _kind(name) != kind])
        blind = _fit(real.both, rest)
        left_out = np.concatenate([values for name, values in others.items() if _kind(name) == kind])
        unseen[kind] = float(np.mean(blind.scores(left_out) > _threshold(blind, held_out)))
    figures = {
        "val_rejected": float(np.mean(gate.scores(held_out.plain) > threshold)),
        "val_changed_rejected": float(np.mean(gate.scores(held_out.changed) > threshold)),
        "other_pictures_rejected": float(
            np.mean(gate.scores(np.concatenate(list(others.values()))) > threshold)
        ),
        "other_pictures_rejected_when_kind_unseen": unseen,
    }
    return Fitted(gate, threshold, figures)


def _slices(engine: Engine, pictures: Pictures, size: int, rng: np.random.Generator) -> Slices:
    composer = Composer(pictures)
    plain, changed = [], []
    for start in range(0, len(pictures), _CHUNK):
        samples = [published(pictures, i) for i in range(start, min(start + _CHUNK, len(pictures)))]
        composed = composer.compose(samples, rng)
        plain.append(_activations(engine, unchanged(composed, size).pixels.numpy()))
        changed.append(_activations(engine, augment(composed, size, rng, strength=1.0).pixels.numpy()))
    return Slices(np.concatenate(plain), np.concatenate(changed))


def _others(engine: Engine, size: int, rng: np.random.Generator) -> dict[str, Array]:
    """Activations of pictures that are no brain MRI, by "kind" or "photograph/name"."""
    kinds = {name: list(pictures) for name, pictures in drawn(_DRAWN, rng).items()}
    kinds |= {f"photograph/{name}": list(crops(whole, _CROPS, rng)) for name, whole in photographs().items()}
    return {
        name: _activations(
            engine, np.stack([prepare(picture.convert("L"), size).pixels for picture in pictures])
        )
        for name, pictures in kinds.items()
    }


def _activations(engine: Engine, pixels: Array) -> Array:
    chunks = [pixels[start : start + _CHUNK] for start in range(0, len(pixels), _CHUNK)]
    return np.concatenate([engine.run(np.ascontiguousarray(chunk)).stages for chunk in chunks])


def _kind(name: str) -> str:
    """Photographs are left out in two halves: no other kind would be left to stand for them."""
    folder, _, file = name.partition("/")
    return f"{folder} {'A-C' if file[0] < 'd' else 'D-Z'}" if file else folder


def _fit(real: Array, others: Array) -> Gate:
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import LogisticRegression

    mean, deviation = real.mean(axis=0), real.std(axis=0) + 1e-6
    standardised = (real - mean) / deviation
    edges = np.cumsum([0, *STAGES.values()])
    precisions = [
        LedoitWolf().fit(standardised[:, low:high]).precision_.astype(np.float32)
        for low, high in pairwise(edges)
    ]
    nothing = np.zeros(len(STAGES), np.float32)
    zero = np.zeros((), np.float32)
    gate = Gate(mean, deviation, precisions[0], precisions[1], nothing, nothing + 1, nothing, zero)
    distances = np.log(gate.squared_distances(real)).astype(np.float32)
    gate = replace(
        gate, distance_mean=distances.mean(axis=0), distance_deviation=distances.std(axis=0) + 1e-6
    )
    regression = LogisticRegression(C=_INVERSE_STRENGTH, max_iter=500, class_weight="balanced")
    is_other = np.repeat([0, 1], [len(real), len(others)])
    regression.fit(gate.features(np.concatenate([real, others])), is_other)
    return replace(
        gate,
        weights=regression.coef_[0].astype(np.float32),
        bias=np.asarray(regression.intercept_[0], np.float32),
    )


def _threshold(gate: Gate, held_out: Slices) -> float:
    wanted = max(
        np.quantile(gate.scores(held_out.plain), 1 - _MOST_REJECTED),
        np.quantile(gate.scores(held_out.changed), 1 - _MOST_REJECTED_CHANGED),
    )
    return float(np.clip(wanted, 1e-6, 1 - 1e-6))
