"""Stores over their servers on loopback."""

import pytest

from shared.storage import retries
from shared.storage.cloudinary import CloudinaryAccount, CloudinaryStore
from shared.storage.s3 import Bucket, S3Connection, S3Store
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server

TIMEOUT_S = 5.0
SHORT_S = 0.4  # for servers that are told to stall


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests count the attempts; they need not wait between them."""
    monkeypatch.setattr(retries, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def cloudinary_account(cloudinary_server: FakeCloudinary) -> CloudinaryAccount:
    server = cloudinary_server
    return CloudinaryAccount(server.cloud, server.api_key, server.api_secret, server.url, server.url)


@pytest.fixture
def cloudinary_store(cloudinary_account: CloudinaryAccount) -> CloudinaryStore:
    return CloudinaryStore(cloudinary_account, "images", TIMEOUT_S, connections=4)


@pytest.fixture
def hasty_cloudinary_store(cloudinary_account: CloudinaryAccount) -> CloudinaryStore:
    return CloudinaryStore(cloudinary_account, "images", SHORT_S, connections=4)


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return Bucket(
        s3_server.bucket,
        "us-east-1",
        s3_server.access_key_id,
        s3_server.secret_access_key,
        endpoint_url=s3_server.url,
    )


@pytest.fixture
def s3_store(bucket: Bucket) -> S3Store:
    return S3Store(S3Connection(bucket, TIMEOUT_S, connections=4), "reports", "reports/", link_seconds=300)


@pytest.fixture
def hasty_s3_store(bucket: Bucket) -> S3Store:
    return S3Store(S3Connection(bucket, SHORT_S, connections=4), "reports", "reports/", link_seconds=300)
