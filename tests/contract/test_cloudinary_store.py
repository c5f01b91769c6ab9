"""Cloudinary: what is asked of it, what of its answers is believed, and how it fails."""

import io
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from cloudinary import uploader
from PIL import Image

from shared.errors import ObjectNotFoundError, StorageError, StoreRefusedError
from shared.storage.cloudinary import CloudinaryAccount, CloudinaryStore
from tests.contract.conftest import SHORT_S, TIMEOUT_S
from tests.fakes import picture
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.loopback import Answer, Fault

KEY = "original/S0123456789ABCDEF.png"
PUBLIC_ID = "brain_tumor_scans/original/S0123456789ABCDEF"
ATTEMPTS = 3


def status(code: int, body: str = "{}", **headers: str) -> Fault:
    return Fault(Answer(code, body.encode(), {n.replace("_", "-"): v for n, v in headers.items()}))


def changed(**values: object) -> Fault:
    """The server does its work, but says something else about it."""

    def change(answer: Answer) -> Answer:
        return replace(answer, body=json.dumps({**json.loads(answer.body), **values}).encode())

    return Fault(change=change)


PASSING = {
    "HTTP 500 that its SDK takes for success": status(500, '{"public_id": "x"}'),
    "HTTP 503 without JSON": status(503, "<html>"),
    "HTTP 429": status(429),
    "HTTP 420": status(420),
    "200 with an empty body": Fault(Answer(200)),
    "200 that is no object": status(200, "[]"),
    "another public id": changed(public_id="brain_tumor_scans/other"),
    "another etag": changed(etag="0" * 32),
    "fewer bytes": changed(bytes=1),
    "a stall": Fault(stall_s=4 * SHORT_S),
    "a connection that breaks half way": Fault(is_reset=True),
    "an answer that trickles": Fault(Answer(200, bytes(100_000)), trickle_s=0.05),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_an_upload_survives_one_fault_and_gives_up_after_three(
    hasty_cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary, fault: Fault
) -> None:
    cloudinary_server.faults += [fault]
    hasty_cloudinary_store.put(KEY, picture(), "image/png")
    assert len(cloudinary_server.requests) == 2
    assert cloudinary_server.assets[PUBLIC_ID].data == picture()
    cloudinary_server.faults += [fault] * ATTEMPTS
    with pytest.raises(StorageError) as caught:
        hasty_cloudinary_store.put(KEY, picture(), "image/png")
    assert caught.value.retryable
    assert len(cloudinary_server.requests) == 2 + ATTEMPTS
    assert cloudinary_server.faults == []


DELIVERY_FAULTS = {
    name: PASSING[name]
    for name in PASSING
    if not name.startswith(("another", "fewer", "200 that", "an answer that trickles"))
} | {
    "a delivery that trickles": Fault(trickle_s=5),
    "somebody else's page": Fault(Answer(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})),
}


@pytest.mark.parametrize("fault", DELIVERY_FAULTS.values(), ids=DELIVERY_FAULTS.keys())
def test_a_download_survives_one_fault_and_gives_up_after_three(
    hasty_cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary, fault: Fault
) -> None:
    noise = Image.effect_noise((60, 60), 80)
    file = io.BytesIO()
    noise.save(file, "PNG")
    hasty_cloudinary_store.put(KEY, file.getvalue(), "image/png")
    cloudinary_server.faults += [fault]
    cloudinary_server.requests.clear()
    assert hasty_cloudinary_store.get(KEY) == file.getvalue()
    assert len(cloudinary_server.requests) == 2
    cloudinary_server.faults += [fault] * ATTEMPTS
    with pytest.raises(StorageError) as caught:
        hasty_cloudinary_store.get(KEY)
    assert caught.value.retryable
    assert len(cloudinary_server.requests) == 2 + ATTEMPTS


CALLS: dict[str, Callable[[CloudinaryStore], object]] = {
    "put": lambda store: store.put(KEY, picture(), "image/png"),
    "get": lambda store: store.get(KEY),
    "delete": lambda store: store.delete(KEY),
    "exists": lambda store: store.exists(KEY),
}


@pytest.mark.parametrize("code", [400, 401, 403])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_refusal_is_not_asked_again_and_names_the_settings(
    cloudinary_store: CloudinaryStore,
    cloudinary_server: FakeCloudinary,
    call: Callable[[CloudinaryStore], object],
    code: int,
) -> None:
    cloudinary_server.faults.append(status(code, '{"error": {"message": "no"}}'))
    with pytest.raises(StoreRefusedError, match="CLOUDINARY_API_SECRET") as caught:
        call(cloudinary_store)
    assert caught.value.retryable is False
    assert len(cloudinary_server.requests) == 1


