"""Polls that come at the same moment, over HTTP: each caller gets their own answer."""

from contextlib import ExitStack

from tests.security.polls import Asked, read_answer
from tests.security.raw_http import HOST, connect, say

REPEATS = 5


def test_each_of_many_callers_at_once_gets_their_own_answer(server: str, questions: list[Asked]) -> None:
    with ExitStack() as closing:
        clients = [closing.enter_context(connect(server)) for _ in questions]
        for turn in range(REPEATS):
            asked = [questions[(turn + number) % len(questions)] for number in range(len(questions))]
            for client, question in zip(clients, asked, strict=True):
                client.sendall(question.request)
            for client, question in zip(clients, asked, strict=True):
                status, answer = read_answer(client)
                assert status == question.status
                assert answer["data"]["id"] == question.job_id if status == 200 else "data" not in answer


def test_several_polls_in_one_message_are_answered_in_their_order(
    server: str, questions: list[Asked]
) -> None:
    asked = [question for question in questions if question.status == 200][:6]
    closing = asked[-1].request.replace(HOST, HOST + b"Connection: close\r\n")
    exchange = say(server, b"".join(question.request for question in asked[:-1]) + closing)
    assert exchange.statuses == [200] * 6
    places = [exchange.received.index(f'"id":"{question.job_id}"'.encode()) for question in asked[::2]]
    assert places == sorted(places)
