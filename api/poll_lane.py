"""A short way for the request that comes most: `GET /api/jobs/<id>` by somebody who may see the job.

It stands before Flask, keeps the same rules, and gives one kind of answer: the job. A request that is
unusual, or would be answered otherwise, goes the long way through Flask as if this were not here. Several
polls at once (`api.poll_rounds`) are looked at together, and do without gunicorn's reading and writing too.
"""

import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.http import is_resource_modified, remove_entity_headers

from api import metrics, plain_requests
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


class Seen(NamedTuple):
    """A poll whose caller may see the job, looked at together with others."""

    environ: WSGIEnvironment
    sight: Sight
    began: float  # time.perf_counter()


class Answer(NamedTuple):
    """What WSGI wants to know of an answer."""

    status: HTTPStatus
    headers: Sequence[tuple[str, str]]
    body: bytes


class PollLane:
    """A WSGI application in front of Flask's."""

    def __init__(self, app: Flask, wiring: Wiring) -> None:
        """Of an application that does nothing yet after a request, but for the headers of CORS."""
        self._app, self._long_way, self._wiring = app, app.wsgi_app, wiring
        with app.test_request_context():
            bare = Response()
            bare.headers.clear()
            self._cors_headers = list(app.process_response(bare).headers)
        self._closed_until = 0.0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        question = self._question(environ)
        answer = self._short_way(environ, lambda: self._look({question})[question]) if question else None
        if answer is None:
            return self._long_way(environ, start_response)
        start_response(f"{answer.status.value} {answer.status.phrase}", list(answer.headers))
        return [answer.body]

    def is_open(self) -> bool:
        """False for a while after an error of the database."""
        return time.monotonic() >= self._closed_until

    def look_at(self, heads: Sequence[bytes]) -> list[Seen | None]:
        """Look at what the polls with these heads ask for, with one question to the database.

        None for those that are to be answered elsewhere: no plain polls, or not with the job.
        """
        began = time.perf_counter()
        environs = [plain_requests.read_head(head) or {} for head in heads]
        questions = [self._question(environ) for environ in environs]
        try:
            sights = self._look({question for question in questions if question})
        except SQLAlchemyError:
            self._closed_until = time.monotonic() + OUTAGE_S
            return [None] * len(heads)
        seen: list[Seen | None] = []
        for environ, question in zip(environs, questions, strict=True):
            sight = sights[question] if question else None
            seen.append(Seen(environ, sight, began) if sight and self._shown(sight) else None)
        return seen

    def answer_to(self, seen: Seen) -> bytes | None:
        """The answer as it goes over the wire, counted for the caller; None if that is one too many."""
        answer = self._short_way(seen.environ, lambda: seen.sight, seen.began)
        return plain_requests.write_answer(*answer) if answer else None

    def _question(self, environ: WSGIEnvironment) -> Question | None:
        """What is asked; None if this is no plain poll."""
        path = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if path is None or environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            return None
        host = environ.get("HTTP_HOST", "")
        if any(environ.get(name) for name in _UNUSUAL) or not is_host(host):
            return None
        if environ.get("HTTP_X_FORWARDED_HOST", host) != host:  # which of them counts, others know
            return None
        token = token_in(environ)
        if not token or not self.is_open():
            return None
        return Question(logins.digest(token), uuid.UUID(path[1]))

    def _short_way(
        self, environ: WSGIEnvironment, look: Callable[[], Sight], began: float | None = None
    ) -> Answer | None:
        """The answer, counted and logged; None if it is another one than the job."""
        began = began or time.perf_counter()
        request_id = begin_request(environ)
        try:
            sight = look()
            job = self._shown(sight)
            if job is None:
                return None
            self._wiring.rate_limit.count_caller(str(sight.caller))
            answer = self._answer(environ, job, sight.pace)
            seconds = time.perf_counter() - began
            note_answer(
                Answered("GET", ROUTE, answer.status, seconds, None, len(answer.body)), is_logged=True
            )
        except SQLAlchemyError:
            self._closed_until = time.monotonic() + OUTAGE_S
            return None
        except TooManyRequestsError:
            return None
        finally:
            metrics.request_gone()
        return answer._replace(headers=[*answer.headers, (HEADER, request_id)])

    def _shown(self, sight: Sight) -> PolledJob | None:
        """The job, if the caller may see it."""
        who, job = sight.caller, sight.job
        if who is None or job is None or not may_see(who, job):
            return None
        return None if is_gated(self._wiring.services.settings, who) else job

    def _look(self, questions: Collection[Question]) -> dict[Question, Sight]:
        if not questions:
            return {}
        with self._wiring.services.sessions() as session:
            callers = logins.callers_of(session, {question.token_digest for question in questions})
            jobs = polled_jobs.read_with_places(session, {question.job_id for question in questions})
            queued = {job.kind for job in jobs.values() if job.status == JobStatus.QUEUED}
            paces = {kind: self._wiring.pace.seconds_per_job(session, kind) for kind in queued}
        sights = {}
        for question in questions:
            job = jobs.get(question.job_id)
            pace = paces.get(job.kind) if job else None
            sights[question] = Sight(callers.get(question.token_digest), job, pace)
        return sights

    def _answer(self, environ: WSGIEnvironment, job: PolledJob, pace: float | None) -> Answer:
        answer = answer_with(self._app, job_json(job, job.ahead, pace))
        own = {**standard_headers(self._wiring.services.settings), **answer.headers}
        headers = [*self._cors_headers, *own.items(), ("Content-Length", str(len(answer.body)))]
        if "HTTP_IF_NONE_MATCH" in environ and not is_resource_modified(environ, answer.etag):
            remove_entity_headers(headers)
            return Answer(HTTPStatus.NOT_MODIFIED, headers, b"")
        return Answer(HTTPStatus.OK, headers, answer.body)
