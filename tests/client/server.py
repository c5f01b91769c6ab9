"""A small server on loopback that speaks the contract, checks what it is sent, and fails when told to."""

import hashlib
import io
import json
import re
import socket
import struct
import threading
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

TOKEN, PASSWORD = "a-token-of-the-tests", "a password of the tests"
PATIENTS = {1: "P0000000000000001", 2: "P0000000000000002"}
SCANS_PATH = re.compile(r"/api/batches/([0-9a-f-]{36})/scans")
BATCH_PATH = re.compile(r"/api/batches/([0-9a-f-]{36})")

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering properly. `after`: the request has its effect all the same."""

    status: int = 0  # 0: cut the connection
    retry_after: str | None = None
    after: bool = False


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass
class ScanServer:
    """Its state, in memory. Faults are used up one by one: by uploads into a batch, or by other requests."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    batches: dict[str, Json] = field(default_factory=dict)
    scans: list[Json] = field(default_factory=list)
    remembered: dict[str, tuple[str, int, Json]] = field(default_factory=dict)
    upload_faults: deque[Fault] = field(default_factory=deque)
    faults: deque[Fault] = field(default_factory=deque)
    limits: Json | None = None
    max_files: int = 200  # above it: 413
    transient: set[str] = field(default_factory=set)  # names that the store does not take at their first try
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    report_link: str = "/api/files/reports/signed"
    job_status: str = "succeeded"
    redirect: str = ""  # where /moved leads
    forgets: bool = False  # keep no request bodies
    lock: threading.RLock = field(default_factory=threading.RLock)

    def uploads(self) -> list[Seen]:
        return [request for request in self.seen if SCANS_PATH.fullmatch(request.path)]

    def names(self) -> Counter[str]:
        return Counter(scan["filename"] for scan in self.scans)

    def answer(self, request: Seen) -> tuple[int, Json | bytes]:
        """Public addresses, the login, remembered answers, then the work itself."""
        path = request.path.split("?", 1)[0]
        if path == "/api/admin/login":
            is_right = json.loads(request.body)["password"] == PASSWORD
            return (200, {"success": True, "token": TOKEN}) if is_right else (401, WRONG_LOGIN)
        if path == "/moved":
            return 302, self.redirect.encode()
        if path == "/api/files/reports/signed":
            return 200, b"%PDF-1.7 made up"
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, refused("The login is not valid or has expired.", "AUTHENTICATION_ERROR")
        fingerprint = hashlib.sha256(request.method.encode() + path.encode() + request.body).hexdigest()
        first, *answer = self.remembered.get(request.key or "", ("", 0, {}))
        if first:
            return tuple(answer) if first == fingerprint else (409, OTHER_REQUEST)
        status, body = self.act(request, path)
        if request.key is not None and status < 300 and isinstance(body, dict):
            self.remembered[request.key] = (fingerprint, status, body)
        return status, body

    def act(self, request: Seen, path: str) -> tuple[int, Json | bytes]:
        fixed: dict[str, Json] = {
            "/api/report/generate": {"job_id": "11111111-1111-4111-8111-111111111111"},
            "/api/report/download/R0123456789ABCDEF": {"download_url": self.report_link},
            "/api/admin/patients": {"data": [{"id": n, "patient_id": name} for n, name in PATIENTS.items()]},
        }
        if path == "/api/account/logout":
            self.tokens.clear()
            fixed[path] = {}
        elif path == "/api/batches/limits" and self.limits is not None:
            fixed[path] = {"data": self.limits}
        elif path == "/api/batches":
            batch_id = str(uuid.uuid4())
            self.batches[batch_id] = {"name": json.loads(request.body)["name"], "cancelled_at": None}
            fixed[path] = {"batch_id": batch_id, "data": self.batch(batch_id)}
        elif path.startswith("/api/jobs/"):
            result = {"report_id": "R0123456789ABCDEF"} if self.job_status == "succeeded" else None
            error = None if result else {"code": "X", "message": "the renderer broke"}
            fixed[path] = {"data": {"status": self.job_status, "result": result, "error": error}}
        if path in fixed:
            return 200, {"success": True, **fixed[path]}
        if (found := SCANS_PATH.fullmatch(path)) and found[1] in self.batches:
            return self.take(request, found[1])
        found = BATCH_PATH.match(path)
        return self.about(request, found[1], path.removeprefix(found[0])) if found else (404, NOTHING)

    def about(self, request: Seen, batch_id: str, rest: str) -> tuple[int, Json | bytes]:
        if batch_id not in self.batches:
            return 404, refused("Batch not found", "NOT_FOUND_ERROR")
        if rest == "/results.csv":
            rows = [
                f"{scan['filename']},{scan['patient']}\n" for scan in self.scans if scan["batch"] == batch_id
            ]
            return 200, "".join(["filename,patient_id\n", *rows]).encode()
        if request.method == "DELETE":
            self.batches[batch_id]["cancelled_at"] = "2030-01-01T00:00:00Z"
            return 200, {"success": True, "cancelled": 3, "data": self.batch(batch_id)}
        return 200, {"success": True, "data": self.batch(batch_id)}

    def batch(self, batch_id: str) -> Json:
        total = sum(scan["batch"] == batch_id for scan in self.scans)
        counts = dict.fromkeys(("queued", "running", "succeeded", "failed", "cancelled"), 0)
        counts[self.job_status] = total
        return {
            "id": batch_id,
            **self.batches[batch_id],
            "total": total,
            "counts": counts,
            "outcomes": {"tumor": 0, "no_tumor": 0, "needs_review": total, "rejected": 0},
            "eta_seconds": None,
        }

    def take(self, request: Seen, batch_id: str) -> tuple[int, Json | bytes]:
        kind, options = parse_options_header(request.headers["content-type"])
        _, form, files = FormDataParser(lambda *_, **__: io.BytesIO()).parse(
            io.BytesIO(request.body), kind, len(request.body), options
        )
        sent = files.getlist("files")
        assert int(form["patient_id"]) in PATIENTS
        if len(sent) > self.max_files:
            return 413, refused("The request is too large. Send fewer files.", "PAYLOAD_TOO_LARGE")
        results = [
            self.take_file(file.filename or "", file.read(), int(form["patient_id"]), batch_id)
            for file in sent
        ]
        if not any(result["success"] for result in results):
            if any(result["code"] == "SERVICE_UNAVAILABLE" for result in results):
                return 503, refused("The image store does not take uploads right now.", "SERVICE_UNAVAILABLE")
            return 400, {**refused("None is usable.", "FILE_UPLOAD_ERROR"), "results": results}
        return 202, {"success": True, "batch_id": batch_id, "results": results}

    def take_file(self, name: str, data: bytes, patient: int, batch_id: str) -> Json:
        if name in self.transient:
            self.transient.remove(name)
            return {"filename": name, **refused("The store is down.", "SERVICE_UNAVAILABLE")}
        if b"refuse me" in data:
            return {"filename": name, **refused("The file is not a complete image.", "FILE_UPLOAD_ERROR")}
        job_id = str(uuid.uuid4())
        digest = hashlib.sha256(data).hexdigest()
        self.scans.append(
            {"filename": name, "sha256": digest, "patient": patient, "batch": batch_id, "job": job_id}
        )
        return {"success": True, "filename": name, "job_id": job_id, "status": "queued", "prediction": None}


