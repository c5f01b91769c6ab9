"""What each step of a scan's path costs in one thread, without network or database."""

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from api.uploads import check_image
from shared.images import DEFAULT_LIMITS, read_grey
from shared.storage import LocalStore
from worker.heatmap import draw
from worker.inference import Predictor
from worker.png import encode_png
from worker.preprocessing import prepare

ROUNDS = 15


def measure_steps(predictor: Predictor, data: bytes, batch_size: int) -> dict[str, float]:
    """Milliseconds per image of each step, for one picture given as file bytes; medians."""
    picture = read_grey(data)
    prepared = prepare(picture, predictor.manifest.input_size)
    prediction = predictor.predict([prepared.pixels])[0]
    colour = picture.convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder), "images", "bench", 60)
        steps: dict[str, Callable[[], Any]] = {
            "check an upload": lambda: check_image(data, DEFAULT_LIMITS),
            "store 100 kB durably": lambda: store.put("bench/1.png", bytes(100_000), "image/png"),
            "decode": lambda: read_grey(data),
            "prepare": lambda: prepare(picture, predictor.manifest.input_size),
            "draw heatmap and overlay": lambda: draw(picture, prediction.evidence_map, prepared.crop),
            "  of it: overlay to PNG": lambda: encode_png(colour),
            "  the same by Pillow": lambda: colour.save(io.BytesIO(), "PNG", compress_level=1),
        }
        costs = {name: _milliseconds(step) for name, step in steps.items()}
    batch = [prepared.pixels] * batch_size
    costs["forward pass (all cores)"] = round(_milliseconds(lambda: predictor.predict(batch)) / batch_size, 2)
    return costs


def _milliseconds(step: Callable[[], Any]) -> float:
    step()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1000)
    return round(median(times), 2)
