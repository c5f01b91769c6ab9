"""The contract of `ObjectStore`; every implementation runs through it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from shared.errors import ObjectNotFoundError, StorageError
from shared.storage import LocalStore, ObjectStore
from tests.fakes import FailingStore, picture

KEY = "overlay/S0123456789ABCDEF-1.png"
BAD_KEYS = [
    "../x.png",
    "/etc/passwd",
    "a/../../b.png",
    "a\\b.png",
    "a.png\n",
    ".x.png",
    "",
    "https://x/a.png",
]


@pytest.fixture(params=["local", "failing", "cloudinary", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param in ("cloudinary", "s3"):
        return request.getfixturevalue(f"{request.param}_store")
    kind = FailingStore if request.param == "failing" else LocalStore
    return kind(tmp_path / "store", "images", "secret", 3600)


def opened(store: ObjectStore, link: str) -> bytes:
    """What a client without any credentials gets."""
    if isinstance(store, LocalStore):
        return store.resolve(link.rsplit("/", 1)[-1]).path.read_bytes()
    return httpx.get(link).raise_for_status().content


def test_what_was_put_is_got_byte_for_byte(store: ObjectStore) -> None:
    data = picture(image_format="PNG") + bytes(range(256)) * 300
    store.put(KEY, data, "image/png")
    assert store.get(KEY) == data


def test_a_second_put_replaces_the_object_whole(store: ObjectStore) -> None:
    store.put(KEY, picture(size=(400, 400)), "image/png")
    store.put(KEY, picture(200), "image/png")
    assert store.get(KEY) == picture(200)


def test_a_missing_object_is_its_own_error_and_worth_no_retry(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFoundError) as caught:
        store.get(KEY)
    assert caught.value.retryable is False
    assert StorageError.retryable is True


def test_delete_is_safe_to_repeat(store: ObjectStore) -> None:
    store.put(KEY, picture(), "image/png")
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(ObjectNotFoundError):
        store.get(KEY)


def test_the_store_knows_what_it_has(store: ObjectStore) -> None:
    assert store.exists(KEY) is False
    store.put(KEY, picture(), "image/png")
    assert store.exists(KEY) is True


def test_every_object_is_listed_once_under_its_key(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # stores keep whole seconds
    keys = {f"heatmap/S{number:02}-1.png" for number in range(7)}
    for key in keys | {"original/S01.jpg"}:
        store.put(key, picture(image_format="JPEG" if key.endswith("jpg") else "PNG"), "image/png")
    listed = list(store.keys("heatmap/"))
    assert sorted(entry.key for entry in listed) == sorted(keys)
    assert {entry.bytes for entry in listed} == {len(picture())}
    assert all(before < entry.modified_at < datetime.now(UTC) + timedelta(seconds=2) for entry in listed)
    assert sorted(entry.key for entry in store.keys("")) == sorted(keys | {"original/S01.jpg"})
    store.delete("heatmap/S03-1.png")
    assert {entry.key for entry in store.keys("heatmap/")} == keys - {"heatmap/S03-1.png"}


def test_an_empty_store_lists_nothing(store: ObjectStore) -> None:
    assert list(store.keys("")) == []


def test_a_link_is_a_url_or_a_root_relative_path_and_opens(store: ObjectStore) -> None:
    store.put(KEY, picture(), "image/png")
    for link in (store.link(KEY), store.link(KEY, filename="a.png")):
        assert link.startswith(("http://", "https://", "/"))
        assert opened(store, link) == picture()


def test_a_link_stays_the_same_between_polls(store: ObjectStore) -> None:
    assert store.link(KEY) == store.link(KEY)
    assert store.link(KEY) != store.link(KEY.replace("-1", "-2"))


def test_a_thumbnail_is_a_link_to_a_picture(store: ObjectStore) -> None:
    store.put(KEY, picture(), "image/png")
    assert opened(store, store.thumbnail(KEY, 32)).startswith(b"\x89PNG")


def test_the_store_says_that_it_is_up(store: ObjectStore) -> None:
    assert store.is_up()


def test_many_threads_share_one_store(store: ObjectStore) -> None:
    keys = [f"heatmap/S{i:02}-1.png" for i in range(24)]
    pictures = [picture(50 + i) for i in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key, data: store.put(key, data, "image/png"), keys, pictures))
        assert list(threads.map(store.get, keys)) == pictures


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_the_product_never_makes_are_refused(store: ObjectStore, key: str) -> None:
    for call in (store.get, store.delete, store.exists, store.link):
        with pytest.raises(ObjectNotFoundError):
            call(key)
    with pytest.raises(ObjectNotFoundError):
        store.put(key, picture(), "image/png")
    with pytest.raises(ObjectNotFoundError):
        store.thumbnail(key, 32)


def test_an_outage_is_worth_another_attempt(tmp_path: Path) -> None:
    store = FailingStore(tmp_path, "images", "secret", 3600)
    store.failures = 1
    with pytest.raises(StorageError) as caught:
        store.put(KEY, b"data", "image/png")
    assert caught.value.retryable
    store.put(KEY, b"data", "image/png")
    store.broken = frozenset({"delete"})
    with pytest.raises(StorageError):
        store.delete(KEY)
    assert store.get(KEY) == b"data"


@pytest.mark.parametrize("key", BAD_KEYS)
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


def test_a_listing_leaves_out_what_is_not_ours(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, "images", "secret", 3600)
    store.put(KEY, b"data", "image/png")
    part = f".{Path(KEY).name}.0123abcd.part"
    for name in (part, ".hidden.png", "old report.pdf", "README"):
        (tmp_path / "overlay" / name).write_text("x")
    (tmp_path / "link.png").symlink_to(tmp_path / KEY)
    assert [entry.key for entry in store.keys("")] == [KEY]
    (found,) = store.parts()
    assert (found.key, found.bytes) == (f"overlay/{part}", 1)
    store.delete_part(found)
    store.delete_part(found)
    assert list(store.parts()) == []


def test_a_failed_write_leaves_no_half_file(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, "images", "secret", 3600)
    (tmp_path / "overlay").write_text("a file where a folder should be")
    with pytest.raises(StorageError):
        store.put(KEY, b"data", "image/png")
    assert [path.name for path in tmp_path.rglob("*.part")] == []