def test_a_wrong_secret_is_refused_everywhere_and_is_not_repeated(
    cloudinary_account: CloudinaryAccount, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = replace(cloudinary_account, api_secret="hush-hush-hush")
    store = CloudinaryStore(account, "images", TIMEOUT_S, 4)
    for call in CALLS.values():
        with pytest.raises(StoreRefusedError) as caught:
            call(store)
        assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert store.is_up() is False
    assert "hush" not in caplog.text + repr(account) + repr(store)
    assert cloudinary_account.api_key not in repr(account)


def test_retry_after_is_waited_for_within_patience(
    cloudinary_account: CloudinaryAccount, cloudinary_server: FakeCloudinary
) -> None:
    store = CloudinaryStore(cloudinary_account, "images", 2, 4)
    cloudinary_server.faults.append(status(429, Retry_After="1"))
    began = time.monotonic()
    store.put(KEY, picture(), "image/png")
    assert time.monotonic() - began >= 1
    cloudinary_server.faults.append(status(503, Retry_After="3600"))
    cloudinary_server.requests.clear()
    with pytest.raises(StorageError) as caught:
        store.get(KEY)
    assert caught.value.retryable
    assert len(cloudinary_server.requests) == 1, "an hour is for the queue to wait, not for a thread"


def test_a_server_that_is_not_there_is_an_outage(
    cloudinary_account: CloudinaryAccount, cloudinary_server: FakeCloudinary, caplog: pytest.LogCaptureFixture
) -> None:
    away = "http://127.0.0.1:9"
    account = replace(cloudinary_account, upload_prefix=away, delivery_prefix=away)
    store = CloudinaryStore(account, "images", TIMEOUT_S, 4)
    for call in CALLS.values():
        with pytest.raises(StorageError) as caught:
            call(store)
        assert caught.value.retryable
        assert "s--" not in f"{caught.value!r}{caught.value.__cause__!r}", "signed addresses are secrets"
    assert store.is_up() is False
    assert "s--" not in caplog.text
    assert cloudinary_server.requests == []


def test_pictures_are_private_replaced_whole_and_uploaded_as_bytes(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary
) -> None:
    cloudinary_store.put(KEY, picture(), "image/png")
    params = cloudinary_server.assets[PUBLIC_ID].params
    assert params["type"] == "authenticated"
    assert params["overwrite"] == params["invalidate"] == "1"
    cloudinary_store.put("original/S2.png", b"\x89PNG https://169.254.169.254/latest", "image/png")
    assert cloudinary_store.get("original/S2.png").endswith(b"latest")
    with pytest.raises(StoreRefusedError):
        cloudinary_store.put("original/S3.png", b"https://169.254.169.254/latest", "image/png")


def test_the_sdks_own_transport_believes_http_500(cloudinary_server: FakeCloudinary) -> None:
    """Why the store has another one. When this fails, the SDK's may do."""
    account = {
        "cloud_name": cloudinary_server.cloud,
        "api_key": cloudinary_server.api_key,
        "api_secret": cloudinary_server.api_secret,
        "upload_prefix": cloudinary_server.url,
        "timeout": 2,
    }
    options = {"public_id": PUBLIC_ID, "type": "authenticated"}
    stored = uploader.upload(io.BytesIO(picture()), **options, **account)
    assert stored["bytes"] == len(picture()), "the server takes what the SDK signs"
    cloudinary_server.faults.append(status(500, '{"public_id": "anything"}'))
    assert uploader.upload(io.BytesIO(picture()), **options, **account) == {"public_id": "anything"}


def test_only_the_signed_address_delivers(cloudinary_store: CloudinaryStore) -> None:
    cloudinary_store.put(KEY, picture(), "image/png")
    link = cloudinary_store.link(KEY)
    assert httpx.get(link).content == picture(), "the original, byte for byte"
    signature = link.split("/s--")[1].split("--/")[0]
    for tampered in (
        link.replace(signature, "AAAAAAAA"),
        link.replace(f"s--{signature}--/", ""),
        link.replace(f"{signature}--/", f"{signature}--/c_fit,h_9,w_9/"),
    ):
        assert httpx.get(tampered).status_code == 401
    assert httpx.get(link.replace("CDEF.png", "CDE0.png")).status_code == 401


def test_a_thumbnail_is_scaled_by_the_store(cloudinary_store: CloudinaryStore) -> None:
    cloudinary_store.put(KEY, picture(size=(640, 480)), "image/png")
    thumbnail = httpx.get(cloudinary_store.thumbnail(KEY, 64)).raise_for_status()
    assert Image.open(io.BytesIO(thumbnail.content)).size == (64, 48)


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("S01.png", 'attachment; filename="S01.png"'),
        ("a/../b c\r\nX: y.png", 'attachment; filename="file.png"'),
        ("患者.png", 'attachment; filename="file.png"'),
        ("c_fit,w_9/x.png", 'attachment; filename="x.png"'),
    ],
)
def test_a_filename_reaches_the_address_only_if_it_is_plain(
    cloudinary_store: CloudinaryStore, filename: str, header: str
) -> None:
    cloudinary_store.put(KEY, picture(), "image/png")
    answer = httpx.get(cloudinary_store.link(KEY, filename)).raise_for_status()
    assert answer.headers["content-disposition"] == header
    assert answer.content == picture()


