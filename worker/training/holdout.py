"""Validation sets: the plain one, and ones in which a picture's look says nothing about its class.

The pictures of another hospital are not here to choose by. The closest that can be made from the validation
slices: the same slices with other contrasts, healthy slices with transplanted tumours, tumour slices whose
tumour is replaced by healthy tissue. Made once, from a fixed seed, by the code that makes training batches;
so seams look alike in both, and the figures on moved and removed tumours are optimistic to that extent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from worker.inference.answers import CLASSES, NO_TUMOUR, probability
from worker.inference.engines import Engine
from worker.inference.manifest import Calibration
from worker.preprocessing import PIXEL_MEAN, PIXEL_STD
from worker.training import metrics
from worker.training.augmentation import change_intensities, warp
from worker.training.composition import Composed, Composer, Patch, Sample
from worker.training.data import Pictures

_SEED = 77
_CHUNK = 64
PLAIN = "val"
AS_TRAINED = Calibration()


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Pictures ready for the network, and what is true of them."""

    name: str
    pixels: npt.NDArray[np.float32]  # (N, 1, S, S) normalised
    masks: npt.NDArray[np.float32]  # (N, S, S) share of the pixel that is tumour
    labels: npt.NDArray[np.int64]  # (N,) index into CLASSES; a moved tumour keeps its type
    has_mask: npt.NDArray[np.bool_]  # (N,)
    sources: tuple[str, ...]
    groups: tuple[str, ...]  # patients, or families of near-duplicates


@dataclass(frozen=True, slots=True)
class Answers:
    """The network's answers for one validation set."""

    logits: npt.NDArray[np.float64]  # (N,) of a tumour, before calibration
    probabilities: npt.NDArray[np.float64]  # (N, 4) calibrated
    maps: npt.NDArray[np.float64]  # (N, h, w) in 0..1

    @property
    def tumour(self) -> npt.NDArray[np.float64]:
        """(N,) probability of a tumour."""
        return np.asarray(1.0 - self.probabilities[:, CLASSES.index(NO_TUMOUR)])


def validation_sets(pictures: Pictures, size: int) -> list[ValidationSet]:
    """The plain validation set, "recontrasted", "moved" and "removed"."""
    composer = Composer(pictures)
    rng = np.random.default_rng(_SEED)
    bases = range(len(pictures))
    as_published = [published(pictures, index) for index in bases]
    healthy = np.flatnonzero(~pictures.is_tumour)
    moved = [Sample(int(base), composer.transplant(int(base), rng), "transplanted") for base in healthy]
    removed = [Sample(int(base), composer.removal(int(base), rng), "removed") for base in composer.masked]
    sets = [(PLAIN, as_published, False), ("recontrasted", as_published, True)]
    sets += [("moved", moved, False), ("removed", removed, False)] if len(composer.masked) else []
    return [_make(name, composer, samples, size, rng, changed) for name, samples, changed in sets]


def plain_set(pictures: Pictures, size: int) -> ValidationSet:
    """The pictures as they were published."""
    samples = [published(pictures, index) for index in range(len(pictures))]
    return _make(PLAIN, Composer(pictures), samples, size, np.random.default_rng(_SEED), changed=False)


def answer(engine: Engine, chosen: ValidationSet, calibration: Calibration = AS_TRAINED) -> Answers:
    """Run a network over a set."""
    logits, probabilities, maps = [], [], []
    for start in range(0, len(chosen.pixels), _CHUNK):
        outputs = engine.run(chosen.pixels[start : start + _CHUNK])
        logits.append(outputs.tumour.astype(np.float64))
        probabilities.append(outputs.class_probabilities(calibration).astype(np.float64))
        maps.append(probability(outputs.evidence).astype(np.float64))
    return Answers(np.concatenate(logits), np.concatenate(probabilities), np.concatenate(maps))


