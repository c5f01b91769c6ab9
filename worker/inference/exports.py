"""OpenVINO models beside the weights that they were made of: a start that finds one needs no PyTorch.

An export is made at the first start, or when an image is built, and named after all that it depends on. What
was not written whole, or was changed since, is made anew; where nothing can be written, each start makes one.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.logs import get_logger
from worker.inference.manifest import Manifest, sha256_of

EXPORTS = "exports"  # in the model's folder
_VERSION = 1  # of what `worker.inference.conversion` makes
_DEPENDS_ON = {
    "weights_sha256",
    "architecture",
    "head",
    "input_size",
    "quantisation_version",
    "activation_ranges",
}
_MODEL, _WEIGHTS, _HASHES = "model.xml", "model.bin", "sha256.json"
_PART = ".part-"  # begins the name of a folder that is being written
_ABANDONED_S = 3600.0  # writing takes seconds

log = get_logger(__name__)


def exported(folder: Path, manifest: Manifest, engine: str, make: Callable[[], Any]) -> Any:
    """The OpenVINO model for `engine` of the model in `folder`; `make` makes it where there is none."""
    place = folder / EXPORTS / f"{_key(manifest, engine)}.{engine}"
    _forget_abandoned(place.parent)
    model = _read(place)
    if model is None:
        model = make()
        _write(model, place)
    return model


def _key(manifest: Manifest, engine: str) -> str:
    import openvino

    parts = [_VERSION, openvino.__version__, engine, manifest.model_dump(include=_DEPENDS_ON)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _read(place: Path) -> Any | None:
    """None if it is not there, or not what was written."""
    import openvino

    try:
        hashes = json.loads((place / _HASHES).read_bytes())
        model, weights = ((place / name).read_bytes() for name in (_MODEL, _WEIGHTS))
        if hashes == [hashlib.sha256(part).hexdigest() for part in (model, weights)]:
            return openvino.Core().read_model(model, weights)
        cause = "hash"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RuntimeError) as error:
        cause = type(error).__name__
    log.warning("an export cannot be used and is made anew", cause=cause)
    return None


def _write(model: Any, place: Path) -> None:
    """All of it or nothing, whoever else does the same; exports of other weights for this engine go."""
    import openvino

    part = None
    try:
        place.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=place.parent))
        openvino.save_model(model, part / _MODEL, compress_to_fp16=False)
        hashes = [sha256_of(part / name) for name in (_MODEL, _WEIGHTS)]
        (part / _HASHES).write_text(json.dumps(hashes))
        part.chmod(0o755)  # workers often run as somebody else than whoever built the image
        for old in place.parent.glob(f"*{place.suffix}"):
            shutil.rmtree(old, ignore_errors=True)
        part.rename(place)
    except (OSError, RuntimeError) as error:
        log.info("no export is kept", cause=type(error).__name__)
        if part is not None:
            with suppress(OSError):
                shutil.rmtree(part)


def _forget_abandoned(folder: Path) -> None:
    """Remove what processes that were killed left half written."""
    for part in folder.glob(f"{_PART}*"):
        with suppress(OSError):
            if part.stat().st_mtime < time.time() - _ABANDONED_S:
                shutil.rmtree(part)
