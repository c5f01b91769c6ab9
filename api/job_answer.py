"""The answer to a poll: the job's JSON, made once, and the headers that say how to ask again."""

import hashlib
from dataclasses import dataclass

from flask import Flask

from api.presenters import Json
from api.waiting import POLL_AFTER_S
from shared.models import UNFINISHED


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """`etag` changes whenever the body does: it is made of it."""

    body: bytes
    etag: str  # quoted
    headers: dict[str, str]


def answer_with(app: Flask, job: Json) -> JobAnswer:
    """Of a job's JSON object."""
    body = f"{app.json.dumps({'success': True, 'data': job}, separators=(',', ':'))}\n".encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Content-Type": "application/json", "ETag": etag, "Cache-Control": "private, no-cache"}
    if job["status"] in UNFINISHED:
        headers["Retry-After"] = str(POLL_AFTER_S)
    return JobAnswer(body, etag, headers)
