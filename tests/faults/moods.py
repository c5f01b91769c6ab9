"""How a store over a network misbehaves: what each of its requests meets, by chance but always the same."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.loopback import Answer, Fault, LoopbackServer, Request

SILENCE_S = 3.0  # more than the product's patience with one answer
UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>", {"Content-Type": "text/html"})
BROKEN = Answer(500, b'{"error": {"message": "oops"}}', {"Content-Type": "application/json"})
BUSY = Answer(429, b"", {"Retry-After": "1"})
SOMETHING_ELSE = Answer(200, b"<html>Welcome to the free Wi-Fi</html>", {"Content-Type": "text/html"})


@dataclass(frozen=True)
class Mood:
    """`share` of the requests meet one of `faults`."""

    name: str
    share: float
    faults: tuple[Fault, ...]


MOODS = (
    Mood("is down", 1.0, (Fault(UNAVAILABLE),)),
    Mood("answers 500 and 503", 0.3, (Fault(BROKEN), Fault(UNAVAILABLE))),
    Mood("answers 429", 0.3, (Fault(BUSY),)),
    Mood("hangs", 0.2, (Fault(UNAVAILABLE, stall_s=SILENCE_S),)),
    Mood("is slow", 1.0, (Fault(stall_s=0.3),)),
    Mood("breaks off its answers", 0.3, (Fault(is_reset=True),)),
    Mood("does the work, answers too late", 0.2, (Fault(stall_s=SILENCE_S),)),
    Mood("trickles", 0.3, (Fault(trickle_s=0.3, trickle_bytes=10),)),
    Mood("answers 200 and nothing", 0.3, (Fault(change=lambda _: Answer(200)),)),
    Mood("answers 200 and something else", 0.3, (Fault(change=lambda _: SOMETHING_ELSE),)),
)


@contextmanager
def in_mood(server: LoopbackServer, mood: Mood) -> Iterator[Callable[[], int]]:
    """Meanwhile the server misbehaves so. Gives how many requests met a fault so far."""
    chance = random.Random(mood.name)  # noqa: S311 - no secret
    struck: list[Request] = []

    def meet(request: Request) -> Fault | None:
        if chance.random() >= mood.share:
            return None
        struck.append(request)
        return chance.choice(mood.faults)

    before, server.mood = server.mood, meet
    try:
        yield lambda: len(struck)
    finally:
        server.mood = before
