"""Objects in an S3 bucket or a compatible store, private, given out through pre-signed addresses."""

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from shared.errors import ObjectNotFoundError, StorageError, StoreRefusedError
from shared.storage.contract import StoredObject
from shared.storage.http import CONNECT_SECONDS
from shared.storage.keys import checked_key, content_disposition, is_key, readable_key
from shared.storage.retries import TryLaterError, ask, read_whole, seconds_of

PROBE_SECONDS = 2.0
KEPT_LINKS = 4096
REFUSED = (
    "S3 refuses this system ({code}). Check AWS_S3_BUCKET, AWS_REGION and AWS_S3_ENDPOINT_URL, "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (both empty: the default credential chain), the clock of "
    "this machine, and that the credentials may put, get, delete and list objects of the bucket."
)
_MISSING = ("NoSuchKey", "NotFound", "404")
_REFUSED = (
    "NoSuchBucket",
    "InvalidBucketName",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidToken",
)
_MISCONFIGURED = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, ParamValidationError)
_CHUNK = 4096  # small: the SDK's read waits for a whole one, and only then is the time looked at

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the objects are, and who asks. Without keys the default credential chain says who."""

    name: str
    region: str
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    public_endpoint_url: str | None = None  # the same store as clients of links reach it
    encryption: str = "AES256"  # "none": not asked for


class S3Connection:
    """The clients of one bucket, shared by its stores: making one takes a tenth of a second.

    They try once: `shared.storage.retries` asks again, as for every vendor.
    """

    def __init__(self, bucket: Bucket, timeout_seconds: float, connections: int) -> None:
        self.bucket = bucket
        self.timeout_s = timeout_seconds
        try:
            self.session = Session(
                aws_access_key_id=bucket.access_key_id,
                aws_secret_access_key=bucket.secret_access_key,
                aws_session_token=bucket.session_token,
                region_name=bucket.region,
            )
            endpoint = bucket.endpoint_url
            self.client = self._make(endpoint, timeout_seconds, connections)
            self.probe = self._make(endpoint, min(PROBE_SECONDS, timeout_seconds), connections)
            self.signer = self._make(bucket.public_endpoint_url or endpoint, timeout_seconds, 1)
        except (BotoCoreError, ValueError) as error:
            raise StoreRefusedError(REFUSED.format(code=type(error).__name__)) from None

    def _make(self, endpoint: str | None, timeout_s: float, connections: int) -> Any:
        config = Config(
            signature_version="s3v4",
            connect_timeout=min(CONNECT_SECONDS, timeout_s),
            read_timeout=timeout_s,
            max_pool_connections=connections,
            retries={"total_max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": "path" if endpoint else "auto"},
            # Put sends an MD5, which every compatible store knows; the SDK's newer checksums many do not.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return self.session.client("s3", endpoint_url=endpoint, config=config)


class S3Store:
    """An `ObjectStore` under a prefix of the bucket."""

    def __init__(self, connection: S3Connection, role: str, prefix: str, link_seconds: int) -> None:
        self.role = role
        self._connection = connection
        self._client = connection.client
        self._bucket = connection.bucket.name
        self._prefix = prefix
        self._link_seconds = link_seconds
        self._sign = lru_cache(KEPT_LINKS)(self._sign_now)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        digest = hashlib.md5(data, usedforsecurity=False)
        request: dict[str, Any] = {
            **self._place(key),
            "Body": data,
            "ContentType": content_type,
            "ContentMD5": b64encode(digest.digest()).decode(),
            "CacheControl": "private, max-age=300",
        }
        if self._connection.bucket.encryption != "none":
            request["ServerSideEncryption"] = self._connection.bucket.encryption

        def store() -> None:
            if not _is_whole(self._client.put_object(**request), digest.hexdigest()):
                raise TryLaterError("S3 did not confirm the object as it was sent.")

        self._ask(store)

    def get(self, key: str) -> bytes:
        place = self._old_place(key)

        def fetch() -> bytes:
            deadline = time.monotonic() + 2 * self._connection.timeout_s
            answer = self._client.get_object(**place)
            with closing(answer["Body"]) as body:
                data = read_whole(body.iter_chunks(_CHUNK), deadline)
            if not data:
                raise TryLaterError("S3 gave an empty object.")
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if not _is_whole(answer, digest):
                raise TryLaterError("S3 gave something else than the object that it names.")
            return data

        return self._ask(fetch)

    def delete(self, key: str) -> None:
        place = self._place(key)
        self._ask(lambda: self._client.delete_object(**place))

    def exists(self, key: str) -> bool:
        place = self._old_place(key)
        try:
            self._ask(lambda: self._client.head_object(**place))
        except ObjectNotFoundError:
            return False
        return True

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        page: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        while True:
            answer = self._ask(partial(self._client.list_objects_v2, **page))
            for entry in answer.get("Contents", []):
                key = str(entry["Key"]).removeprefix(self._prefix)
                if is_key(key):
                    yield StoredObject(key, entry["LastModified"], int(entry["Size"]))
            if not answer.get("NextContinuationToken"):
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]

    def link(self, key: str, filename: str | None = None) -> str:
        """A pre-signed address. It works for half its time at least, and stays the same between two polls.

        One that is signed by a role's temporary credentials ends with them.
        """
        step = max(self._link_seconds // 2, 1)
        place = self._old_place(key)["Key"]
        return self._ask(lambda: self._sign(place, filename, self._who_signs(), int(time.time()) // step))

    def thumbnail(self, key: str, side: int) -> str:  # noqa: ARG002 - S3 scales nothing
        return self.link(key)

    def is_up(self) -> bool:
        try:
            self._connection.probe.head_bucket(Bucket=self._bucket)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _old_place(self, key: str) -> dict[str, str]:
        """The same for reading: the replaced system put reports here under names of its own making."""
        return {"Bucket": self._bucket, "Key": self._prefix + readable_key(key)}

    def _who_signs(self) -> str:
        """The key id in use: links that the last credentials signed are not given out any more."""
        credentials = self._connection.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return str(credentials.get_frozen_credentials().access_key)

    def _sign_now(self, place: str, filename: str | None, who: str, step: int) -> str:  # noqa: ARG002
        parameters = {"Bucket": self._bucket, "Key": place}
        name = place.rsplit("/", 1)[-1]
        if name.endswith(".pdf"):
            parameters["ResponseContentDisposition"] = content_disposition("attachment", filename or name)
        elif filename:
            parameters["ResponseContentDisposition"] = content_disposition("inline", filename)
        signer = self._connection.signer
        return str(signer.generate_presigned_url("get_object", parameters, ExpiresIn=self._link_seconds))

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        def translated() -> Answer:
            try:
                return call()
            except (BotoCoreError, ClientError) as error:
                # Not chained: what S3 says of a wrong signature quotes the request.
                raise _domain_error(error) from None

        return ask(translated, self.role, self._connection.timeout_s)


def _domain_error(error: BotoCoreError | ClientError) -> StorageError:
    if isinstance(error, _MISCONFIGURED):
        return StoreRefusedError(REFUSED.format(code=type(error).__name__))
    if not isinstance(error, ClientError):
        return TryLaterError(f"S3 does not answer ({type(error).__name__}).")
    code = str(error.response.get("Error", {}).get("Code", ""))
    facts = error.response.get("ResponseMetadata", {})
    status = facts.get("HTTPStatusCode", 0)
    if code in _MISSING:
        return ObjectNotFoundError("S3 has no such object.")
    if code in _REFUSED or status in (401, 403):
        return StoreRefusedError(REFUSED.format(code=code))
    after_s = seconds_of(facts.get("HTTPHeaders", {}).get("retry-after"))
    return TryLaterError(f"S3 answers with HTTP {status} ({code}).", after_s)


def _is_whole(answer: dict[str, Any], digest: str) -> bool:
    """True if the ETag agrees: an object's MD5, but under a KMS key or uploaded in parts something else."""
    etag = str(answer.get("ETag", "")).strip('"')
    is_other = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms") or "-" in etag
    return bool(etag) and (is_other or etag == digest)
