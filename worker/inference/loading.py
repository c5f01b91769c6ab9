"""A path -> the model that is there: our model folder, or a weights file of the replaced system."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ModelFileError
from worker.inference.manifest import MANIFEST_NAME
from worker.inference.predictor import Predictor

if TYPE_CHECKING:
    from worker.inference.single_logit import SingleLogitPredictor

SUFFIXES = (".pth", ".pt")

_ADVICE = (
    f"Point the model setting at a folder with {MANIFEST_NAME} and its weights, or at a .pth or .pt file."
)


def load_model(path: Path, device: str = "auto", engine: str = "auto") -> "Predictor | SingleLogitPredictor":
    """Load the model at `path` for `device` and `engine`, as `Predictor.load` takes them.

    A folder with manifest.json holds our model. A .pth or .pt file, or a folder without a manifest that holds
    exactly one, is a weights file of the replaced system. Raises `ModelFileError` for anything else.
    """
    try:
        if (path / MANIFEST_NAME).is_file():
            return Predictor.load(path, device, engine)
        files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    weights = [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not weights:
        raise ModelFileError(f"There is no model at {path}. {_ADVICE}")
    if len(weights) > 1:
        raise ModelFileError(
            f"{path} holds {len(weights)} weights files and no {MANIFEST_NAME}. "
            "Point the model setting at the one to use."
        )
    from worker.inference.single_logit import SingleLogitPredictor  # brings PyTorch

    return SingleLogitPredictor.load(weights[0], device, engine)
