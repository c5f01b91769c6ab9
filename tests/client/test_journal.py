"""The journal: what it says after a crash is what the client knew before it."""

from pathlib import Path

import pytest

from brain_scans.errors import WrongUseError
from brain_scans.journal import FileId, Journal, Outcome, journal_path

FILES = [FileId("a.png", 3, "aa", 1), FileId("b.png", 4, "bb", 1)]


def reopened(journal: Journal) -> Journal:
    journal.close()
    return Journal.open(journal.path)


def begun(path: Path) -> Journal:
    journal = Journal.open(path)
    journal.begin("nonce", "ada")
    journal.name_batch("batch")
    return journal


def test_answers_are_remembered_file_by_file(tmp_path: Path) -> None:
    journal = begun(tmp_path / "j.jsonl")
    journal.sending("key", FILES)
    journal.answered("key", [Outcome("job"), Outcome(None, "too dark", "X")])
    again = reopened(journal)
    assert (again.nonce, again.username, again.batch_id) == ("nonce", "ada", "batch")
    assert again.unanswered == {}
    assert again.settled == {FILES[0]: Outcome("job"), FILES[1]: Outcome(None, "too dark", "X")}
    again.close()


def test_a_request_without_an_answer_is_known_as_it_was_sent(tmp_path: Path) -> None:
    journal = begun(tmp_path / "j.jsonl")
    journal.sending("key", FILES)
    journal.sending("other", FILES[:1])
    journal.withdrawn("other")
    again = reopened(journal)
    assert again.unanswered == {"key": FILES}
    assert again.settled == {}
    again.close()


def test_a_file_that_may_be_asked_again_is_not_settled(tmp_path: Path) -> None:
    journal = begun(tmp_path / "j.jsonl")
    journal.sending("key", FILES)
    journal.answered("key", [Outcome("job"), None])
    again = reopened(journal)
    assert list(again.settled) == FILES[:1]
    again.close()


def test_a_line_cut_off_by_a_crash_was_never_said(tmp_path: Path) -> None:
    journal = begun(tmp_path / "j.jsonl")
    journal.sending("key", FILES)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"answered":"key","outc')
    again = Journal.open(journal.path)
    assert again.unanswered == {"key": FILES}
    again.answered("key", [Outcome("job"), Outcome("job2")])
    last = reopened(again)
    assert len(last.settled) == 2
    last.close()


def test_two_clients_do_not_send_the_same_files_at_once(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j.jsonl")
    with pytest.raises(WrongUseError, match="Another brain-scans"):
        Journal.open(tmp_path / "j.jsonl")
    journal.close()


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    journal = begun(tmp_path / "folder" / "j.jsonl")
    journal.close()
    assert journal.path.stat().st_mode & 0o077 == 0


def test_work_is_told_apart_by_server_sources_and_patients_not_by_order(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"

    def path(server: str, sources: list[Path], patient: str | None = "1", table: Path | None = None) -> Path:
        return journal_path(tmp_path, server, sources, patient, table)

    first = path("http://s", [a, b])
    assert path("http://s", [b, a]) == first
    others = [
        path("http://t", [a, b]),
        path("http://s", [a]),
        path("http://s", [a, b], "2"),
        path("http://s", [a, b], None, a),
    ]
    assert len({first, *others}) == 5
