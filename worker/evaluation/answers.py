"""Cases -> the model's answers, batch by batch; a file that cannot be used fails alone."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from shared.errors import BrainScanError, UnreadableImageError
from shared.images import read_grey
from worker.analysis import Model, Prediction, predict_each
from worker.evaluation.cases import Case
from worker.evaluation.localisation import Localisation, localise, read_mask
from worker.evaluation.report import Failure
from worker.picture_check import rejection_of
from worker.preprocessing import ModelInput, prepare

_READ_THREADS = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says about one case."""

    case: Case
    prediction: Prediction
    ms: float  # the picture's share of its batch's time, decoding included
    localisation: Localisation | Failure | None  # None without a mask, or where the mask is empty
    is_rejected: bool  # as no brain MRI


@dataclass(frozen=True, slots=True)
class _Loaded:
    picture: Image.Image  # mode "L"
    model_input: ModelInput


def answer_cases(
    model: Model, size: int, cases: Sequence[Case], folder: Path, masks: Path | None, batch_size: int
) -> Iterator[Answer | Failure]:
    """One answer or failure per case, in order; pictures of `size` px go into the model.

    `masks` holds a PNG for each picture that has one, under the picture's name and in its geometry, 0 or 255.
    """
    with ThreadPoolExecutor(_READ_THREADS) as threads:
        for start in range(0, len(cases), batch_size):
            batch = cases[start : start + batch_size]
            began = time.perf_counter()
            loaded = list(threads.map(lambda case: _load(folder / case.file, size), batch))
            inputs = [item.model_input.pixels for item in loaded if isinstance(item, _Loaded)]
            predictions = iter(predict_each(model, inputs))
            share = (time.perf_counter() - began) * 1000 / len(batch)
            for case, item in zip(batch, loaded, strict=True):
                prediction = item if isinstance(item, BrainScanError) else next(predictions)
                if isinstance(item, _Loaded) and not isinstance(prediction, BrainScanError):
                    is_rejected = rejection_of(item.picture, prediction) is not None
                    located = _compare(case, item, prediction, masks)
                    yield Answer(case, prediction, share, located, is_rejected)
                elif isinstance(prediction, BrainScanError):
                    yield _failure(case.file, prediction)


def _load(path: Path, size: int) -> _Loaded | BrainScanError:
    try:
        picture = read_grey(path.read_bytes())
    except BrainScanError as error:
        return error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid name"
        return UnreadableImageError(f"The file cannot be read: {reason}.")
    return _Loaded(picture, prepare(picture, size))


def _compare(
    case: Case, item: _Loaded, prediction: Prediction, masks: Path | None
) -> Localisation | Failure | None:
    name = Path(case.file).with_suffix(".png")
    if masks is None or not (masks / name).is_file():
        return None
    crop, size = item.model_input.crop, item.model_input.pixels.shape[-1]
    try:
        return localise(prediction.evidence_map, read_mask(masks / name, item.picture.size, crop, size))
    except BrainScanError as error:
        return _failure(name.as_posix(), error)


def _failure(file: str, error: BrainScanError) -> Failure:
    return Failure(file=file, error=str(error), code=error.code)
