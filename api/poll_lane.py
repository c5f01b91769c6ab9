"""A short way for the request that comes most: `GET /api/jobs/<id>` by somebody who may see the job.

It stands before Flask, keeps the same rules, and gives one kind of answer: the job. A request that is
unusual, or would be answered otherwise, goes the long way through Flask as if this were not here.
"""

import re
import time
import uuid
from collections.abc import Iterable, Sequence
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
from api.together import Together
from api.wiring import Wiring
from shared import logins, polled_jobs
from shared.errors import TooManyRequestsError
from shared.logins import Caller
from shared.models import JobStatus
from shared.polled_jobs import PolledJob

ROUTE = "/api/jobs/<job_id>"  # as Flask names it
OUTAGE_S = 5.0  # after an error of the database the long way alone finds out whether it answers again
_PATH = re.compile(r"/api/jobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_UNUSUAL = (  # on these, too, the answer would depend
    "CONTENT_LENGTH",
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
        self._sights = Together(self._look)
        self._closed_until = 0.0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        question = self._question(environ)
        body = self._short_way(question, environ, start_response) if question else None
        return self._long_way(environ, start_response) if body is None else [body]

    def _question(self, environ: WSGIEnvironment) -> Question | None:
        """What is asked; None if this is no plain poll."""
        path = _PATH.fullmatch(environ["PATH_INFO"])
        if path is None or environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            return None
        if any(environ.get(name) for name in _UNUSUAL) or not is_host(environ.get("HTTP_HOST", "")):
            return None
        token = token_in(environ)
        if not token or time.monotonic() < self._closed_until:
            return None
        return Question(logins.digest(token), uuid.UUID(path[1]))

    def _short_way(
        self, question: Question, environ: WSGIEnvironment, start_response: StartResponse
    ) -> bytes | None:
        """The body of the answer that was begun; None if none was."""
        began = time.perf_counter()
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
            sight = self._sights.ask(question)
            if sight is None or sight.caller is None or sight.job is None:
                return None
            if not may_see(sight.caller, sight.job):
                return None
            if is_gated(self._wiring.services.settings, sight.caller):
                return None
            self._wiring.rate_limit.count_caller(str(sight.caller))
        except SQLAlchemyError:
            self._closed_until = time.monotonic() + OUTAGE_S
            return None
        except TooManyRequestsError:
            return None
        return sight

    def _look(self, questions: Sequence[Question]) -> list[Sight]:
        with self._wiring.services.sessions() as session:
            callers = logins.callers_of(session, {question.token_digest for question in questions})
            jobs = polled_jobs.read(session, {question.job_id for question in questions})
            queued = {job.kind for job in jobs.values() if job.status == JobStatus.QUEUED}
            paces = {kind: self._wiring.pace.seconds_per_job(session, kind) for kind in queued}
        found = [(callers.get(digest), jobs.get(job_id)) for digest, job_id in questions]
        return [Sight(caller, job, paces.get(job.kind) if job else None) for caller, job in found]

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
