"""A short way for the request that comes most: `GET /api/jobs/<id>` by somebody who may see the job.

It stands before Flask, keeps the same rules, and gives one kind of answer: the job. A request that is
unusual, or would be answered otherwise, goes the long way through Flask as if this were not here. Who serves
several polls at once (`api.poll_rounds`) lets it look at all of them beforehand.
"""

import re
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.http import is_resource_modified, remove_entity_headers

from api import metrics
from api.auth import may_see, token_in
from api.job_answer import answer_with
from api.links import is_host
from api.presenters import job_json
from api.release import is_gated
from api.request_log import HEADER, Answered, begin_request, note_answer, standard_headers
from api.wiring import Wiring
from shared import logins, polled_jobs
from shared.errors import TooManyRequestsError
from shared.logins import Caller
from shared.models import JobStatus
from shared.polled_jobs import PolledJob

POLL_LANE = "poll lane"  # its name among the application's extensions
ROUTE = "/api/jobs/<job_id>"  # as Flask names it
OUTAGE_S = 5.0  # after an error of the database the long way alone finds out whether it answers again
_PATH = re.compile(r"/api/jobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_UNUSUAL = (  # on these, too, the answer would depend
    "CONTENT_LENGTH",
    "HTTP_CONTENT_LENGTH",
    "HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK",
    "HTTP_IF_MATCH",
    "HTTP_ORIGIN",
    "HTTP_TRANSFER_ENCODING",
)


class Question(NamedTuple):
    """Who asks for which job."""

    token_digest: str
    job_id: uuid.UUID


class Sight(NamedTuple):
    """What the database says about both; `pace` is that of jobs of this kind, if the job is queued."""

    caller: Caller | None
    job: PolledJob | None
    pace: float | None


class PollLane:
    """A WSGI application in front of Flask's."""

    def __init__(self, app: Flask, wiring: Wiring) -> None:
        """Of an application that does nothing yet after a request, but for the headers of CORS."""
        self._app, self._long_way, self._wiring = app, app.wsgi_app, wiring
        with app.test_request_context():
            bare = Response()
            bare.headers.clear()
            self._cors_headers = list(app.process_response(bare).headers)
        self._foreseen = _Foreseen()
        self._closed_until = 0.0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        question = self._question(environ)
        body = self._short_way(question, environ, start_response) if question else None
        return self._long_way(environ, start_response) if body is None else [body]

    def is_open(self) -> bool:
        """False for a while after an error of the database."""
        return time.monotonic() >= self._closed_until

    def foresee(self, heads: Sequence[bytes]) -> list[bool]:
        """Look at what polls with these heads ask for, with one question to the database.

        Returns which of them will find what they may see, unless their callers ask too often. This thread's
        requests are answered by that, up to `forget`: a head is only a hint, and what a request asks for is
        read from the request.
        """
        self._foreseen.began = time.perf_counter()
        questions = [self._question(_environ_of(head)) for head in heads]
        try:
            self._foreseen.sights = self._look({question for question in questions if question})
        except SQLAlchemyError:
            self._closed_until = time.monotonic() + OUTAGE_S
        sights = [question and self._foreseen.sights.get(question) for question in questions]
        limit = self._wiring.rate_limit
        return [
            sight is not None and self._shows(sight) and limit.has_room(str(sight.caller)) for sight in sights
        ]

    def forget(self) -> None:
        """What was foreseen is over."""
        self._foreseen.began, self._foreseen.sights = None, {}

    def _question(self, environ: WSGIEnvironment) -> Question | None:
        """What is asked; None if this is no plain poll."""
        path = _PATH.fullmatch(environ["PATH_INFO"])
        if path is None or environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            return None
        if any(environ.get(name) for name in _UNUSUAL) or not is_host(environ.get("HTTP_HOST", "")):
            return None
        token = token_in(environ)
        if not token or not self.is_open():
            return None
        return Question(logins.digest(token), uuid.UUID(path[1]))

    def _short_way(
        self, question: Question, environ: WSGIEnvironment, start_response: StartResponse
    ) -> bytes | None:
        """The body of the answer that was begun; None if none was."""
        began = self._foreseen.began or time.perf_counter()
        request_id = begin_request(environ)
        try:
            sight = self._sight(question)
            if sight is None or sight.job is None:
                return None
            status, headers, body = self._answer(environ, sight.job, sight.pace)
            seconds = time.perf_counter() - began
            note_answer(Answered("GET", ROUTE, status, seconds, None, len(body)), is_logged=True)
        finally:
            metrics.request_gone()
        start_response(f"{status.value} {status.phrase}", [*headers, (HEADER, request_id)])
        return body

    def _sight(self, question: Question) -> Sight | None:
        """What the caller may see, counted as a request of theirs; None if the answer is another one."""
        try:
            sight = self._foreseen.sights.get(question) or self._look({question})[question]
            if not self._shows(sight):
                return None
            self._wiring.rate_limit.count_caller(str(sight.caller))
        except SQLAlchemyError:
            self._closed_until = time.monotonic() + OUTAGE_S
            return None
        except TooManyRequestsError:
            return None
        return sight

    def _shows(self, sight: Sight) -> bool:
        """Whether there is a job, and the caller may see it."""
        who, job = sight.caller, sight.job
        if who is None or job is None or not may_see(who, job):
            return False
        return not is_gated(self._wiring.services.settings, who)

    def _look(self, questions: Collection[Question]) -> dict[Question, Sight]:
        if not questions:
            return {}
        with self._wiring.services.sessions() as session:
            callers = logins.callers_of(session, {question.token_digest for question in questions})
            jobs = polled_jobs.read(session, {question.job_id for question in questions})
            queued = {job.kind for job in jobs.values() if job.status == JobStatus.QUEUED}
            paces = {kind: self._wiring.pace.seconds_per_job(session, kind) for kind in queued}
        sights = {}
        for question in questions:
            job = jobs.get(question.job_id)
            pace = paces.get(job.kind) if job else None
            sights[question] = Sight(callers.get(question.token_digest), job, pace)
        return sights

    def _answer(
        self, environ: WSGIEnvironment, job: PolledJob, pace: float | None
    ) -> tuple[HTTPStatus, list[tuple[str, str]], bytes]:
        answer = answer_with(self._app, job_json(job, job.ahead, pace))
        own = {**standard_headers(self._wiring.services.settings), **answer.headers}
        headers = [*self._cors_headers, *own.items(), ("Content-Length", str(len(answer.body)))]
        if "HTTP_IF_NONE_MATCH" in environ and not is_resource_modified(environ, answer.etag):
            remove_entity_headers(headers)
            return HTTPStatus.NOT_MODIFIED, headers, b""
        return HTTPStatus.OK, headers, answer.body


class _Foreseen(threading.local):
    """What this thread has looked at beforehand, and since when it answers by that."""

    def __init__(self) -> None:
        self.began: float | None = None  # time.perf_counter()
        self.sights: dict[Question, Sight] = {}


def _environ_of(head: bytes) -> WSGIEnvironment:
    """What WSGI would make of the head of a request without proxies, about."""
    first, *fields = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    for line in fields:
        name, _, value = line.partition(":")
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()
    return environ
