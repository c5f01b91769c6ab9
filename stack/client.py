"""A client of the HTTP API, as far as the demo needs it: what the contract promises and nothing else."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from stack.errors import StackError

Json = dict[str, Any]

REQUEST_SECONDS = 120
POLL_SECONDS = 0.3
STALL_SECONDS = 300  # no job has ended for so long: something is broken
MOST_IDS = 500
MOST_RETRIES = 20
FINISHED = ("succeeded", "failed", "cancelled")
BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What the API said about one file: a job, or why there is none."""

    file: Path
    job_id: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A signed-in client. Methods raise `StackError` with the API's own words when it refuses."""

    http: httpx.Client
    base_url: str

    @classmethod
    @contextmanager
    def signed_in(cls, base_url: str, username: str, password: str) -> Iterator[Self]:
        with httpx.Client(base_url=base_url, timeout=REQUEST_SECONDS, trust_env=False) as http:
            client = cls(http, base_url)
            token = client._json(
                "POST", "/api/admin/login", json={"username": username, "password": password}
            )["token"]
            http.headers["Authorization"] = f"Bearer {token}"
            yield client

    def create_patient(self, fields: Mapping[str, object]) -> int:
        """The integer id of a new patient."""
        return int(self._json("POST", "/api/admin/patients", json=dict(fields))["data"]["id"])

    def upload(self, patient_id: int, files: Sequence[Path]) -> list[Uploaded]:
        """Send one request with `files`; an answer for each, in their order."""
        parts = [("files", (file.name, file.read_bytes())) for file in files]
        response = self._send(
            "POST", "/api/admin/scans/upload", data={"patient_id": str(patient_id)}, files=parts
        )
        body = _body(response)
        results = body.get("results") or []
        if len(results) != len(files):
            reason = str(body.get("error") or f"the API answered {response.status_code}")
            return [Uploaded(file, None, reason) for file in files]
        return [
            Uploaded(file, result.get("job_id"), None if result["success"] else str(result.get("error")))
            for file, result in zip(files, results, strict=True)
        ]

    def wait_for_jobs(self, ids: Sequence[str], ended: Callable[[int], None]) -> dict[str, Json]:
        """The job objects once all have ended. `ended` is told how many have, at each poll."""
        finished: dict[str, Json] = {}
        last_news = time.monotonic()
        while len(finished) < len(ids):
            before = len(finished)
            asked = [job_id for job_id in ids if job_id not in finished][:MOST_IDS]
            answer = self._json("POST", "/api/jobs/status", json={"ids": asked})
            if answer["not_found"]:
                raise StackError(f"the API does not know {len(answer['not_found'])} of the jobs it accepted")
            finished |= {job["id"]: job for job in answer["data"] if job["status"] in FINISHED}
            ended(len(finished))
            if len(finished) > before:
                last_news = time.monotonic()
            elif time.monotonic() - last_news > STALL_SECONDS:
                raise StackError(
                    f"{len(ids) - len(finished)} jobs are unfinished, none ended in {STALL_SECONDS} s"
                )
            if len(finished) < len(ids):
                time.sleep(POLL_SECONDS)
        return finished

    def scans(self, patient_id: int) -> list[Json]:
        """The scan objects of a patient."""
        return list(self._json("GET", f"/api/admin/patients/{patient_id}/scans")["data"])

    def request_report(self, patient_id: int) -> str:
        """The id of the job that renders a report about all finished scans of the patient."""
        return str(self._json("POST", "/api/report/generate", json={"patient_id": patient_id})["job_ids"][0])

    def report_url(self, report_id: str) -> str:
        return str(self._json("GET", f"/api/report/download/{report_id}")["download_url"])

    def fetch(self, url: str) -> bytes:
        """The bytes behind a link of the API. The login goes to the API only, not to a store elsewhere."""
        absolute = urljoin(self.base_url, url)
        if absolute.startswith(self.base_url):
            response = self._send("GET", absolute, follow_redirects=True)
        else:
            response = httpx.get(absolute, timeout=REQUEST_SECONDS, follow_redirects=True)
        if response.status_code != httpx.codes.OK:
            raise StackError(f"a download failed with {response.status_code}")
        return response.content

    def _json(self, method: str, path: str, **content: Any) -> Json:
        response = self._send(method, path, **content)
        body = _body(response)
        if not response.is_success:
            raise StackError(f"{method} {path}: {body.get('error') or response.status_code}")
        return body

    def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        """Send a request, again after a pause while the API says that it is busy."""
        for _ in range(MOST_RETRIES):
            try:
                response = self.http.request(method, url, **content)
            except httpx.HTTPError as error:
                raise StackError(f"{method} {url}: {error or type(error).__name__}") from error
            if response.status_code not in BUSY:
                return response
            pause = response.headers.get("Retry-After", "1")
            time.sleep(float(pause) if pause.isdigit() else 1.0)
        return response


def _body(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
