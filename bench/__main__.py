"""`python -m bench`: how near the whole system comes to the bare model, and what each step costs.

End to end is images per second from the first byte of the first upload to the last job's end, over HTTP and
through every process of a local stack. It is divided by what the bare forward pass does on this machine at
the same batch size, with the whole machine to itself: PyTorch's, in single precision, and that of the engine
which the workers use. All numbers come from one run.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.steps import measure_steps
from stack.client import ApiClient
from stack.demo import temporary_stack
from stack.settings import DEFAULT_SAMPLES, StackSettings
from stack.slices import find_slices
from worker.inference import Predictor

BATCH_SIZE = 16
FILES_PER_REQUEST = 20
UPLOADERS = 2
FORWARD_ROUNDS = 15
MODEL_FOLDER = Path(__file__).resolve().parent.parent / "model_weights"
PATIENT = {"name": "Bench Patient", "email": "bench.patient@example.org"}
console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show a table on standard error, print the numbers as JSON on standard output."""
    options = _parser().parse_args(arguments)
    files = list(islice(cycle(find_slices(options.scans)), options.count))
    predictor = Predictor.load(MODEL_FOLDER)
    steps = measure_steps(predictor, files[0].read_bytes(), BATCH_SIZE)
    bare = bare_forward(Predictor.load(MODEL_FOLDER, engine="torch"))
    own = bare_forward(predictor)
    whole = end_to_end(files, options.logs)
    numbers = {
        "images": len(files),
        "batch_size": BATCH_SIZE,
        "engine": predictor.engine,
        "bare_torch_forward_images_per_s": round(bare, 1),
        "bare_engine_forward_images_per_s": round(own, 1),
        "end_to_end_images_per_s": round(whole, 1),
        "ratio": round(whole / bare, 2),
        "ratio_to_engine": round(whole / own, 2),
        "steps_ms_per_image": steps,
    }
    _show(numbers)
    sys.stdout.write(json.dumps(numbers) + "\n")
    return 0


def bare_forward(predictor: Predictor) -> float:
    """Images per second of the forward pass alone, median of several batches."""
    size = predictor.manifest.input_size
    inputs = list(np.random.default_rng(0).normal(size=(BATCH_SIZE, 1, size, size)).astype(np.float32))
    predictor.predict(inputs)
    seconds = []
    for _ in range(FORWARD_ROUNDS):
        began = time.perf_counter()
        predictor.predict(inputs)
        seconds.append(time.perf_counter() - began)
    return BATCH_SIZE / median(seconds)


def end_to_end(files: Sequence[Path], logs: Path) -> float:
    """Images per second through a stack of their own, started and removed here."""
    with temporary_stack(StackSettings.from_environment(), logs, console.print) as stack:
        access = stack.up()
        with ApiClient.signed_in(access.url, access.username, access.password) as client:
            patient_id = client.create_patient(PATIENT)
            warm_up = client.upload(patient_id, files[:1])
            client.wait_for_jobs([warm_up[0].job_id or ""], lambda _: None)
            began = time.perf_counter()
            with ThreadPoolExecutor(UPLOADERS) as uploaders:
                requests = [files[i : i + FILES_PER_REQUEST] for i in range(0, len(files), FILES_PER_REQUEST)]
                uploads = list(uploaders.map(lambda request: client.upload(patient_id, request), requests))
            ids = [upload.job_id or "" for request in uploads for upload in request]
            jobs = client.wait_for_jobs(ids, lambda _: None)
            seconds = time.perf_counter() - began
    unfinished = [job for job in jobs.values() if job["status"] != "succeeded"]
    if unfinished:
        raise RuntimeError(f"{len(unfinished)} of {len(jobs)} jobs did not succeed")
    return len(files) / seconds


def _show(numbers: dict[str, Any]) -> None:
    table = Table("measure", "value")
    for name, value in numbers.items():
        if isinstance(value, dict):
            for step, milliseconds in value.items():
                table.add_row(f"  {step}", f"{milliseconds:.2f} ms")
        else:
            table.add_row(name, str(value))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="images to send")
    parser.add_argument("--scans", type=Path, default=DEFAULT_SAMPLES, help="folder of the images")
    parser.add_argument(
        "--logs", type=Path, default=Path("demo-output"), help="where logs go after a failure"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
