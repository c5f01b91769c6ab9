"""Options that the offline commands share: which model, and how it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ModelFileError
from shared.logs import get_logger

if TYPE_CHECKING:
    from worker.inference import Predictor
    from worker.inference.single_logit import SingleLogitPredictor

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "model_weights"

log = get_logger(__name__)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, --device, --engine and --batch-size."""
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="PATH",
        help="folder of manifest.json and weights, or a .pth file of the replaced system",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--engine",
        choices=("auto", "torch", "openvino", "openvino-int8"),
        default="auto",
        help="what runs the model",
    )
    parser.add_argument(
        "--batch-size", type=positive, default=16, metavar="N", help="slices in one forward pass"
    )


def open_model(options: argparse.Namespace) -> Predictor | SingleLogitPredictor | None:
    """The model that the options name; None, and a line in the log, if it cannot be used."""
    from worker.inference import load_model  # here, so that --help and wrong calls need no PyTorch

    try:
        return load_model(options.model, options.device, options.engine)
    except ModelFileError as error:
        log.error("the model cannot be used", reason=str(error))  # noqa: TRY400 - the line says it all
        return None


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
