"""What the clients of a soak know together: whom they work for, what they made, how they were answered."""

import random
import threading
from collections import deque
from dataclasses import dataclass, field

from bench.pictures import picture_bytes
from bench.tally import Tally

MOST_JOBS = 5000  # that are remembered, to be asked for
SIDES = (64, 64, 128, 256, 512, 1024)
FORMATS = ("PNG", "JPEG")
VARIANTS = 4
BAD_FILES = (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(200), b"\xff\xd8\xff" + b"x" * 5000, b"<svg/>")
BAD_SHARE = 0.01


@dataclass
class Known:
    """Used by many threads."""

    username: str
    password: str = field(repr=False)
    patients: tuple[int, ...]
    tally: Tally = field(default_factory=Tally)
    accepted: int = 0
    _jobs: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_JOBS))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pictures: tuple[bytes, ...] = field(
        default_factory=lambda: tuple(
            picture_bytes(number, side, image_format)
            for number in range(VARIANTS)
            for side in SIDES
            for image_format in FORMATS
        )
    )

    def remember(self, jobs: list[str]) -> None:
        with self._lock:
            self.accepted += len(jobs)
            self._jobs.extend(jobs)

    def some_job(self, choose: random.Random, newest: int = MOST_JOBS) -> str | None:
        """A job that was made lately; None before there is one."""
        with self._lock:
            known = len(self._jobs)
            return self._jobs[choose.randrange(max(0, known - newest), known)] if known else None

    def some_files(self, choose: random.Random, most: int) -> list[bytes]:
        """From one file to `most`: pictures of several sizes, and here and there something else."""
        return [
            choose.choice(BAD_FILES if choose.random() < BAD_SHARE else self._pictures)
            for _ in range(choose.randint(1, most))
        ]
