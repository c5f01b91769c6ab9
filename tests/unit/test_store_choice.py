"""Settings choose the stores, by role."""

import logging
from pathlib import Path

import pytest

from shared.errors import StorageError
from shared.settings import Settings
from shared.storage import LocalStore
from shared.storage.choice import choose_stores
from shared.storage.cloudinary import CloudinaryStore
from shared.storage.s3 import S3Store
from tests.fakes import picture
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server

SECRETS = ("cloudinary-secret-hush", "aws-secret-hush")


def settings_of(**values: object) -> Settings:
    return Settings(_env_file=None, database_url="postgresql://nobody@nowhere/none", **values)


def test_everything_is_local_unless_said_otherwise(tmp_path: Path) -> None:
    stores = choose_stores(settings_of(image_folder=tmp_path / "images", report_folder=tmp_path / "reports"))
    assert isinstance(stores.images, LocalStore)
    assert isinstance(stores.reports, LocalStore)
    assert stores.staging is None
    stores.images.put("original/S1.png", b"picture", "image/png")
    assert (tmp_path / "images/original/S1.png").read_bytes() == b"picture"


def test_local_staging_has_its_own_folder_and_links(tmp_path: Path) -> None:
    stores = choose_stores(settings_of(staging_store="local", staging_folder=tmp_path))
    assert isinstance(stores.staging, LocalStore)
    stores.staging.put("original/S1.png", b"picture", "image/png")
    assert stores.staging.link("original/S1.png").startswith("/api/files/staging/")
    assert (tmp_path / "original/S1.png").exists()


def test_each_role_has_its_vendor_prefix_and_link_time(
    cloudinary_server: FakeCloudinary, s3_server: S3Server
) -> None:
    stores = choose_stores(
        settings_of(
            cloudinary_url=f"cloudinary://{cloudinary_server.api_key}:{cloudinary_server.api_secret}"
            f"@{cloudinary_server.cloud}",
            cloudinary_upload_prefix=cloudinary_server.url,
            cloudinary_delivery_prefix=cloudinary_server.url,
            aws_access_key_id=s3_server.access_key_id,
            aws_secret_access_key=s3_server.secret_access_key,
            aws_s3_bucket=s3_server.bucket,
            aws_s3_endpoint_url=s3_server.url,
            staging_store="s3",
        )
    )
    assert isinstance(stores.images, CloudinaryStore)
    assert isinstance(stores.reports, S3Store)
    assert isinstance(stores.staging, S3Store)
    stores.images.put("original/S1.png", picture(), "image/png")
    stores.staging.put("original/S1.png", picture(), "image/png")
    stores.reports.put("R1.pdf", b"%PDF", "application/pdf")
    assert list(cloudinary_server.assets) == ["brain_tumor_scans/original/S1"]
    assert s3_server.stored("staging/original/S1.png")["content-type"] == "image/png"
    assert s3_server.stored("reports/R1.pdf")["content-type"] == "application/pdf"
    assert "X-Amz-Expires=300&" in stores.reports.link("R1.pdf")
    assert "X-Amz-Expires=3600&" in stores.staging.link("original/S1.png")


def test_pictures_may_lie_in_s3(s3_server: S3Server) -> None:
    stores = choose_stores(
        settings_of(
            image_store="s3",
            aws_access_key_id=s3_server.access_key_id,
            aws_secret_access_key=s3_server.secret_access_key,
            aws_s3_bucket=s3_server.bucket,
            aws_s3_endpoint_url=s3_server.url,
        )
    )
    stores.images.put("overlay/S1-1.png", picture(), "image/png")
    assert s3_server.stored("brain_tumor_scans/overlay/S1-1.png")


def test_secrets_and_signed_addresses_stay_out_of_debug_logs(
    cloudinary_server: FakeCloudinary, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stores = choose_stores(
        settings_of(
            cloudinary_url=f"cloudinary://{cloudinary_server.api_key}:{SECRETS[0]}@{cloudinary_server.cloud}",
            cloudinary_upload_prefix=cloudinary_server.url,
            cloudinary_delivery_prefix=cloudinary_server.url,
            aws_access_key_id=s3_server.access_key_id,
            aws_secret_access_key=SECRETS[1],
            aws_s3_bucket=s3_server.bucket,
            aws_s3_endpoint_url=s3_server.url,
            log_level="DEBUG",
        )
    )
    assert stores.images.is_up() is False
    assert stores.reports.is_up() is False
    for store, key in ((stores.images, "original/S1.png"), (stores.reports, "R1.pdf")):
        with pytest.raises(Exception, match="refuses this system") as caught:
            store.get(key)
        assert not any(secret in repr(caught.value) for secret in SECRETS)
    logged = "\n".join(
        f"{record.getMessage()} {record.args}" for record in caplog.records if record.name != "werkzeug"
    )
    for secret in (*SECRETS, "s--", "X-Amz-Signature", "Signature=", "Basic "):
        assert secret not in logged


def test_a_folder_that_was_there_is_an_outage_and_no_lost_object(tmp_path: Path) -> None:
    """A disk that is not mounted any more: what waits for it is done when it is back."""
    store = LocalStore(tmp_path / "images", "images", "a secret", 60)
    store.put("original/S1.png", b"picture", "image/png")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError) as caught:
        store.get("original/S1.png")
    assert (caught.value.retryable, caught.value.is_outage) == (True, True)
    (tmp_path / "elsewhere").rename(tmp_path / "images")
    assert store.get("original/S1.png") == b"picture"
