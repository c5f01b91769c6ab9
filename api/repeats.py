"""`Idempotency-Key`: the same request again gets the same answer and makes no more work."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import request
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from api.auth import caller_or_none, client_address
from api.wiring import services
from shared import idempotency
from shared.errors import ValidationError

HEADER = "Idempotency-Key"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RepeatableRequest:
    """This request, its key and what it asks for. Without a key it is always new."""

    caller: str
    key: str | None
    fingerprint: str

    @classmethod
    def current(
        cls, asked: Any, files: Iterable[FileStorage] = (), key: str | None = None
    ) -> "RepeatableRequest":
        """`asked` is JSON-like. Files count by name and content, not by how the request encodes them.

        `key` instead of the header's: forms of pages have theirs in a field.
        """
        who = caller_or_none()
        name = str(who) if who else f"address:{client_address()}"
        key = request.headers.get(HEADER) if key is None else key
        if key is None:
            return cls(name, None, "")
        if not 0 < len(key) <= idempotency.MAX_KEY_LENGTH or not key.isprintable():
            raise ValidationError(
                f"{HEADER}: 1 to {idempotency.MAX_KEY_LENGTH} printable characters.", HEADER
            )
        parts = [request.method, request.path, asked, [[file.filename, _digest(file)] for file in files]]
        text = json.dumps(parts, sort_keys=True)
        return cls(name, key, hashlib.sha256(text.encode()).hexdigest())

    def earlier(self) -> dict[str, Any] | None:
        """What the first request was answered. Raises `ConflictError` if it asked for something else."""
        if self.key is None:
            return None
        with services().sessions() as session:
            return idempotency.find(session, self.caller, self.key, self.fingerprint)

    def of_twin(self, error: Exception) -> dict[str, Any]:
        """What a twin that came first, at the same moment, was answered. Raises `error` if there is none."""
        earlier = self.earlier()
        if earlier is None:
            raise error from None
        return earlier

    def remember(self, session: Session, answer: dict[str, Any]) -> None:
        """Keep the answer with the work. Raises `RepeatedRequestError` if a twin came first."""
        if self.key is not None:
            idempotency.remember(session, self.caller, self.key, self.fingerprint, answer)


def _digest(file: FileStorage) -> str:
    digest = hashlib.sha256()
    while chunk := file.stream.read(CHUNK):
        digest.update(chunk)
    file.stream.seek(0)
    return digest.hexdigest()
