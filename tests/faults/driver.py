"""A good client: many uploads and some reports, each asked for until it is answered, under one key."""

import hashlib
import io
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from PIL import Image

UPLOAD_SIZES = (1, 3, 10, 1, 5)  # files of one request, in turn: above 8 it is bulk work
SENDERS = 4
SCANS_PER_REPORT = 50
TRY_AGAIN = (429, 500, 502, 503, 504)
PAUSE_S = 0.2
PATIENCE_S = 120
ANSWER_S = 20


@dataclass(frozen=True)
class Picture:
    """One file to send."""

    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def make_pictures(number: int, seed: int, size: tuple[int, int] = (64, 48)) -> list[Picture]:
    """Small PNGs, no two alike."""
    random = np.random.default_rng(seed)
    return [Picture(_png(random, size)) for _ in range(number)]


def _png(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[8:-8, 8:-8] = 128
    pixels[10:14, 10:14] = random.integers(0, 256, (4, 4))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Driver:
    """Sends pictures of one patient at a steady pace, then asks for reports. `join` waits for all of it."""

    def __init__(
        self, url: str, token: str, patient_id: int, pictures: Sequence[Picture], pace: float
    ) -> None:
        self.pictures = pictures
        self.patient_id = patient_id
        self.accepted: dict[str, str] = {}  # SHA-256 of a picture -> display id of its scan
        self.reports = 0
        self.answers: Counter[str] = Counter()  # status codes and kinds of broken connections
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pace = pace  # pictures per second
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + PATIENCE_S
        self._client = httpx.Client(trust_env=False, timeout=ANSWER_S)
        self._thread = ThreadPoolExecutor(1, "driver")
        self._run: Future[None] = self._thread.submit(self._send_all)

    def join(self) -> None:
        """Raises what a sender raised: an answer that no good client expects."""
        try:
            self._run.result(PATIENCE_S + ANSWER_S)
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._client.close()

    def _send_all(self) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(SENDERS, "sender") as senders:
            sent, turn, running = 0, 0, []
            while sent < len(self.pictures):
                group = self.pictures[sent : sent + UPLOAD_SIZES[turn % len(UPLOAD_SIZES)]]
                running.append(senders.submit(self._upload, group))
                sent, turn = sent + len(group), turn + 1
                time.sleep(max(0.0, began + sent / self._pace - time.monotonic()))
            for future in running:
                future.result()
        names = list(self.accepted.values())
        for start in range(0, len(names), SCANS_PER_REPORT):
            body = {"patient_id": self.patient_id, "scan_ids": names[start : start + SCANS_PER_REPORT]}
            self._post("/api/report/generate", json=body)
            self.reports += 1

    def _upload(self, group: Sequence[Picture]) -> None:
        """Send until every file is accepted: what was not stored goes again, as a new request."""
        while group:
            files = [("files", (f"{picture.sha256[:8]}.png", picture.data)) for picture in group]
            body = self._post(
                "/api/admin/scans/upload", data={"patient_id": str(self.patient_id)}, files=files
            )
            left, names = [], iter(body["scan_ids"])
            for picture, result in zip(group, body["results"], strict=True):
                if "job_id" in result:
                    with self._lock:
                        self.accepted[picture.sha256] = next(names)
                else:
                    assert result["code"] == "SERVICE_UNAVAILABLE", result
                    left.append(picture)
            group = left

    def _post(self, path: str, **request: Any) -> dict[str, Any]:
        headers = {**self._headers, "Idempotency-Key": str(uuid.uuid4())}
        while True:
            assert time.monotonic() < self._deadline, f"no good answer in {PATIENCE_S} s: {self.answers}"
            try:
                answer = self._client.post(f"{self._url}{path}", headers=headers, **request)
            except httpx.HTTPError as error:
                self._count(type(error).__name__)
            else:
                self._count(str(answer.status_code))
                if answer.is_success:
                    return dict(answer.json())
                assert answer.status_code in TRY_AGAIN, f"{answer.status_code}: {answer.text[:300]}"
            time.sleep(PAUSE_S)

    def _count(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1


def log_in(url: str, password: str) -> str:
    """A token of the admin."""
    body = {"username": "admin", "password": password}
    answer = httpx.post(f"{url}/api/admin/login", json=body, trust_env=False, timeout=ANSWER_S)
    return str(answer.json()["token"])
