"""Objects as pictures in Cloudinary, delivered only from signed addresses.

The SDK makes parameters, signatures and addresses. The requests go through a pool of this product: the
SDK's takes HTTP 500 for success if the body is JSON, hides Retry-After and waits for ever.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any, cast

import cloudinary
from cloudinary import utils

from shared.errors import ObjectNotFoundError, StorageError, StoreRefusedError
from shared.storage.contract import StoredObject
from shared.storage.http import HttpPool, Reply, basic_auth
from shared.storage.keys import checked_key, is_key
from shared.storage.retries import TryLaterError, ask, seconds_of

FOLDER = "brain_tumor_scans"
DELIVERY_TYPE = "authenticated"
LISTED_AT_ONCE = 500  # the most that Cloudinary gives
PING_SECONDS = 2.0
PING_EVERY_SECONDS = 30.0  # Cloudinary counts these by the hour
REFUSED = (
    "Cloudinary refuses this system (HTTP {status}). Check CLOUDINARY_URL or CLOUDINARY_CLOUD_NAME, "
    "CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET, the clock of this machine, and the limits of the plan."
)
UNEXPECTED = "Cloudinary's answer is not what its API promises."
_SDK_DELIVERY = "https://res.cloudinary.com"
_TRY_LATER = (408, 420, 425, 429)  # 420: Cloudinary's own "rate limited"
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CloudinaryAccount:
    """Whose pictures, and where the API and the delivery are."""

    cloud_name: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    upload_prefix: str
    delivery_prefix: str


class CloudinaryStore:
    """An `ObjectStore` of pictures.

    Links are signed but do not expire by themselves: Cloudinary sells expiring ones apart. What they
    lead to ends when the picture is deleted, or all at once when the API secret is changed.
    """

    def __init__(
        self, account: CloudinaryAccount, role: str, timeout_seconds: float, connections: int
    ) -> None:
        self.role = role
        self._account = account
        self._timeout_s = timeout_seconds
        self._pool = HttpPool("Cloudinary", connections, **cloudinary.CERT_KWARGS)
        self._ping_lock = threading.Lock()
        self._pinged_at = -PING_EVERY_SECONDS
        self._was_up = False

    def put(self, key: str, data: bytes, content_type: str) -> None:
        public_id, _ = _name(key)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        # Bytes, never a string: a string here would be an address that Cloudinary fetches.
        file = ("file", data, content_type)

        def upload() -> None:
            options: Json = {"public_id": public_id, "type": DELIVERY_TYPE, "upload_preset": None}
            params = utils.build_upload_params(**options, overwrite=True, invalidate=True)
            answer = self._post("upload", params, file)
            confirmed = [answer.get(name) for name in ("public_id", "bytes", "etag")]
            if confirmed != [public_id, len(data), digest]:
                raise TryLaterError("Cloudinary did not confirm the picture as it was sent.")

        ask(upload, self.role, self._timeout_s)

    def get(self, key: str) -> bytes:
        url = self._address(key)

        def fetch() -> bytes:
            reply = self._delivered("GET", url)
            if not reply.data or not reply.headers.get("Content-Type", "").startswith("image/"):
                raise TryLaterError("Cloudinary delivered something else than a picture.")
            return reply.data

        return ask(fetch, self.role, self._timeout_s)

    def delete(self, key: str) -> None:
        public_id, _ = _name(key)

        def destroy() -> None:
            params = {"timestamp": utils.now(), "type": DELIVERY_TYPE, "invalidate": True}
            answer = self._post("destroy", {**params, "public_id": public_id})
            if answer.get("result") not in ("ok", "not found"):
                raise TryLaterError("Cloudinary did not confirm that the picture is deleted.")

        ask(destroy, self.role, self._timeout_s)

    def exists(self, key: str) -> bool:
        url = self._address(key)
        try:
            ask(lambda: self._delivered("HEAD", url), self.role, self._timeout_s)
        except ObjectNotFoundError:
            return False
        return True

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        page: Json = {"prefix": f"{FOLDER}/{prefix}", "max_results": LISTED_AT_ONCE}
        while True:
            found, cursor = ask(partial(self._listed, page), self.role, self._timeout_s)
            yield from (entry for entry in found if is_key(entry.key))
            if not cursor:
                return
            page["next_cursor"] = cursor

    def link(self, key: str, filename: str | None = None) -> str:
        """The signed address; without a transformation it delivers the stored bytes as they are."""
        if filename is None:
            return self._address(key)
        stem = PurePosixPath(filename).stem
        named = f"attachment:{stem}" if _SAFE_NAME.fullmatch(stem) else "attachment"
        return self._address(key, flags=named)

    def thumbnail(self, key: str, side: int) -> str:
        return self._address(key, crop="fit", width=side, height=side)

    def is_up(self) -> bool:
        """Asks at most every half minute. Too many questions are no outage: uploads are counted apart."""
        with self._ping_lock:
            if time.monotonic() - self._pinged_at >= PING_EVERY_SECONDS:
                self._was_up = self._ping()
                self._pinged_at = time.monotonic()
            return self._was_up

    def _listed(self, page: Json) -> tuple[list[StoredObject], str | None]:
        answer = _json_of(
            _checked(self._ask_admin(f"resources/image/{DELIVERY_TYPE}", self._timeout_s, page))
        )
        try:
            return [_entry(resource) for resource in answer["resources"]], answer.get("next_cursor")
        except (KeyError, TypeError, ValueError):
            raise TryLaterError(UNEXPECTED) from None

    def _ask_admin(self, path: str, timeout_s: float, fields: Json) -> Reply:
        account = self._account
        url = utils.base_api_url(path, cloud_name=account.cloud_name, upload_prefix=account.upload_prefix)
        headers = basic_auth(account.api_key, account.api_secret)
        return self._pool.request("GET", url, timeout_s, headers=headers, fields=fields)

    def _ping(self) -> bool:
        try:
            reply = self._ask_admin("ping", min(PING_SECONDS, self._timeout_s), {})
        except StorageError:
            return False
        return reply.status in (200, 420, 429)

    def _address(self, key: str, **transformation: object) -> str:
        """A signed address. Everything is said: what is not, the SDK looks up in the environment."""
        public_id, extension = _name(key)
        url, _ = utils.cloudinary_url(
            public_id,
            format=extension,
            type=DELIVERY_TYPE,
            sign_url=True,
            api_secret=self._account.api_secret,
            cloud_name=self._account.cloud_name,
            signature_algorithm=utils.SIGNATURE_SHA1,
            long_url_signature=False,
            auth_token=False,
            secure=True,
            private_cdn=False,
            secure_distribution=None,
            secure_cdn_subdomain=False,
            cdn_subdomain=False,
            use_root_path=False,
            shorten=False,
            force_version=True,
            **transformation,
        )
        return self._account.delivery_prefix.rstrip("/") + str(url).removeprefix(_SDK_DELIVERY)

    def _delivered(self, method: str, url: str) -> Reply:
        reply = self._pool.request(method, url, self._timeout_s)
        if reply.status == 404:
            raise ObjectNotFoundError("Cloudinary has no such picture.")
        return _checked(reply)

    def _post(self, action: str, params: Json, file: tuple[str, bytes, str] | None = None) -> Json:
        account = self._account
        signed = utils.sign_request(
            utils.cleanup_params(params),
            {
                "api_key": account.api_key,
                "api_secret": account.api_secret,
                "signature_algorithm": utils.SIGNATURE_SHA1,
                "signature_version": 2,
            },
        )
        fields: list[tuple[str, Any]] = [(name, str(value)) for name, value in signed.items()]
        if file is not None:
            fields.append(("file", file))
        url = utils.cloudinary_api_url(
            action, cloud_name=account.cloud_name, upload_prefix=account.upload_prefix
        )
        return _json_of(_checked(self._pool.request("POST", url, self._timeout_s, fields=fields)))


def _name(key: str) -> tuple[str, str]:
    """Public id and extension."""
    stem, _, extension = checked_key(key).rpartition(".")
    return f"{FOLDER}/{stem}", extension


def _entry(resource: Json) -> StoredObject:
    """An object of a listing. `version` is the time of the last upload; `created_at` that of the first."""
    key = f"{resource['public_id']}.{resource['format']}".removeprefix(f"{FOLDER}/")
    return StoredObject(key, datetime.fromtimestamp(int(resource["version"]), UTC), int(resource["bytes"]))


def _checked(reply: Reply) -> Reply:
    if reply.status == 200:
        return reply
    if 400 <= reply.status < 500 and reply.status not in _TRY_LATER:
        raise StoreRefusedError(REFUSED.format(status=reply.status))
    raise TryLaterError(
        f"Cloudinary answers with HTTP {reply.status}.", seconds_of(reply.headers.get("Retry-After"))
    )


def _json_of(reply: Reply) -> Json:
    try:
        answer = json.loads(reply.data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise TryLaterError(UNEXPECTED)
    return cast("Json", answer)
