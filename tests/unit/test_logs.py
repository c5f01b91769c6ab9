"""One JSON object per line, whole, whatever is in it and however it is written."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from shared.logs import configure_logging, get_logger, lines_together

log = get_logger("tests")


class Writes(io.StringIO):
    """A stream that counts how often it is written to."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Writes]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = Writes()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("INFO")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_written_at_once_and_cannot_forge_another(stream: Writes) -> None:
    log.info("first", given='a\n{"event": "forged"}', thing=object)
    (line,) = stream.lines()
    assert line["event"] == "first"
    assert line["given"] == 'a\n{"event": "forged"}'
    assert line["thing"] == repr(object)
    assert {"level", "logger", "timestamp"} < line.keys()


def test_lines_of_a_block_are_written_together_also_when_it_fails(stream: Writes) -> None:
    def fail() -> None:
        with lines_together():
            log.info("one")
            with lines_together():
                logging.getLogger("library").warning("two")
            assert not stream.getvalue()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [line["event"] for line in stream.lines()] == ["one", "two"]
    assert stream.count == 1
    log.info("three")
    assert stream.lines()[-1]["event"] == "three"


def test_a_log_that_cannot_be_written_fails_nothing(stream: Writes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> int:
        raise OSError

    monkeypatch.setattr(stream, "write", fail)
    monkeypatch.setattr(logging, "raiseExceptions", False)  # which would tell of it on the same stream
    log.info("alone")
    with lines_together():
        log.info("held")


def test_a_block_without_lines_writes_nothing(stream: Writes) -> None:
    with lines_together():
        pass
    assert stream.count == 0
