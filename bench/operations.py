"""What the clients of a soak do, each operation with how long it took and what was answered."""

import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np

from bench.crew import Crew
from bench.pictures import picture_bytes

PATIENCE_S = 60
KNOWN = 5000  # jobs that are remembered, to be asked for
TEMPORARY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
BAD_FILES = (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(200), b"\xff\xd8\xff" + b"x" * 5000, b"<svg/>")


class Tally:
    """Milliseconds and answers of each operation, from any thread."""

    def __init__(self) -> None:
        self._milliseconds: dict[str, list[float]] = defaultdict(list)
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def note(self, operation: str, seconds: float, answer: str) -> None:
        with self._lock:
            self._milliseconds[operation].append(seconds * 1000)
            self._answers[operation][answer] += 1

    def summary(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {
                name: {
                    "count": len(times),
                    **{f"p{p}_ms": round(float(np.percentile(times, p)), 1) for p in (50, 95, 99)},
                    "max_ms": round(max(times), 1),
                    "answers": dict(self._answers[name]),
                }
                for name, times in sorted(self._milliseconds.items())
            }

    def failures(self) -> int:
        """Answers of 500 and more, and requests without an answer; not 503, a refusal for the moment."""
        with self._lock:
            return sum(
                count
                for answers in self._answers.values()
                for answer, count in answers.items()
                if not answer.isdigit() or (int(answer) >= 500 and int(answer) not in TEMPORARY)
            )


class Clients(Crew):
    """Threads that use the API in a mixed way while the block lasts."""

    def __init__(
        self, url: str, authorization: str, patients: list[int], number: int, pause_s: float
    ) -> None:
        super().__init__(number)
        self.tally = Tally()
        self.accepted = 0
        self._url, self._headers = url, {"Authorization": authorization}
        self._patients, self._pause = patients, pause_s
        self._jobs: deque[str] = deque(maxlen=KNOWN)

    def _work(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - what is asked for is no secret
        with httpx.Client(
            base_url=self._url, headers=self._headers, timeout=PATIENCE_S, trust_env=False
        ) as http:
            one = _OneClient(self, http, choose)
            names, weights = zip(*one.operations.items(), strict=True)
            while not self._stop.wait(self._pause):
                (name,) = choose.choices(names, [weight for weight, _ in weights])
                one.operations[name][1](name)

    def remember(self, jobs: list[str]) -> None:
        with self._lock:
            self.accepted += len(jobs)
            self._jobs.extend(jobs)

    def some_job(self, choose: random.Random, newest: int = KNOWN) -> str | None:
        """A job that was made lately."""
        with self._lock:
            known = len(self._jobs)
            return self._jobs[choose.randrange(max(0, known - newest), known)] if known else None

    def some_patient(self, choose: random.Random) -> int:
        return choose.choice(self._patients)


class _OneClient:
    """The operations of one thread, each with how often it is chosen."""

    def __init__(self, clients: Clients, http: httpx.Client, choose: random.Random) -> None:
        self._clients, self._http, self._choose = clients, http, choose
        self.operations: dict[str, tuple[int, Callable[[str], None]]] = {
            "upload": (20, self._upload),
            "upload and wait": (4, self._upload_and_wait),
            "upload bad files": (5, self._upload_bad),
            "poll": (40, self._poll),
            "poll with wait": (6, self._poll_waiting),
            "poll many": (5, self._poll_many),
            "list": (5, self._list),
            "report": (3, self._report),
            "cancel": (4, self._cancel),
            "retry": (4, self._retry),
            "picture": (4, self._picture),
        }

    def _send(self, name: str, method: str, path: str, **content: Any) -> httpx.Response | None:
        began = time.perf_counter()
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            self._clients.tally.note(name, time.perf_counter() - began, type(error).__name__)
            return None
        self._clients.tally.note(name, time.perf_counter() - began, str(response.status_code))
        return response

    def _send_files(self, name: str, files: list[bytes], headers: dict[str, str] | None = None) -> None:
        parts = [("files", (f"{number}.png", content)) for number, content in enumerate(files)]
        form = {"patient_id": str(self._clients.some_patient(self._choose))}
        response = self._send(
            name, "POST", "/api/admin/scans/upload", data=form, files=parts, headers=headers
        )
        if response is not None and response.is_success:
            self._clients.remember(response.json()["job_ids"])

    def _pictures(self, most: int) -> list[bytes]:
        return [picture_bytes(self._choose.getrandbits(32), 64) for _ in range(self._choose.randint(1, most))]

    def _upload(self, name: str) -> None:
        self._send_files(name, self._pictures(8))

    def _upload_and_wait(self, name: str) -> None:
        self._send_files(name, self._pictures(1), {"Prefer": "wait=5"})

    def _upload_bad(self, name: str) -> None:
        self._send_files(
            name, [*BAD_FILES, *self._pictures(1)] if self._choose.random() < 0.5 else [*BAD_FILES]
        )

    def _poll(self, name: str, tail: str = "") -> None:
        job = self._clients.some_job(self._choose, 200)
        if job:
            self._send(name, "GET", f"/api/jobs/{job}{tail}")

    def _poll_waiting(self, name: str) -> None:
        self._poll(name, "?wait=2")

    def _poll_many(self, name: str) -> None:
        jobs = [job for _ in range(50) if (job := self._clients.some_job(self._choose))]
        if jobs:
            self._send(name, "POST", "/api/jobs/status", json={"ids": jobs})

    def _list(self, name: str) -> None:
        patient = self._clients.some_patient(self._choose)
        paths = (
            "jobs?limit=100",
            "admin/scans?limit=100",
            "admin/dashboard/stats",
            "batches",
            "admin/patients",
        )
        path = self._choose.choice([*paths, f"admin/patients/{patient}/scans?limit=100"])
        self._send(name, "GET", f"/api/{path}")

    def _report(self, name: str) -> None:
        patient = self._clients.some_patient(self._choose)
        answer = self._send("list", "GET", f"/api/admin/patients/{patient}/scans?limit=100")
        scans = answer.json()["data"] if answer is not None and answer.is_success else []
        done = [scan["scan_id"] for scan in scans if scan["status"] == "succeeded"][:3]
        if done:
            self._send(name, "POST", "/api/report/generate", json={"patient_id": patient, "scan_ids": done})

    def _cancel(self, name: str) -> None:
        job = self._clients.some_job(self._choose, 20)
        if job:
            answer = self._send(name, "DELETE", f"/api/jobs/{job}")
            if answer is not None and answer.is_success:
                self._send("retry", "POST", f"/api/jobs/{job}/retry")

    def _retry(self, name: str) -> None:
        job = self._clients.some_job(self._choose, 400)
        if job:
            self._send(name, "POST", f"/api/jobs/{job}/retry")

    def _picture(self, name: str) -> None:
        answer = self._send("list", "GET", "/api/admin/scans?limit=20")
        scans = answer.json()["data"] if answer is not None and answer.is_success else []
        links = [scan["overlay_path"] for scan in scans if scan["overlay_path"]]
        if links:
            self._send(name, "GET", self._choose.choice(links))
