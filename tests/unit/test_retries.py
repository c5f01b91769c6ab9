"""Asking a store again: how often, how long between, and when not."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.errors import ObjectNotFoundError, StorageError, StoreRefusedError
from shared.storage import retries
from shared.storage.retries import ATTEMPTS, TryLaterError, ask, read_whole, seconds_of


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are kept, not waited for."""
    kept: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", kept.append)
    return kept


class Store:
    def __init__(self, *outcomes: StorageError | bytes) -> None:
        self.outcomes = list(outcomes)

    def __call__(self) -> bytes:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, StorageError):
            raise outcome
        return outcome


def test_an_outage_is_asked_three_times_with_growing_pauses(pauses: list[float]) -> None:
    outages = [StorageError("down") for _ in range(ATTEMPTS)]
    with pytest.raises(StorageError) as caught:
        ask(Store(*outages), "images", 10)
    assert caught.value is outages[-1]
    assert len(pauses) == ATTEMPTS - 1
    assert 0.125 <= pauses[0] <= 0.375
    assert 0.25 <= pauses[1] <= 0.75


def test_the_second_answer_counts(pauses: list[float]) -> None:
    assert ask(Store(TryLaterError("busy", 3), b"data"), "images", 10) == b"data"
    assert pauses == [3]


@pytest.mark.parametrize("error", [ObjectNotFoundError("none"), StoreRefusedError("no")])
def test_what_cannot_change_is_not_asked_again(pauses: list[float], error: StorageError) -> None:
    with pytest.raises(type(error)):
        ask(Store(error), "images", 10)
    assert pauses == []


def test_a_longer_pause_than_patience_fails_at_once(pauses: list[float]) -> None:
    with pytest.raises(TryLaterError):
        ask(Store(TryLaterError("busy", 11)), "images", 10)
    assert pauses == []


def test_retry_after_is_seconds_or_a_date() -> None:
    assert seconds_of("7") == 7
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert seconds_of(format_datetime(later, usegmt=True)) == pytest.approx(90, abs=2)
    assert seconds_of(format_datetime(later - timedelta(days=1), usegmt=True)) == 0
    for nothing in (None, "", "soon", "-5"):
        assert seconds_of(nothing) is None


def test_an_answer_may_be_neither_endless_nor_late(monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 60
    assert read_whole([b"ab", b"c"], later) == b"abc"
    monkeypatch.setattr(retries, "MAX_OBJECT_BYTES", 4)
    with pytest.raises(StorageError, match="larger than any object"):
        read_whole(iter(lambda: b"xx", b""), later)
    with pytest.raises(TryLaterError, match="too slowly"):
        read_whole([b"a"], time.monotonic() - 1)
