"""`python -m bench.large`: the largest pictures that are taken, many at once, and the memory that they cost.

Pictures of just under MAX_IMAGE_PIXELS wait in a database of their own, in turn a colour JPEG and a PNG with
transparency, which take most to decode. A process like a scan worker's analyses them. Printed: the peak of
its resident memory, as the system kept it. Exit status 1 if a job fails or the peak is above its bound.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import func, select

from shared import accounts, scans
from shared.accounts import PatientFacts
from shared.database import make_engine
from shared.migrations import upgrade
from shared.models import Job, JobStatus
from shared.scans import StoredOriginal
from shared.services import Services, build_services
from shared.settings import Settings, load_settings
from stack.interrupts import unwind_on_request
from stack.ports import free_port
from stack.postgres import Cluster
from stack.programs import BIG_BLOCKS, MODEL_THREADS
from stack.settings import CHECKOUT, DEFAULT_SAMPLES
from stack.slices import find_slices
from worker.pipeline import ScanPipeline
from worker.process import load_model

SIDE = 6324  # px; squared just under MAX_IMAGE_PIXELS
MOST_MIB = 1536  # README, "Measured"
PEAK = "VmHWM:"
JPEG_START = b"\xff\xd8"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the numbers as JSON."""
    options = _parser().parse_args(arguments)
    if options.analyse:
        sys.stdout.write(json.dumps(analyse(load_settings())) + "\n")
        return 0
    unwind_on_request()
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        cluster = Cluster(Path(name) / "postgres", free_port(), durable=False)
        cluster.prepare()
        try:
            cluster.start()
            numbers = measure(cluster, Path(name), options)
        finally:
            cluster.stop()
            cluster.remove()
    sys.stdout.write(json.dumps(numbers, indent=2) + "\n")
    return 0 if numbers["succeeded"] == options.count and numbers["peak_mib"] <= options.most_mib else 1


def measure(cluster: Cluster, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Queue the pictures and have them analysed in a process of its own."""
    places = {
        "DATABASE_URL": cluster.url,
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",  # nobody is there, and nobody has to be
        "IMAGE_FOLDER": str(folder / "images"),
        "IMAGE_STORE": "local",
    }
    given = {**os.environ, **places, **MODEL_THREADS, **BIG_BLOCKS}
    settings = Settings(_env_file=None, **{name.lower(): value for name, value in places.items()})  # type: ignore[arg-type]
    upgrade(make_engine(settings, "large"))
    services = build_services(settings, "large")
    queue(services, make_pictures(options.side), options.side, options.count)
    _say(f"Analysing {options.count} pictures …")
    command = [sys.executable, "-m", "bench.large", "--analyse"]
    done = subprocess.run(  # noqa: S603 - our own program and arguments, no shell
        command, env=given, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True
    )
    with services.sessions() as session:
        succeeded = session.scalar(select(func.count()).where(Job.status == JobStatus.SUCCEEDED))
    services.sessions.kw["bind"].dispose()
    last = done.stdout.splitlines()[-1]  # log lines may stand before it
    return {"side_px": options.side, "pictures": options.count, "succeeded": succeeded, **json.loads(last)}


def make_pictures(side: int) -> list[bytes]:
    """A sample enlarged, as a colour JPEG and as a PNG with transparency."""
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        sample = Image.open(find_slices(DEFAULT_SAMPLES)[0])
        large = sample.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        jpeg, png = Path(name) / "large.jpg", Path(name) / "large.png"
        large.save(jpeg, quality=90)
        large.convert("RGBA").save(png, compress_level=1)
        return [jpeg.read_bytes(), png.read_bytes()]


def queue(services: Services, contents: Sequence[bytes], side: int, count: int) -> None:
    """What an upload of so many files leaves behind."""
    with services.sessions.begin() as session:
        patient, _ = accounts.create_patient(session, PatientFacts("Large Patient", "large@example.org"))
        originals = []
        for number, content in enumerate(islice(cycle(contents), count)):
            name, content_type = ("jpg", "image/jpeg") if content[:2] == JPEG_START else ("png", "image/png")
            key = f"original/L{number}.{name}"
            services.images.put(key, content, content_type)
            originals.append(
                StoredOriginal(
                    patient_id=patient.id,
                    scan_id=f"L{number}",
                    filename=f"{number}.{name}",
                    key=key,
                    is_staged=False,
                    content_type=content_type,
                    byte_size=len(content),
                    width=side,
                    height=side,
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        scans.register(session, originals)


def analyse(settings: Settings) -> dict[str, Any]:
    """Empty the queue as a scan worker does. Returns how long it took and this process' peak."""
    services = build_services(settings, "large")
    pipeline = ScanPipeline(services, load_model(settings))
    idle = _peak_mib()
    began = time.monotonic()
    while pipeline.drain():
        continue
    pipeline.close()
    return {"idle_mib": idle, "peak_mib": _peak_mib(), "seconds": round(time.monotonic() - began, 1)}


def _peak_mib() -> float:
    """The highest resident memory that this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(PEAK)) / 1024, 1)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="pictures")
    parser.add_argument("--side", type=int, default=SIDE, help="their width and height in pixels")
    parser.add_argument("--most-mib", type=float, default=MOST_MIB, help="bound of the peak")
    parser.add_argument("--analyse", action="store_true", help=argparse.SUPPRESS)  # the process measured
    return parser


if __name__ == "__main__":
    sys.exit(main())