def figures(
    engine: Engine, sets: list[ValidationSet], calibration: Calibration = AS_TRAINED
) -> dict[str, Any]:
    """All figures per set, the moved and removed ones taken together, and one score to choose by."""
    answers = {chosen.name: answer(engine, chosen, calibration) for chosen in sets}
    truths = {chosen.name: chosen.labels != CLASSES.index(NO_TUMOUR) for chosen in sets}
    report: dict[str, Any] = {}
    for chosen in sets:
        given = answers[chosen.name]
        report[chosen.name] = metrics.classification_figures(given.tumour, truths[chosen.name])
        report[chosen.name] |= _map_figures(chosen, given)
        if chosen.name in (PLAIN, "recontrasted"):
            report[chosen.name]["four_class_accuracy"] = metrics.class_accuracy(
                given.probabilities, chosen.labels
            )
        report[chosen.name]["accuracy_by_source"] = {
            source: metrics.accuracy(given.tumour[which], truths[chosen.name][which])
            for source in sorted(set(chosen.sources))
            if (which := np.array([name == source for name in chosen.sources])).any()
        }
    broken = [name for name in ("recontrasted", "moved", "removed") if name in answers]
    scores = np.concatenate([answers[name].tumour for name in broken])
    report["broken_shortcut"] = metrics.classification_figures(
        scores, np.concatenate([truths[name] for name in broken])
    )
    report["score"] = _score(report)
    return report


def _map_figures(chosen: ValidationSet, given: Answers) -> dict[str, float]:
    masks, maps = chosen.masks[chosen.has_mask], given.maps[chosen.has_mask]
    if not len(masks):
        return {}
    return {
        "pointing_game": metrics.pointing_game(maps, masks),
        "energy_inside_mask": metrics.energy_inside(maps, masks),
    }


def _score(report: dict[str, Any]) -> float:
    """What checkpoints are chosen by: calling right without the shortcut first, then the plain set."""
    plain, broken = report[PLAIN], report["broken_shortcut"]
    balanced = (broken["sensitivity"] + broken["specificity"]) / 2
    parts = [broken["auc"], balanced, plain["auc"], plain["accuracy"], plain["four_class_accuracy"]]
    parts.append(plain.get("pointing_game", 0.0))
    return float(np.nanmean(parts))


def published(pictures: Pictures, index: int) -> Sample:
    """The picture as it is."""
    nothing = Patch(-1, np.eye(2, 3), 0, np.eye(2, 3), 1.0, 1.0)
    return Sample(index, nothing, "tumour" if pictures.is_tumour[index] else "healthy")


def _make(
    name: str, composer: Composer, samples: list[Sample], size: int, rng: np.random.Generator, changed: bool
) -> ValidationSet:
    pixels, masks = [], []
    for start in range(0, len(samples), _CHUNK):
        composed = composer.compose(samples[start : start + _CHUNK], rng)
        picture, tumour = _resample(composed, size, rng, changed)
        pixels.append(picture.numpy())
        masks.append(tumour[:, 0].numpy())
    mask = np.concatenate(masks)
    known = [composer.pictures.has_mask[s.base] or s.kind == "transplanted" for s in samples]
    return ValidationSet(
        name=name,
        pixels=np.concatenate(pixels),
        masks=mask,
        labels=np.array([_label(composer.pictures, sample) for sample in samples]),
        has_mask=np.array(known) & (mask.max(axis=(1, 2)) > 0.5),
        sources=tuple(composer.pictures.records[sample.base].source for sample in samples),
        groups=tuple(composer.pictures.records[sample.base].group for sample in samples),
    )


def _resample(
    composed: Composed, size: int, rng: np.random.Generator, changed: bool
) -> tuple[Tensor, Tensor]:
    thetas = torch.eye(2, 3).expand(len(composed.pixels), 2, 3)
    pixels, tumour, depth = warp(composed, thetas, size)
    if changed:
        pixels = change_intensities(pixels, tumour, depth, rng)
    return (pixels - PIXEL_MEAN) / PIXEL_STD, tumour


def _label(pictures: Pictures, sample: Sample) -> int:
    if sample.kind == "tumour":
        return int(pictures.labels[sample.base])
    if sample.kind == "transplanted":
        return int(pictures.labels[sample.patch.shape])
    return CLASSES.index(NO_TUMOUR)
