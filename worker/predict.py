"""Predictions and overlays for files, without any server.

    python -m worker.predict FILE… [--from-file LIST|-] [--json] [--no-overlays] [--out DIR]

With `--json` one JSON object per line goes to standard output: `file` as given, `status`, `prediction`,
`probability`, `raw_probability`, `confidence`, `review`, `tumor_type`, `class_probabilities`, `ms` (the
file's share of its batch's time), and `overlay` and `heatmap` where they were written. `status` is
"succeeded", "rejected" (no brain MRI: `reason` and `score` instead of a finding) or "failed" (`error` and
`code`). `review` is "needs_review" where the probability is inconclusive; `prediction` is then only the
likelier word.
Logs go to standard error. Exit status: 0 none failed, 1 some failed, 2 the model or the call is wrong.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from shared.errors import BrainScanError, UnreadableImageError
from shared.images import read_grey
from shared.logs import configure_logging, get_logger
from shared.results import confidence_of, prediction_of, tumor_type_of
from worker.analysis import Model, Prediction, predict_each
from worker.heatmap import draw
from worker.options import add_model_options, open_model
from worker.picture_check import rejection_of
from worker.preprocessing import ModelInput, prepare

READ_THREADS = 4

Json = dict[str, Any]
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded file."""

    file: str
    picture: Image.Image
    model_input: ModelInput


@dataclass(slots=True)
class Drawings:
    """Writes overlays and heatmaps under names made from the files', never one twice."""

    folder: Path
    _taken: set[str] = field(default_factory=set)

    def write(self, item: Loaded, prediction: Prediction) -> Json:
        stem = self._free_name(Path(item.file).stem)
        drawing = draw(item.picture, prediction.evidence_map, item.model_input.crop)
        paths = {
            "overlay": self.folder / f"{stem}.overlay.png",
            "heatmap": self.folder / f"{stem}.heatmap.png",
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        paths["overlay"].write_bytes(drawing.overlay)
        paths["heatmap"].write_bytes(drawing.heatmap)
        return {name: str(path) for name, path in paths.items()}

    def _free_name(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    options = _parser().parse_args(arguments)
    configure_logging("INFO")
    try:
        files = _files(options)
    except OSError as error:
        log.error("the list of files cannot be read", reason=error.strerror)  # noqa: TRY400 - no traceback for a typo
        return 2
    if not files:
        log.error("no files named; give files, or --from-file LIST")
        return 2
    predictor = open_model(options)
    if predictor is None:
        return 2
    drawings = None if options.no_overlays else Drawings(options.out)
    failed = 0
    for answer in predict_files(
        predictor, predictor.manifest.input_size, files, options.batch_size, drawings
    ):
        failed += answer["status"] == "failed"
        sys.stdout.write((json.dumps(answer) if options.json else _line(answer)) + "\n")
        sys.stdout.flush()
    log.info("finished", files=len(files), failed=failed)
    return 1 if failed else 0


def predict_files(
    model: Model, input_size: int, files: Sequence[str], batch_size: int, drawings: Drawings | None
) -> Iterator[Json]:
    """One answer per file, in order. A file that cannot be read or analysed fails alone."""
    with ThreadPoolExecutor(READ_THREADS) as threads:
        for batch in _batches(files, batch_size):
            began = time.perf_counter()
            loaded = list(threads.map(lambda file: _load(file, input_size), batch))
            readable = [item for item in loaded if isinstance(item, Loaded)]
            predictions = iter(predict_each(model, [item.model_input.pixels for item in readable]))
            answers = [
                _failed(file, item)
                if isinstance(item, BrainScanError)
                else _answer(item, next(predictions), drawings)
                for file, item in zip(batch, loaded, strict=True)
            ]
            share = round((time.perf_counter() - began) * 1000 / len(batch), 1)
            yield from ({**answer, "ms": share} for answer in answers)


def _load(file: str, input_size: int) -> Loaded | BrainScanError:
    try:
        picture = read_grey(Path(file).read_bytes())
        return Loaded(file, picture, prepare(picture, input_size))
    except BrainScanError as error:
        return error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid name"
        return UnreadableImageError(f"The file cannot be read: {reason}.")


def _answer(item: Loaded, prediction: Prediction | BrainScanError, drawings: Drawings | None) -> Json:
    if isinstance(prediction, BrainScanError):
        return _failed(item.file, prediction)
    if rejection := rejection_of(item.picture, prediction):
        reason = {"reason": rejection.reason, "score": rejection.score}
        return {**_without_finding(item.file, "rejected"), **reason}
    probability = prediction.probability
    return {
        "file": item.file,
        "status": "succeeded",
        "prediction": prediction_of(probability),
        "probability": probability,
        "raw_probability": prediction.raw_probability,
        "confidence": confidence_of(probability),
        "review": prediction.review,
        "tumor_type": tumor_type_of(probability, prediction.class_probabilities),
        "class_probabilities": prediction.class_probabilities,
        **(drawings.write(item, prediction) if drawings else {}),
    }


def _failed(file: str, error: BrainScanError) -> Json:
    return {**_without_finding(file, "failed"), "error": str(error), "code": error.code}


def _without_finding(file: str, status: str) -> Json:
    return {
        "file": file,
        "status": status,
        "prediction": None,
        "probability": None,
        "class_probabilities": None,
    }


def _line(answer: Json) -> str:
    if answer["status"] == "failed":
        return f"{answer['file']}: failed: {answer['error']}"
    if answer["status"] == "rejected":
        return f"{answer['file']}: rejected: {answer['reason']} (score {answer['score']:.3f})"
    kind = f" ({answer['tumor_type']})" if answer["tumor_type"] else ""
    review = ", needs review" if answer["review"] else ""
    said = f"{answer['prediction']}{kind}, tumour probability {answer['probability']:.3f}{review}"
    return f"{answer['file']}: {said}"


def _batches(files: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(files)
    while batch := list(islice(rest, size)):
        yield batch


def _files(options: argparse.Namespace) -> list[str]:
    if options.from_file is None:
        return list(options.files)
    text = sys.stdin.read() if options.from_file == "-" else Path(options.from_file).read_text()
    return [*options.files, *(line for line in text.splitlines() if line.strip())]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.predict", description="Predict tumours on MRI slices, offline."
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="JPEG or PNG slices")
    parser.add_argument(
        "--from-file", metavar="LIST", help="a file with one path per line; - reads standard input"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--no-overlays", action="store_true", help="write no pictures")
    parser.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR", help="where pictures go"
    )
    add_model_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
