"""A whole system of its own to measure, and a signed-in client of it."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bench.plan import Plan
from stack.client import ApiClient
from stack.demo import temporary_stack
from stack.lifecycle import Stack
from stack.ports import free_port
from stack.settings import StackSettings

PATIENT = {"name": "Bench Patient", "email": "bench.patient@example.org"}
FILES_PER_REQUEST = 20
UPLOADERS = 2
# Limits are not what is measured.
ENVIRONMENT = {"REQUESTS_PER_MINUTE": "10000000", "ANONYMOUS_REQUESTS_PER_MINUTE": "10000000"}


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that runs. The scan worker serves its metrics on `worker_metrics`."""

    stack: Stack
    url: str
    client: ApiClient
    worker_metrics: str

    @property
    def authorization(self) -> str:
        """The header's value."""
        return str(self.client.http.headers["Authorization"])

    def new_patient(self, name: str) -> int:
        """The id of one who has no scans."""
        return self.client.create_patient({"name": name, "email": f"{name}@example.org".replace(" ", ".")})

    def analyse(self, patient_id: int, files: Sequence[Path]) -> float:
        """Seconds from the first byte of the first upload to the last recorded result.

        Raises `RuntimeError` if a picture is not analysed.
        """
        requests = [files[i : i + FILES_PER_REQUEST] for i in range(0, len(files), FILES_PER_REQUEST)]
        began = time.time()
        with ThreadPoolExecutor(UPLOADERS) as uploaders:
            uploads = list(uploaders.map(lambda request: self.client.upload(patient_id, request), requests))
        ids = [upload.job_id or "" for request in uploads for upload in request]
        jobs = self.client.wait_for_jobs(ids, lambda _: None).values()
        unfinished = [job for job in jobs if job["status"] != "succeeded"]
        if unfinished:
            raise RuntimeError(f"{len(unfinished)} of {len(ids)} jobs did not succeed")
        return max(datetime.fromisoformat(job["finished_at"]).timestamp() for job in jobs) - began

    @contextmanager
    def paused_worker(self) -> Iterator[None]:
        """The scan worker stands still in the block, for less time than its leases last."""
        (worker,) = [one for one in self.stack.status()["processes"] if one["role"] == "scan-worker"]
        family = [worker["pid"], *worker["children"]]
        try:
            for pid in family:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def running(plan: Plan, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a stack with these variables, warmed up by one picture; it is removed afterwards."""
    settings = StackSettings.from_environment()
    given = {**settings.environment, **ENVIRONMENT, **(environment or {})}
    port = free_port()
    settings = replace(settings, environment=given, metrics_port=port)
    with temporary_stack(settings, plan.logs, lambda _: None) as stack:
        access = stack.up()
        with ApiClient.signed_in(access.url, access.username, access.password) as client:
            system = Running(stack, access.url, client, f"http://127.0.0.1:{port + 1}/metrics")
            system.analyse(client.create_patient(PATIENT), plan.files(1))
            yield system
