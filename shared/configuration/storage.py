"""Where pictures and PDFs are kept."""

import re
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, Field, SecretStr

from shared.configuration.addresses import is_web_address

_CLOUDINARY_URL = re.compile(r"cloudinary://([^:@/]+):([^@/]+)@([^@/?]+)")


class CloudinaryCredentials(NamedTuple):
    """Whose pictures, and the proof. Never log it."""

    cloud_name: str
    api_key: str
    api_secret: str


class StorageSettings(BaseModel):
    """The stores of images and reports, and what Cloudinary and S3 need.

    `auto` takes a cloud store that is configured, else the local disk; in production only a chosen folder.
    """

    image_store: Literal["auto", "local", "cloudinary", "s3"] = Field(
        "auto", description="store of originals, heatmaps, overlays; auto: Cloudinary if it is configured"
    )
    report_store: Literal["auto", "local", "s3"] = Field(
        "auto", description="store of PDF reports; auto: S3 if AWS_S3_BUCKET is set"
    )
    staging_store: Literal["none", "local", "s3"] = Field(
        "none",
        description="where uploads wait until their analysis stores them in a slower image store",
    )
    image_folder: Path = Field(
        Path(".local/images"), description="local store of originals, heatmaps, overlays"
    )
    report_folder: Path = Field(Path("reports"), description="local store of PDF reports, old ones included")
    staging_folder: Path = Field(Path(".local/staging"), description="local store of waiting uploads")
    link_seconds: int = Field(3600, ge=30, le=604_800, description="how long a signed image link works")
    report_link_seconds: int = Field(
        300, ge=30, le=604_800, description="how long a signed report link works"
    )
    store_timeout_seconds: float = Field(
        10, gt=0, description="patience with one answer of Cloudinary or S3; each is asked up to 3 times"
    )

    cloudinary_url: SecretStr | None = Field(
        None, description="cloudinary://key:secret@cloud; wins over CLOUDINARY_*"
    )
    cloudinary_cloud_name: str | None = Field(None, description="Cloudinary cloud")
    cloudinary_api_key: str | None = Field(None, description="Cloudinary key")
    cloudinary_api_secret: SecretStr | None = Field(None, description="Cloudinary secret")
    cloudinary_upload_prefix: str = Field(
        "https://api.cloudinary.com", description="address of Cloudinary's API"
    )
    cloudinary_delivery_prefix: str = Field(
        "https://res.cloudinary.com", description="address that Cloudinary's pictures are delivered from"
    )

    aws_access_key_id: str | None = Field(None, description="S3 key; empty: the default credential chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="S3 secret")
    aws_session_token: SecretStr | None = Field(
        None, description="third part of temporary S3 credentials; empty for lasting ones"
    )
    aws_region: str = Field("us-east-1", description="S3 region")
    aws_s3_bucket: str | None = Field(None, description="S3 bucket")
    aws_s3_endpoint_url: str | None = Field(None, description="address of an S3-compatible store")
    aws_s3_public_endpoint_url: str | None = Field(
        None, description="the same store's address in links, where clients reach it by another one"
    )
    aws_s3_server_side_encryption: Literal["AES256", "aws:kms", "none"] = Field(
        "AES256", description="encryption at rest that S3 is asked for"
    )

    @property
    def has_cloudinary(self) -> bool:
        parts = (self.cloudinary_cloud_name, self.cloudinary_api_key, self.cloudinary_api_secret)
        return self.cloudinary_url is not None or all(parts)

    @property
    def cloudinary_credentials(self) -> CloudinaryCredentials:
        """What CLOUDINARY_URL says, else the three values. Raises `ValueError` if neither is complete."""
        url = self.cloudinary_url.get_secret_value() if self.cloudinary_url else None
        if url is not None:
            match = _CLOUDINARY_URL.match(url)
            if match is None:
                raise ValueError("CLOUDINARY_URL is not complete")
            key, secret, cloud = (unquote(part) for part in match.groups())
            return CloudinaryCredentials(cloud, key, secret)
        if not (self.cloudinary_cloud_name and self.cloudinary_api_key and self.cloudinary_api_secret):
            raise ValueError("Cloudinary's settings are not complete")
        secret = self.cloudinary_api_secret.get_secret_value()
        return CloudinaryCredentials(self.cloudinary_cloud_name, self.cloudinary_api_key, secret)

    @property
    def chosen_image_store(self) -> Literal["local", "cloudinary", "s3"]:
        if self.image_store != "auto":
            return self.image_store
        return "cloudinary" if self.has_cloudinary else "local"

    @property
    def chosen_report_store(self) -> Literal["local", "s3"]:
        if self.report_store != "auto":
            return self.report_store
        return "s3" if self.aws_s3_bucket else "local"

    @property
    def keeps_pictures_over_network(self) -> bool:
        return self.chosen_image_store != "local" or self.staging_store == "s3"

    @property
    def takes_uploads_over_network(self) -> bool:
        if self.staging_store != "none":
            return self.staging_store == "s3"
        return self.chosen_image_store != "local"

    def storage_problems(self, is_production: bool) -> list[str]:
        return [*self._unchosen(), *self._incomplete()] if is_production else self._incomplete()

    def _unchosen(self) -> list[str]:
        problems = []
        if self.image_store == "auto" and not self.has_cloudinary and not self._has_own("image_folder"):
            problems.append(
                "IMAGE_STORE: set CLOUDINARY_URL (or CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and "
                "CLOUDINARY_API_SECRET), or IMAGE_STORE=s3 with AWS_S3_BUCKET, "
                "or IMAGE_STORE=local to keep pictures in IMAGE_FOLDER"
            )
        if self.report_store == "auto" and not self.aws_s3_bucket and not self._has_own("report_folder"):
            problems.append(
                "REPORT_STORE: set AWS_S3_BUCKET, or REPORT_STORE=local to keep PDFs in REPORT_FOLDER"
            )
        return problems

    def _has_own(self, folder: str) -> bool:
        """Whether a folder was chosen, as in containers, and is not just where the working directory is."""
        return bool(getattr(self, folder) != type(self).model_fields[folder].default)

    def _incomplete(self) -> list[str]:
        problems = []
        if self.image_store == "cloudinary" and not self.has_cloudinary:
            problems.append(
                "CLOUDINARY_URL (or CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET): "
                "IMAGE_STORE=cloudinary needs them"
            )
        url = self.cloudinary_url.get_secret_value() if self.cloudinary_url else None
        if url is not None and not _CLOUDINARY_URL.match(url):
            problems.append("CLOUDINARY_URL: must look like cloudinary://key:secret@cloud")
        if "s3" in (self.image_store, self.report_store, self.staging_store) and not self.aws_s3_bucket:
            problems.append("AWS_S3_BUCKET: a store in S3 needs it")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            problems.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither")
        addresses = {
            "CLOUDINARY_UPLOAD_PREFIX": self.cloudinary_upload_prefix,
            "CLOUDINARY_DELIVERY_PREFIX": self.cloudinary_delivery_prefix,
            "AWS_S3_ENDPOINT_URL": self.aws_s3_endpoint_url,
            "AWS_S3_PUBLIC_ENDPOINT_URL": self.aws_s3_public_endpoint_url,
        }
        problems += [
            f"{name}: must be an http:// or https:// address"
            for name, address in addresses.items()
            if address is not None and not is_web_address(address)
        ]
        return problems
