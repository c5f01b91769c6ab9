"""Asks Postgres a few questions within a time that it cannot exceed.

A driver waits for an answer as long as it takes, and the server's own time-out ends nothing when the server
stands still. Metrics must come while Postgres does not.
"""

import select
import time
from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, connection

Rows = list[tuple[Any, ...]]
_EVENTS = {POLL_READ: select.POLLIN, POLL_WRITE: select.POLLOUT}


def ask_in_time(url: str, questions: Sequence[str], seconds: float) -> list[Rows]:
    """The rows of each question, over a connection of their own that is closed at once.

    Raises `psycopg2.Error`, or `TimeoutError` once the time is over.
    """
    deadline = time.monotonic() + seconds
    milliseconds = round(seconds * 1000)
    asked = psycopg2.connect(
        url, async_=1, fallback_application_name="metrics", options=f"-c statement_timeout={milliseconds}"
    )
    try:
        _wait(asked, deadline)
        cursor = asked.cursor()
        answers = []
        for question in questions:
            cursor.execute(question)
            _wait(asked, deadline)
            answers.append(list(cursor.fetchall()))
    finally:
        asked.close()
    return answers


def _wait(asked: connection, deadline: float) -> None:
    while (state := asked.poll()) != POLL_OK:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(asked.fileno(), _EVENTS[state])
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError
