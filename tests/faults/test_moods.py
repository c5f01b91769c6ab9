"""A store's mood is what its requests meet while it lasts, and nothing before or after."""

from pathlib import Path

import httpx
import pytest

from tests.faults.moods import UNAVAILABLE, Mood, in_mood
from tests.faults.small_disk import full, lacks_small_disks, small_disk
from tests.servers.loopback import Answer, Fault, LoopbackServer, Request


class Friendly(LoopbackServer):
    """Says yes."""

    def answer(self, request: Request) -> Answer:  # noqa: ARG002
        return Answer(200, b"yes")


def _statuses(server: LoopbackServer, number: int) -> list[int]:
    return [httpx.get(server.url, trust_env=False).status_code for _ in range(number)]


def test_a_mood_strikes_its_share_of_requests_and_ends() -> None:
    with Friendly() as server:
        with in_mood(server, Mood("moody", 0.5, (Fault(UNAVAILABLE),))) as struck:
            statuses = _statuses(server, 40)
        assert _statuses(server, 5) == [200] * 5
    assert 5 < statuses.count(503) == struck() < 35


def test_a_mood_is_the_same_each_time() -> None:
    mood = Mood("moody", 0.5, (Fault(UNAVAILABLE),))
    runs = []
    for _ in range(2):
        with Friendly() as server, in_mood(server, mood):
            runs.append(_statuses(server, 10))
    assert runs[0] == runs[1]


@pytest.mark.skipif(lacks_small_disks() is not None, reason=str(lacks_small_disks()))
def test_a_full_disk_takes_no_byte_and_is_empty_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        with full(folder), pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(b"x")
        (folder / "more").write_bytes(b"x")
        assert [path.name for path in folder.iterdir()] == ["more"]
    assert list((tmp_path / "disk").iterdir()) == []
