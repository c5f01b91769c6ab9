"""Which vendor keeps what, as the settings say. SDKs are loaded only where their store is chosen."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from shared.metrics.stores import measured
from shared.settings import Settings
from shared.storage.contract import ObjectStore
from shared.storage.local import LocalStore

if TYPE_CHECKING:
    from shared.storage.s3 import S3Connection

IMAGES, REPORTS, STAGING = "images", "reports", "staging"
S3_PREFIX = {IMAGES: "brain_tumor_scans/", REPORTS: "reports/", STAGING: "staging/"}
MIN_CONNECTIONS = 16
CONNECTIONS_PER_THREAD = 3  # of a worker's IO_THREADS: each fetches one file while two are stored
_TALKATIVE = ("urllib3", "botocore", "boto3")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores by role. Without `staging` uploads go straight into `images`."""

    images: ObjectStore
    reports: ObjectStore
    staging: ObjectStore | None


def choose_stores(settings: Settings) -> Stores:
    """Build the stores that the settings choose. Opens no connection.

    Raises `StoreRefusedError` if the settings of S3 cannot be used at all.
    """
    for name in _TALKATIVE:  # at DEBUG these log signed addresses and credentials
        logging.getLogger(name).setLevel(logging.INFO)
    builder = _Builder(settings)
    chosen_staging = settings.staging_store
    return Stores(
        images=builder.measured_store(IMAGES, settings.chosen_image_store),
        reports=builder.measured_store(REPORTS, settings.chosen_report_store),
        staging=None if chosen_staging == "none" else builder.measured_store(STAGING, chosen_staging),
    )


class _Builder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = max(MIN_CONNECTIONS, CONNECTIONS_PER_THREAD * settings.chosen_io_threads)

    def measured_store(self, role: str, vendor: str) -> ObjectStore:
        return measured(self.store(role, vendor), role, vendor)

    def store(self, role: str, vendor: str) -> ObjectStore:
        settings = self._settings
        link_seconds = settings.report_link_seconds if role == REPORTS else settings.link_seconds
        if vendor == "cloudinary":
            return self._cloudinary(role)
        if vendor == "s3":
            from shared.storage.s3 import S3Store

            return S3Store(self._s3, role, S3_PREFIX[role], link_seconds)
        secret = settings.secret_key.get_secret_value()
        return LocalStore(self._folder(role), role, secret, link_seconds)

    def _folder(self, role: str) -> Path:
        settings = self._settings
        folders = {
            IMAGES: settings.image_folder,
            REPORTS: settings.report_folder,
            STAGING: settings.staging_folder,
        }
        return folders[role]

    def _cloudinary(self, role: str) -> ObjectStore:
        from shared.storage.cloudinary import CloudinaryAccount, CloudinaryStore

        settings = self._settings
        account = CloudinaryAccount(
            *settings.cloudinary_credentials,
            settings.cloudinary_upload_prefix,
            settings.cloudinary_delivery_prefix,
        )
        return CloudinaryStore(account, role, settings.store_timeout_seconds, self._connections)

    @cached_property
    def _s3(self) -> "S3Connection":
        """One for all roles."""
        from shared.storage.s3 import Bucket, S3Connection

        settings = self._settings
        bucket = Bucket(
            name=settings.aws_s3_bucket or "",
            region=settings.aws_region,
            access_key_id=settings.aws_access_key_id,
            secret_access_key=_revealed(settings.aws_secret_access_key),
            session_token=_revealed(settings.aws_session_token),
            endpoint_url=settings.aws_s3_endpoint_url,
            public_endpoint_url=settings.aws_s3_public_endpoint_url,
            encryption=settings.aws_s3_server_side_encryption,
        )
        return S3Connection(bucket, settings.store_timeout_seconds, self._connections)


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
