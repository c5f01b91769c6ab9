"""How long the stores take, and how often they fail."""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram

from shared.errors import ObjectNotFoundError, StorageError
from shared.storage.contract import ObjectStore

TIMED, LISTING = ("put", "get", "delete", "exists"), "keys"

SECONDS = Histogram(
    "brain_tumor_store_operation_seconds",
    "Time of one operation of a store, other attempts included",
    ("role", "vendor", "operation"),
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
ERRORS = Counter(
    "brain_tumor_store_errors_total",
    "Operations of a store that failed after all attempts; what is not there is not one",
    ("role", "vendor", "operation"),
)
RETRIES = Counter("brain_tumor_store_retries_total", "Times that a store was asked again", ("role",))

Store = TypeVar("Store", bound=ObjectStore)


def measured(store: Store, role: str, vendor: str) -> Store:
    """The same store, whose operations are timed from now on.

    The instance's methods are replaced, not wrapped in another object: what a store is else (`LocalStore`
    serves files) stays visible.
    """
    for operation in (*TIMED, LISTING):
        labels = (role, vendor, operation)
        method: Callable[..., Any] = getattr(store, operation)
        timed = _listing if operation == LISTING else _call
        setattr(store, operation, timed(method, SECONDS.labels(*labels), ERRORS.labels(*labels)))
    return store


def _call(method: Callable[..., Any], seconds: Histogram, errors: Counter) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        except ObjectNotFoundError:
            raise
        except StorageError:
            errors.inc()
            raise
        finally:
            seconds.observe(time.perf_counter() - began)

    return timed


def _listing(method: Callable[..., Any], seconds: Histogram, errors: Counter) -> Callable[..., Any]:
    """Errors of a listing only: its time is mostly its reader's."""
    del seconds

    def listed(*arguments: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from method(*arguments, **named)
        except StorageError:
            errors.inc()
            raise

    return listed
