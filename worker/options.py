"""Options that the offline commands share: which model, and how it runs."""

import argparse
from pathlib import Path

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "model_weights"


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


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
