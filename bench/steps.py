"""What each step of a scan's path costs in one thread, without network or database."""

import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from api.uploads import check_image
from bench.bare import MODEL_FOLDER
from bench.figures import Figure, compare, take_turns
from bench.plan import Plan
from shared.images import DEFAULT_LIMITS, read_grey
from shared.storage import LocalStore
from worker.heatmap import draw
from worker.inference import Predictor
from worker.png import encode_png
from worker.preprocessing import prepare

BATCH_SIZE = 16
STORED_BYTES = 100_000


def measure(plan: Plan) -> list[Figure]:
    """Milliseconds for one picture, against its part of a forward pass on all cores."""
    data = plan.scans[0].read_bytes()
    predictor = Predictor.load(MODEL_FOLDER)
    picture = read_grey(data)
    prepared = prepare(picture, predictor.manifest.input_size)
    batch = [prepared.pixels] * BATCH_SIZE
    prediction = predictor.predict([prepared.pixels])[0]
    colour = picture.convert("RGB")
    forward = f"forward pass of {BATCH_SIZE}, all cores, {predictor.engine}"
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder), "images", "bench", 60)
        steps: dict[str, Callable[[], Any]] = {
            forward: lambda: predictor.predict(batch),
            "check an upload": lambda: check_image(data, DEFAULT_LIMITS),
            "store 100 kB durably": lambda: store.put("bench/1.png", bytes(STORED_BYTES), "image/png"),
            "decode": lambda: read_grey(data),
            "prepare": lambda: prepare(picture, predictor.manifest.input_size),
            "draw heatmap and overlay": lambda: draw(picture, prediction.evidence_map, prepared.crop),
            "  of it: overlay to PNG": lambda: encode_png(colour),
            "  the same by Pillow": lambda: colour.save(io.BytesIO(), "PNG", compress_level=1),
        }
        times = take_turns(
            {name: partial(_milliseconds, step) for name, step in steps.items()}, 2 * plan.model_rounds
        )
    times[forward] = [value / BATCH_SIZE for value in times[forward]]
    return [compare(name, values, "ms", forward, times[forward]) for name, values in times.items()]


def _milliseconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000