def test_two_stores_in_one_process_keep_to_their_accounts(
    cloudinary_store: CloudinaryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDINARY_URL", "cloudinary://other:other@other-cloud")
    with FakeCloudinary() as second:
        account = CloudinaryAccount(second.cloud, second.api_key, second.api_secret, second.url, second.url)
        other = CloudinaryStore(account, "images", TIMEOUT_S, 4)
        cloudinary_store.put(KEY, picture(10), "image/png")
        other.put(KEY, picture(20), "image/png")
        assert (cloudinary_store.get(KEY), other.get(KEY)) == (picture(10), picture(20))


def test_being_up_is_asked_rarely_and_too_many_questions_are_no_outage(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary
) -> None:
    cloudinary_server.faults.append(status(429))
    assert [cloudinary_store.is_up() for _ in range(5)] == [True] * 5
    assert [request.path for request in cloudinary_server.requests] == ["/v1_1/demo-cloud/ping"]


@pytest.mark.parametrize("fault", [status(500), Fault(stall_s=4 * SHORT_S), status(401)])
def test_a_store_that_does_not_answer_is_not_up(
    hasty_cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary, fault: Fault
) -> None:
    cloudinary_server.faults.append(fault)
    assert hasty_cloudinary_store.is_up() is False


def test_what_is_deleted_is_gone_and_an_unclear_answer_is_asked_again(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary
) -> None:
    cloudinary_store.put(KEY, picture(), "image/png")
    cloudinary_server.faults.append(status(200, '{"result": "error"}'))
    cloudinary_store.delete(KEY)
    assert cloudinary_server.assets == {}
    with pytest.raises(ObjectNotFoundError):
        cloudinary_store.get(KEY)


def test_listings_are_read_page_by_page_with_the_account_named(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary
) -> None:
    cloudinary_server.page_size = 2
    keys = [f"heatmap/S{number}-1.png" for number in range(5)]
    for key in keys:
        cloudinary_store.put(key, picture(), "image/png")
    cloudinary_server.requests.clear()
    assert [entry.key for entry in cloudinary_store.keys("heatmap/")] == keys
    assert len(cloudinary_server.requests) == 3
    cloudinary_server.api_secret = "another one"
    with pytest.raises(StoreRefusedError, match="CLOUDINARY_URL"):
        list(cloudinary_store.keys(""))


@pytest.mark.parametrize("resources", [None, [{}], ["text"], [{"public_id": "a", "format": "png"}]])
def test_a_listing_that_makes_no_sense_is_an_error_and_no_empty_store(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary, resources: object
) -> None:
    cloudinary_server.faults = [changed(resources=resources)] * ATTEMPTS
    with pytest.raises(StorageError, match="not what its API promises"):
        list(cloudinary_store.keys(""))


def test_a_page_that_fails_is_asked_for_again_and_not_left_out(
    cloudinary_store: CloudinaryStore, cloudinary_server: FakeCloudinary
) -> None:
    cloudinary_server.page_size = 1
    for number in range(3):
        cloudinary_store.put(f"heatmap/S{number}-1.png", picture(), "image/png")
    cloudinary_server.faults = [Fault(), status(500)]
    assert len(list(cloudinary_store.keys(""))) == 3
