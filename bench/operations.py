"""What the clients of a soak do, each operation with how long it took and what was answered."""

import io
import random
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import httpx

from bench.crew import Crew
from bench.known import BAD_FILES, Known

PATIENCE_S = 60
LISTS = (
    "jobs?limit=100",
    "admin/scans?limit=100",
    "admin/dashboard/stats",
    "batches",
    "admin/patients?limit=100",
)
Json = dict[str, Any]


class Clients(Crew):
    """Threads that use the API in a mixed way while the block lasts."""

    def __init__(self, url: str, authorization: str, known: Known, number: int, pause_s: float) -> None:
        super().__init__(number)
        self._url, self._headers = url, {"Authorization": authorization}
        self._known, self._pause = known, pause_s

    def _work(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - what is asked for is no secret
        with httpx.Client(
            base_url=self._url, headers=self._headers, timeout=PATIENCE_S, trust_env=False
        ) as http:
            one = _OneClient(self._known, http, choose)
            names, weights = zip(*one.operations.items(), strict=True)
            while not self._stop.wait(self._pause):
                (name,) = choose.choices(names, [weight for weight, _ in weights])
                one.operations[name][1](name)


class _OneClient:
    """The operations of one thread, each with how often it is chosen."""

    def __init__(self, known: Known, http: httpx.Client, choose: random.Random) -> None:
        self._known, self._http, self._choose = known, http, choose
        self.operations: dict[str, tuple[int, Callable[[str], None]]] = {
            "upload": (18, self._upload),
            "upload and wait": (4, self._upload_and_wait),
            "upload bad files": (1, self._upload_bad),
            "batch of a ZIP": (2, self._batch),
            "poll": (40, self._poll),
            "poll with wait": (6, self._poll_waiting),
            "poll many": (5, self._poll_many),
            "list": (5, self._list),
            "report": (3, self._report),
            "download a report": (3, self._download),
            "cancel": (4, self._cancel),
            "retry": (3, self._retry),
            "picture": (4, self._picture),
            "log in and out": (1, self._log_in),
            "new patient": (1, self._new_patient),
        }

    def _send(self, name: str, method: str, path: str, **content: Any) -> httpx.Response | None:
        """The answer; None if none came."""
        began = time.perf_counter()
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            self._known.tally.note(name, time.perf_counter() - began, type(error).__name__)
            return None
        self._known.tally.note(name, time.perf_counter() - began, str(response.status_code))
        return response

    def _ask(self, name: str, method: str, path: str, **content: Any) -> Json | None:
        """The body of a success, else None."""
        response = self._send(name, method, path, **content)
        return dict(response.json()) if response is not None and response.is_success else None

    def _patient(self) -> int:
        return self._choose.choice(self._known.patients)

    def _send_files(self, name: str, files: list[bytes], headers: dict[str, str] | None = None) -> None:
        parts = [("files", (f"{number}.png", content)) for number, content in enumerate(files)]
        form = {"patient_id": str(self._patient())}
        body = self._ask(name, "POST", "/api/admin/scans/upload", data=form, files=parts, headers=headers)
        if body is not None:
            self._known.remember(body["job_ids"])

    def _upload(self, name: str) -> None:
        self._send_files(name, self._known.some_files(self._choose, 6))

    def _upload_and_wait(self, name: str) -> None:
        self._send_files(name, self._known.some_files(self._choose, 1), {"Prefer": "wait=5"})

    def _upload_bad(self, name: str) -> None:
        self._send_files(name, [*BAD_FILES])

    def _batch(self, name: str) -> None:
        made = self._ask("new batch", "POST", "/api/batches", json={"name": "soak"})
        if made is None:
            return
        batch = f"/api/batches/{made['batch_id']}"
        files = self._known.some_files(self._choose, 12)
        archive = {"archive": ("scans.zip", _zip_of(files, self._patient()))}
        added = self._ask(name, "POST", f"{batch}/scans", files=archive)
        if added is not None:
            self._known.remember(added["job_ids"])
        self._send("progress of a batch", "GET", batch)
        if self._choose.random() < 0.3:
            self._send("cancel a batch", "DELETE", batch)
        self._send("results of a batch", "GET", f"{batch}/results.csv")

    def _poll(self, name: str, tail: str = "") -> None:
        job = self._known.some_job(self._choose, 200)
        if job:
            self._send(name, "GET", f"/api/jobs/{job}{tail}")

    def _poll_waiting(self, name: str) -> None:
        self._poll(name, "?wait=2")

    def _poll_many(self, name: str) -> None:
        jobs = [job for _ in range(50) if (job := self._known.some_job(self._choose))]
        if jobs:
            self._send(name, "POST", "/api/jobs/status", json={"ids": jobs})

    def _list(self, name: str) -> None:
        of_one = f"admin/patients/{self._patient()}/scans?limit=100"
        self._send(name, "GET", f"/api/{self._choose.choice([*LISTS, of_one])}")

    def _report(self, name: str) -> None:
        patient = self._patient()
        listed = self._ask("list", "GET", f"/api/admin/patients/{patient}/scans?limit=100")
        scans = listed["data"] if listed else []
        done = [scan["scan_id"] for scan in scans if scan["status"] == "succeeded"][:3]
        if done:
            self._send(name, "POST", "/api/report/generate", json={"patient_id": patient, "scan_ids": done})

    def _download(self, name: str) -> None:
        listed = self._ask("list", "GET", "/api/admin/reports?limit=20")
        reports = [report["report_id"] for report in listed["data"]] if listed else []
        if not reports:
            return
        found = self._ask("link of a report", "GET", f"/api/report/download/{self._choose.choice(reports)}")
        if found is not None:
            self._send(name, "GET", found["download_url"])

    def _cancel(self, name: str) -> None:
        job = self._known.some_job(self._choose, 20)
        if job and self._ask(name, "DELETE", f"/api/jobs/{job}") is not None:
            self._send("retry", "POST", f"/api/jobs/{job}/retry")

    def _retry(self, name: str) -> None:
        job = self._known.some_job(self._choose, 400)
        if job:
            self._send(name, "POST", f"/api/jobs/{job}/retry")

    def _picture(self, name: str) -> None:
        listed = self._ask("list", "GET", "/api/admin/scans?limit=20")
        links = [scan["overlay_path"] for scan in listed["data"] if scan["overlay_path"]] if listed else []
        if links:
            self._send(name, "GET", self._choose.choice(links))

    def _log_in(self, name: str) -> None:
        login = {"username": self._known.username, "password": self._known.password}
        body = self._ask(name, "POST", "/api/admin/login", json=login)
        self._http.cookies.clear()  # the other operations come with the bearer token alone
        if body is not None:
            own = {"Authorization": f"Bearer {body['token']}"}
            self._send("log out", "POST", "/api/account/logout", json={}, headers=own)

    def _new_patient(self, name: str) -> None:
        facts = {"name": "Soak Patient", "email": f"{uuid.uuid4().hex}@example.org"}
        self._send(name, "POST", "/api/admin/patients", json=facts)


def _zip_of(files: list[bytes], patient: int) -> bytes:
    """A ZIP with its manifest."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        rows = ["filename,patient_id"]
        for number, content in enumerate(files):
            members.writestr(f"{number}.png", content)
            rows.append(f"{number}.png,{patient}")
        members.writestr("manifest.csv", "\n".join(rows))
    return archive.getvalue()
