"""S3: what is asked of it, what of its answers is believed, and how it fails."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from shared.errors import ObjectNotFoundError, StorageError, StoreRefusedError
from shared.storage.s3 import Bucket, S3Connection, S3Store
from tests.contract.conftest import SHORT_S, TIMEOUT_S
from tests.servers.loopback import Answer, Fault
from tests.servers.s3 import S3Server

KEY = "R0123456789ABCDEF.pdf"
PDF = b"%PDF-1.4 made up"
ATTEMPTS = 3


def refusal(status: int, code: str, **headers: str) -> Fault:
    body = f"<Error><Code>{code}</Code><Message>the secret hush-hush</Message></Error>".encode()
    given = {"Content-Type": "application/xml", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return Fault(Answer(status, body, given))


def with_etag(etag: str) -> Fault:
    return Fault(change=lambda answer: replace(answer, headers={**_without_etag(answer), "ETag": etag}))


def _without_etag(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() != "etag"}


def store_of(bucket: Bucket, link_seconds: int = 300) -> S3Store:
    return S3Store(S3Connection(bucket, TIMEOUT_S, 4), "reports", "reports/", link_seconds)


BOTH = {
    "HTTP 500": refusal(500, "InternalError"),
    "HTTP 503": refusal(503, "SlowDown"),
    "HTTP 429": refusal(429, "TooManyRequests"),
    "a stall": Fault(stall_s=4 * SHORT_S),
}
UPLOAD_FAULTS = BOTH | {
    "200 that confirms nothing": Fault(Answer(200)),
    "another etag": with_etag('"00000000000000000000000000000000"'),
}
DOWNLOAD_FAULTS = BOTH | {
    "an empty object": Fault(Answer(200)),
    "somebody else's page": Fault(Answer(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})),
    "other bytes": Fault(change=lambda answer: replace(answer, body=b"x" * len(answer.body))),
    "a connection that breaks half way": Fault(is_reset=True),
    "an answer that trickles": Fault(Answer(200, bytes(100_000)), trickle_s=0.05),
}


@pytest.mark.parametrize("fault", UPLOAD_FAULTS.values(), ids=UPLOAD_FAULTS.keys())
def test_an_upload_survives_one_fault_and_gives_up_after_three(
    hasty_s3_store: S3Store, s3_server: S3Server, fault: Fault
) -> None:
    s3_server.faults += [fault]
    hasty_s3_store.put(KEY, PDF, "application/pdf")
    assert len(s3_server.requests) == 2
    s3_server.faults += [fault] * ATTEMPTS
    with pytest.raises(StorageError) as caught:
        hasty_s3_store.put(KEY, PDF, "application/pdf")
    assert caught.value.retryable
    assert len(s3_server.requests) == 2 + ATTEMPTS


@pytest.mark.parametrize("fault", DOWNLOAD_FAULTS.values(), ids=DOWNLOAD_FAULTS.keys())
def test_a_download_survives_one_fault_and_gives_up_after_three(
    hasty_s3_store: S3Store, s3_server: S3Server, fault: Fault
) -> None:
    hasty_s3_store.put(KEY, PDF, "application/pdf")
    s3_server.requests.clear()
    s3_server.faults += [fault]
    assert hasty_s3_store.get(KEY) == PDF
    assert len(s3_server.requests) == 2
    s3_server.faults += [fault] * ATTEMPTS
    with pytest.raises(StorageError) as caught:
        hasty_s3_store.get(KEY)
    assert caught.value.retryable
    assert len(s3_server.requests) == 2 + ATTEMPTS


def test_an_object_that_others_uploaded_in_parts_is_taken_as_it_is(
    s3_store: S3Store, s3_server: S3Server
) -> None:
    s3_store.put(KEY, PDF, "application/pdf")
    s3_server.faults += [with_etag('"0123456789abcdef0123456789abcdef-2"')]
    assert s3_store.get(KEY) == PDF


CALLS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put(KEY, PDF, "application/pdf"),
    "get": lambda store: store.get(KEY),
    "delete": lambda store: store.delete(KEY),
    "exists": lambda store: store.exists(KEY),
}


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        *((name, 403, "AccessDenied") for name in CALLS),
        # An answer to HEAD has no body that could say the code.
        *((name, 400, "ExpiredToken") for name in CALLS if name != "exists"),
    ],
)
def test_a_refusal_is_not_asked_again_and_names_the_settings(
    s3_store: S3Store, s3_server: S3Server, name: str, status: int, code: str
) -> None:
    s3_server.faults.append(refusal(status, code))
    with pytest.raises(StoreRefusedError, match="AWS_S3_BUCKET") as caught:
        CALLS[name](s3_store)
    assert caught.value.retryable is False
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(s3_server.requests) == 1


def test_a_wrong_secret_and_a_missing_bucket_are_refusals(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "shared")
    wrong = store_of(replace(bucket, secret_access_key="hush-hush-hush"))
    for call in CALLS.values():
        with pytest.raises(StoreRefusedError) as caught:
            call(wrong)
        assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert wrong.is_up() is False
    elsewhere = store_of(replace(bucket, name="no-such-bucket"))
    with pytest.raises(StoreRefusedError, match="NoSuchBucket"):
        elsewhere.put(KEY, PDF, "application/pdf")
    assert elsewhere.is_up() is False
    assert "hush" not in caplog.text
    assert "hush" not in repr(replace(bucket, secret_access_key="hush-hush-hush"))


def test_a_server_that_is_not_there_is_an_outage(bucket: Bucket) -> None:
    store = store_of(replace(bucket, endpoint_url="http://127.0.0.1:9"))
    for call in CALLS.values():
        with pytest.raises(StorageError) as caught:
            call(store)
        assert caught.value.retryable
    assert store.is_up() is False


def test_retry_after_is_waited_for_within_patience(bucket: Bucket, s3_server: S3Server) -> None:
    store = store_of(bucket)
    s3_server.faults.append(refusal(503, "SlowDown", Retry_After="1"))
    began = time.monotonic()
    store.put(KEY, PDF, "application/pdf")
    assert time.monotonic() - began >= 1
    s3_server.requests.clear()
    s3_server.faults.append(refusal(503, "SlowDown", Retry_After="3600"))
    with pytest.raises(StorageError):
        store.get(KEY)
    assert len(s3_server.requests) == 1


def test_objects_lie_under_the_prefix_typed_encrypted_and_checked(
    s3_store: S3Store, s3_server: S3Server
) -> None:
    s3_store.put(KEY, PDF, "application/pdf")
    kept = s3_server.stored(f"reports/{KEY}")
    assert kept["content-type"] == "application/pdf"
    assert kept["x-amz-server-side-encryption"] == "AES256"
    assert kept["cache-control"].startswith("private")
    sent = s3_server.requests[0].headers
    assert sent["content-md5"]
    assert "x-amz-acl" not in sent


def test_encryption_is_not_asked_for_where_the_settings_say_none(bucket: Bucket, s3_server: S3Server) -> None:
    store_of(replace(bucket, encryption="none")).put(KEY, PDF, "application/pdf")
    assert "x-amz-server-side-encryption" not in s3_server.requests[0].headers
    store_of(replace(bucket, encryption="aws:kms")).put(KEY, PDF, "application/pdf")
    assert s3_server.requests[1].headers["x-amz-server-side-encryption"] == "aws:kms"


def test_only_the_signed_address_delivers(s3_store: S3Store) -> None:
    s3_store.put(KEY, PDF, "application/pdf")
    link = s3_store.link(KEY)
    assert httpx.get(link).content == PDF
    last = link[-1]
    for tampered in (
        link[:-1] + ("0" if last != "0" else "1"),
        link.split("?")[0],
        link.replace("X-Amz-Expires=300", "X-Amz-Expires=604800"),
        link.replace(KEY, "RFFFFFFFFFFFFFFFF.pdf"),
        link.replace("attachment", "inline"),
    ):
        assert httpx.get(tampered).status_code == 403


def test_a_link_ends_and_a_new_one_takes_its_place(bucket: Bucket) -> None:
    store = store_of(bucket, link_seconds=4)
    store.put(KEY, PDF, "application/pdf")
    link = store.link(KEY)
    assert httpx.get(link).status_code == 200
    time.sleep(5.1)
    assert httpx.get(link).status_code == 403
    assert httpx.get(store.link(KEY)).status_code == 200


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        (None, f"attachment; filename=\"{KEY}\"; filename*=UTF-8''{KEY}"),
        ("a/../b.pdf", "attachment; filename=\"b.pdf\"; filename*=UTF-8''b.pdf"),
        ('x"; y=\r\nz.pdf', "attachment; filename=\"x_y_z.pdf\"; filename*=UTF-8''x%22%3B%20y%3Dz.pdf"),
        ("患.pdf", "attachment; filename=\"_.pdf\"; filename*=UTF-8''%E6%82%A3.pdf"),
        ("\u202e", "attachment; filename=\"file\"; filename*=UTF-8''file"),
    ],
)
def test_pdfs_are_downloaded_under_a_safe_name(s3_store: S3Store, filename: str | None, header: str) -> None:
    s3_store.put(KEY, PDF, "application/pdf")
    answer = httpx.get(s3_store.link(KEY, filename)).raise_for_status()
    assert answer.headers["content-disposition"] == header


def test_pictures_are_shown(bucket: Bucket) -> None:
    store = store_of(bucket)
    store.put("overlay/S1-1.png", b"picture", "image/png")
    assert "content-disposition" not in httpx.get(store.link("overlay/S1-1.png")).headers
    named = httpx.get(store.link("overlay/S1-1.png", "a.png"))
    assert named.headers["content-disposition"].startswith('inline; filename="a.png"')


def test_links_lead_to_the_public_address(bucket: Bucket, s3_server: S3Server) -> None:
    public = s3_server.url.replace("127.0.0.1", "localhost")
    store = store_of(replace(bucket, public_endpoint_url=public))
    store.put(KEY, PDF, "application/pdf")
    assert store.link(KEY).startswith(f"{public}/")
    assert httpx.get(store.link(KEY)).content == PDF
    assert {request.headers["host"] for request in s3_server.requests[:-1]} == {s3_server.url[7:]}


def test_without_keys_the_default_credential_chain_signs(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    credentials = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keyless = replace(bucket, access_key_id=None, secret_access_key=None)
    with pytest.raises(StoreRefusedError, match="default credential chain"):
        store_of(keyless).put(KEY, PDF, "application/pdf")
    with pytest.raises(StoreRefusedError, match="default credential chain"):
        store_of(keyless).link(KEY)
    credentials.write_text(
        f"[default]\naws_access_key_id={bucket.access_key_id}\n"
        f"aws_secret_access_key={bucket.secret_access_key}\n"
    )
    store = store_of(keyless)
    store.put(KEY, PDF, "application/pdf")
    assert httpx.get(store.link(KEY)).content == PDF


def test_temporary_credentials_send_their_token(bucket: Bucket, s3_server: S3Server) -> None:
    store = store_of(replace(bucket, session_token="made-up-token"))
    store.put(KEY, PDF, "application/pdf")
    assert s3_server.requests[0].headers["x-amz-security-token"] == "made-up-token"
    assert "X-Amz-Security-Token=made-up-token" in store.link(KEY)


def test_a_missing_object_is_asked_for_once(s3_store: S3Store, s3_server: S3Server) -> None:
    with pytest.raises(ObjectNotFoundError):
        s3_store.get(KEY)
    assert s3_store.exists(KEY) is False
    assert [request.method for request in s3_server.requests] == ["GET", "HEAD"]


def test_an_unusable_address_is_refused_at_the_start() -> None:
    with pytest.raises(StoreRefusedError, match="AWS_S3_ENDPOINT_URL"):
        S3Connection(Bucket("bucket", "us-east-1", "key", "secret", endpoint_url="http://[broken"), 1, 1)


@pytest.mark.parametrize("name", ["report Ada (1).pdf", "bericht.müller.pdf", "2024/report_7.v2.pdf"])
def test_objects_that_another_program_named_can_be_read(s3_store: S3Store, bucket: Bucket, name: str) -> None:
    other_program = S3Connection(bucket, TIMEOUT_S, connections=1).client
    other_program.put_object(Bucket=bucket.name, Key=f"reports/{name}", Body=PDF)
    assert s3_store.exists(name)
    assert s3_store.get(name) == PDF
    assert httpx.get(s3_store.link(name)).content == PDF
    with pytest.raises(ObjectNotFoundError):
        s3_store.put(name, PDF, "application/pdf")


def test_a_listing_of_several_pages_is_whole(s3_store: S3Store, s3_server: S3Server) -> None:
    client = s3_store._client
    listed = client.list_objects_v2
    # moto gives a thousand keys at once, as S3 does: smaller pages are quicker to fill.
    client.list_objects_v2 = lambda **request: listed(**request, MaxKeys=2)
    keys = [f"R{number}.pdf" for number in range(5)]
    for key in keys:
        s3_store.put(key, PDF, "application/pdf")
    s3_server.requests.clear()
    assert [entry.key for entry in s3_store.keys("")] == keys
    assert len(s3_server.requests) == 3
