"""Polls as bytes on a wire, and who sends them."""

import json
import socket
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from shared.services import Services
from tests.integration.sending import new_patient, pictures, send
from tests.security.raw_http import HOST

PATIENTS, SCANS = 4, 3
FORGED = "Bearer forged"


def poll(job_id: str, authorization: str | None) -> bytes:
    """A request after which the connection stays open."""
    line = f"Authorization: {authorization}\r\n".encode() if authorization else b""
    return f"GET /api/jobs/{job_id} HTTP/1.1\r\n".encode() + HOST + line + b"\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A poll and the status it is to be answered with."""

    request: bytes
    job_id: str
    status: int


def questions_of(admin: FlaskClient, services: Services) -> list[Asked]:
    """For each of many jobs: its patient, the staff, another patient, a forger and a stranger."""
    staff = str(admin.environ_base["HTTP_AUTHORIZATION"])
    owners = [new_patient(services, f"Patient {number}") for number in range(PATIENTS)]
    tokens = [str(client.environ_base["HTTP_AUTHORIZATION"]) for _, client in owners]
    asked = []
    for number, (patient_id, _) in enumerate(owners):
        for job_id in send(admin, patient_id, *pictures(SCANS)).json["job_ids"]:
            of = [(tokens[number], 200), (staff, 200), (tokens[number - 1], 404), (FORGED, 401), (None, 401)]
            asked += [Asked(poll(job_id, token), job_id, status) for token, status in of]
    return asked


def read_answer(client: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of the next answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(client)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _more(client)
    return int(head[9:12]), json.loads(body)


def _more(client: socket.socket) -> bytes:
    part = client.recv(65_536)
    assert part, "the server hung up"
    return part
