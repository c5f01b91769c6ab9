"""One batch on the server: opening it, asking how far it is, following it to its end."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from brain_scans.api import Api, body_of
from brain_scans.errors import ApiError, WrongUseError
from brain_scans.journal import Journal
from brain_scans.places import read_json, state_folder, write_private
from brain_scans.plan import Limits

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class BatchState:
    """What the server says about a batch."""

    id: str
    name: str | None
    total: int
    counts: dict[str, int]  # by job status
    outcomes: dict[str, int]  # of the finished
    is_cancelled: bool
    eta_seconds: float | None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        return cls(
            id=str(data["id"]),
            name=data.get("name"),
            total=int(data["total"]),
            counts={str(name): int(number) for name, number in data["counts"].items()},
            outcomes={str(name): int(number) for name, number in (data.get("outcomes") or {}).items()},
            is_cancelled=data.get("cancelled_at") is not None,
            eta_seconds=data.get("eta_seconds"),
        )

    @property
    def unfinished(self) -> int:
        return self.counts.get("queued", 0) + self.counts.get("running", 0)

    @property
    def failed(self) -> int:
        return self.counts.get("failed", 0)


def limits_of(api: Api) -> Limits:
    """What one request may hold; the usual limits where the server does not say."""
    response = api.request("GET", "/api/batches/limits")
    data = body_of(response).get("data") if response.is_success else None
    found = data if isinstance(data, dict) else {}
    usual = Limits()
    return Limits(
        max_bytes=_number(found.get("max_request_bytes"), usual.max_bytes),
        max_files=_number(found.get("max_files"), usual.max_files),
    )


def open_batch(api: Api, journal: Journal, name: str | None) -> str:
    """The journal's batch, or a new one that the journal knows from now on.

    Raises `WrongUseError` if the journal's batch takes no more files, or is another user's: the server
    remembers the keys of requests for each user, so that only the one who began can go on.
    """
    if journal.username not in (None, api.username):
        raise WrongUseError(
            f"This was begun as {journal.username}. Sign in as that user, or start with --new."
        )
    if journal.batch_id is not None:
        _check_open(api, journal.batch_id)
        return journal.batch_id
    if journal.nonce is None:
        journal.begin(uuid.uuid4().hex, api.username)
    answer = api.json("POST", "/api/batches", key=f"batch-{journal.nonce}", json={"name": name})
    batch_id = str(answer.get("batch_id") or answer["data"]["id"])
    journal.name_batch(batch_id)
    return batch_id


def state_of(api: Api, batch_id: str) -> BatchState:
    return BatchState.of(api.json("GET", f"/api/batches/{_checked(batch_id)}")["data"])


def cancel(api: Api, batch_id: str) -> int:
    """Cancel what has not ended yet. Returns how many jobs that were."""
    return int(api.json("DELETE", f"/api/batches/{_checked(batch_id)}").get("cancelled") or 0)


def follow(api: Api, batch_id: str, changed: Callable[[BatchState], None]) -> BatchState:
    """Ask again and again until nothing of the batch is unfinished."""
    pause = FIRST_PAUSE_S
    while True:
        state = state_of(api, batch_id)
        changed(state)
        if not state.unfinished:
            return state
        api.wait(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def remember_last(server: str, batch_id: str) -> None:
    write_private(_last_file(), {"server": server, "batch": batch_id})


def last_batch(server: str) -> str:
    """The batch that was last submitted to this server from here. Raises `WrongUseError` if there is none."""
    found = read_json(_last_file()) or {}
    if found.get("server") != server:
        raise WrongUseError("No batch was submitted to this server from here. Give the batch's id.")
    return str(found["batch"])


def _last_file() -> Path:
    return state_folder() / "last.json"


def _checked(batch_id: str) -> str:
    try:
        return str(uuid.UUID(batch_id))
    except ValueError:
        raise WrongUseError(f"{batch_id!r} is no batch id.") from None


def _check_open(api: Api, batch_id: str) -> None:
    try:
        state = state_of(api, batch_id)
    except ApiError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        raise WrongUseError(
            "The server no longer knows the batch begun here. Start anew with --new."
        ) from error
    if state.is_cancelled:
        raise WrongUseError(f"The batch begun here was cancelled ({batch_id}). Start anew with --new.")


def _number(value: object, usual: int) -> int:
    return value if isinstance(value, int) and value > 0 else usual
