"""What a store of objects promises, whoever the vendor is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing. `modified_at`: when its bytes were last written, by the store's clock."""

    key: str
    modified_at: datetime
    bytes: int


class ObjectStore(Protocol):
    """Keeps bytes under keys such as `overlay/S0A…-1.png`.

    Keys are made by this product from ids, never from a client's words; another one raises
    `ObjectNotFoundError`. Every method raises `shared.errors.StorageError` when the store does not answer as
    it should: the caller may try again. `StoreRefusedError`, one of those, is not worth another try: the
    settings are wrong. `is_up` raises nothing.
    """

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store `data` durably before returning; an object that was there is replaced whole."""
        ...

    def get(self, key: str) -> bytes:
        """The stored bytes. Raises `ObjectNotFoundError` if there are none."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def link(self, key: str, filename: str | None = None) -> str:
        """A URL that gives the object to whoever holds it, for a limited time.

        Absolute, or root-relative when the API itself serves the object. With `filename` the browser is
        told to save the object under that name.
        """
        ...

    def exists(self, key: str) -> bool:
        """True if the store has an object under this key."""
        ...

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key begins so, in no order, read page by page in flat memory.

        What lies under a name that `put` would refuse is left out: it is not ours.
        """
        ...

    def thumbnail(self, key: str, side: int) -> str:
        """Like `link`, to the picture fitted into a square of `side` pixels where the store can do that."""
        ...

    def is_up(self) -> bool:
        """True if the store could take an object now."""
        ...