def refused(message: str, code: str) -> Json:
    return {"success": False, "error": message, "code": code}


WRONG_LOGIN = refused("Invalid credentials", "AUTHENTICATION_ERROR")
OTHER_REQUEST = refused("This Idempotency-Key was used for another request.", "CONFLICT_ERROR")
NOTHING = refused("There is nothing at this address.", "NOT_FOUND_ERROR")


@contextmanager
def running() -> Iterator[ScanServer]:
    """A server on a free port."""
    state = ScanServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Seen(self.command, self.path, headers, body)
            with state.lock:
                state.seen.append(Seen(self.command, self.path, headers, b"") if state.forgets else request)
                mine = state.upload_faults if SCANS_PATH.fullmatch(self.path) else state.faults
                fault = mine.popleft() if mine else None
                answer = state.answer(request) if fault is None or fault.after else None
            if fault is not None and not fault.status:
                self.cut()
            elif fault is not None:
                header = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
                self.put(fault.status, refused("Not now.", "SERVICE_UNAVAILABLE"), header)
            else:
                assert answer is not None
                self.put(*answer, {})

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - names of http.server

        def put(self, status: int, body: Json | bytes, headers: dict[str, str]) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            if status == 302:
                headers, data = {"Location": data.decode()}, b""
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def cut(self) -> None:
            """A reset, not a polite end: what a killed server or a broken network looks like."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            self.rfile.close = self.wfile.close = lambda: None  # type: ignore[method-assign]

        def finish(self) -> None:
            if not self.close_connection or self.connection.fileno() != -1:
                super().finish()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
