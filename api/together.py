"""Questions that come at the same time are asked together."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """What threads ask while an answer is on its way is asked at once when it has come, by one of them."""

    def __init__(self, ask_all: Callable[[Sequence[Question]], Sequence[Answer]]) -> None:
        """`ask_all` answers many questions, in their order."""
        self._ask_all = ask_all
        self._lock = Lock()
        self._waiting: list[_Asked[Question, Answer]] = []
        self._is_under_way = False

    def ask(self, question: Question) -> Answer | None:
        """The answer; None if another thread asked for this one, and failed. Raises what `ask_all` raises."""
        mine: _Asked[Question, Answer] = _Asked(question)
        with self._lock:
            self._waiting.append(mine)
            mine.asks, self._is_under_way = not self._is_under_way, True
        if not mine.asks:
            mine.turn.acquire()
        if mine.asks:
            self._ask_for_those_who_wait()
        return mine.answer

    def _ask_for_those_who_wait(self) -> None:
        with self._lock:
            asked, self._waiting = self._waiting, []
        try:
            answers = self._ask_all([one.question for one in asked])
            for one, answer in zip(asked, answers, strict=True):
                one.answer = answer
        finally:
            self._hand_on()
            for one in asked:
                if not one.asks:
                    one.turn.release()

    def _hand_on(self) -> None:
        """Who has waited longest asks next."""
        with self._lock:
            if not self._waiting:
                self._is_under_way = False
                return
            following = self._waiting[0]
            following.asks = True
        following.turn.release()


class _Asked(Generic[Question, Answer]):
    """One question, and the thread that waits for its answer."""

    __slots__ = ("answer", "asks", "question", "turn")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.answer: Answer | None = None
        self.asks = False  # this thread asks, for all that wait
        self.turn = Lock()
        self.turn.acquire()
