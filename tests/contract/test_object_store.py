"""The contract of `ObjectStore`; every implementation runs through it."""

import time
from pathlib import Path

import pytest

from shared.errors import ObjectNotFoundError, StorageError
from shared.storage import LocalStore, ObjectStore
from tests.fakes import FailingStore

KEY = "overlay/S0123456789ABCDEF-1.png"


@pytest.fixture(params=[LocalStore, FailingStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return request.param(tmp_path / "store", "images", "secret", 3600)


def test_what_was_put_is_got_byte_for_byte(store: ObjectStore) -> None:
    data = bytes(range(256)) * 100
    store.put(KEY, data, "image/png")
    assert store.get(KEY) == data


def test_a_second_put_replaces_the_object_whole(store: ObjectStore) -> None:
    store.put(KEY, b"long first version", "image/png")
    store.put(KEY, b"second", "image/png")
    assert store.get(KEY) == b"second"


def test_a_missing_object_is_its_own_error_and_worth_no_retry(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFoundError) as caught:
        store.get(KEY)
    assert caught.value.retryable is False
    assert StorageError.retryable is True


def test_delete_is_safe_to_repeat(store: ObjectStore) -> None:
    store.put(KEY, b"data", "image/png")
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(ObjectNotFoundError):
        store.get(KEY)


def test_a_link_is_a_url_or_a_root_relative_path(store: ObjectStore) -> None:
    store.put(KEY, b"data", "image/png")
    assert store.link(KEY, filename="a.png").startswith(("https://", "/"))


def test_the_store_says_that_it_is_up(store: ObjectStore) -> None:
    assert store.is_up()


@pytest.mark.parametrize(
    "key", ["../x.png", "/etc/passwd", "a/../../b.png", "a\\b.png", "a.png\n", ".x.png", ""]
)
def test_keys_never_leave_the_folder(tmp_path: Path, key: str) -> None:
    store = LocalStore(tmp_path / "store", "images", "secret", 3600)
    with pytest.raises(ObjectNotFoundError):
        store.get(key)
    with pytest.raises(ObjectNotFoundError):
        store.put(key, b"x", "image/png")
    assert list(tmp_path.rglob("*.png")) == []


def test_local_links_are_bound_to_store_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path, "images", "secret", 3600)
    store.put(KEY, b"data", "image/png")
    token = store.link(KEY).rsplit("/", 1)[-1]
    assert store.resolve(token).path.read_bytes() == b"data"
    with pytest.raises(ObjectNotFoundError, match="not valid"):
        LocalStore(tmp_path, "reports", "secret", 3600).resolve(token)
    with pytest.raises(ObjectNotFoundError, match="not valid"):
        LocalStore(tmp_path, "images", "another secret", 3600).resolve(token)
    with pytest.raises(ObjectNotFoundError, match="not valid"):
        store.resolve(token[:-2] + "AA")
    now = time.time()
    monkeypatch.setattr("shared.storage.local.time.time", lambda: now + 3601)
    with pytest.raises(ObjectNotFoundError, match="expired"):
        store.resolve(token)


def test_a_local_link_stays_the_same_between_polls(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, "images", "secret", 3600)
    assert store.link(KEY) == store.link(KEY)


def test_a_failed_write_leaves_no_half_file(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, "images", "secret", 3600)
    (tmp_path / "overlay").write_text("a file where a folder should be")
    with pytest.raises(StorageError):
        store.put(KEY, b"data", "image/png")
    assert [path.name for path in tmp_path.rglob("*.part")] == []
