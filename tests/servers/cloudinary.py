"""A Cloudinary on loopback: upload API, admin ping, signed delivery.

Signatures are verified as Cloudinary documents them, without its SDK: requests by the SHA-1 of the sorted
parameters and the secret, delivery addresses by the first eight characters of a base64url SHA-1.
"""

import base64
import hashlib
import io
import json
import re
import secrets
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from PIL import Image
from werkzeug.formparser import parse_form_data

from tests.servers.loopback import Answer, LoopbackServer, Request

UNSIGNED = ("file", "cloud_name", "resource_type", "api_key", "signature")
STALE_AFTER_S = 3600
FORMATS = {b"\x89P": "png", b"\xff\xd8": "jpg"}
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg"}
_DELIVERY = re.compile(
    r"/(?P<cloud>[^/]+)/image/authenticated/(?:s--(?P<signature>[\w-]{8})--/)?(?P<rest>.+)"
)
_TRANSFORMATION = re.compile(r"[a-z]{1,3}_[^/]+")


@dataclass
class Asset:
    data: bytes
    format: str
    params: dict[str, str] = field(default_factory=dict)  # of the upload
    version: int = 0  # seconds since 1970, of the last upload


class FakeCloudinary(LoopbackServer):
    """One cloud of one customer."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = "demo-cloud"
        self.api_key = "123456789012345"
        self.api_secret = f"secret-{secrets.token_hex(8)}"
        self.assets: dict[str, Asset] = {}  # by public id
        self.page_size = 500  # of listings, at most

    def answer(self, request: Request) -> Answer:
        api = f"/v1_1/{self.cloud}"
        if request.path.startswith("/v1_1/") and not request.path.startswith(f"{api}/"):
            return _error(401, "cloud_name mismatch")
        if request.method == "POST" and request.path in (f"{api}/image/upload", f"{api}/image/destroy"):
            return self._signed_call(request)
        if request.path.startswith(f"{api}/"):
            return self._admin(request, request.path.removeprefix(f"{api}/"))
        return self._deliver(request)

    def _signed_call(self, request: Request) -> Answer:
        environment = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.input": io.BytesIO(request.body),
        }
        _, form, files = parse_form_data(environment)
        params = form.to_dict()
        data = None  # a string in place of the file would be an address that Cloudinary fetches
        if "file" in files:
            with closing(files["file"]) as file:
                data = file.read()
        if params.get("api_key") != self.api_key:
            return _error(401, "Unknown API key")
        to_sign = "&".join(
            f"{name}={value.replace('&', '%26')}"
            for name, value in sorted(params.items())
            if value and name not in UNSIGNED
        )
        if params.get("signature") != hashlib.sha1((to_sign + self.api_secret).encode()).hexdigest():  # noqa: S324
            return _error(401, f"Invalid Signature. String to sign - '{to_sign}'.")
        if abs(time.time() - int(params.get("timestamp", 0))) > STALE_AFTER_S:
            return _error(400, "Stale request - reported time is too old")
        if params.get("type") != "authenticated":
            return _error(400, "these tests keep no public assets")
        if request.path.endswith("destroy"):
            is_there = self.assets.pop(params["public_id"], None) is not None
            return _json({"result": "ok" if is_there else "not found"})
        return self._upload(params, data)

    def _upload(self, params: dict[str, str], data: bytes | None) -> Answer:
        if data is None:
            return _error(400, "Missing required parameter - file")
        kind = FORMATS.get(data[:2])
        if kind is None:
            return _error(400, "Invalid image file")
        public_id = params["public_id"]
        if public_id not in self.assets or params.get("overwrite") in ("1", "true"):
            self.assets[public_id] = Asset(data, kind, params, int(time.time()))
        stored = self.assets[public_id].data
        return _json(
            {
                "public_id": public_id,
                "version": int(time.time()),
                "format": kind,
                "resource_type": "image",
                "type": "authenticated",
                "bytes": len(stored),
                "etag": hashlib.md5(stored, usedforsecurity=False).hexdigest(),
            }
        )

    def _admin(self, request: Request, path: str) -> Answer:
        expected = base64.b64encode(f"{self.api_key}:{self.api_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return _error(401, "Invalid credentials")
        if path == "ping":
            return _json({"status": "ok"})
        if path == "resources/image/authenticated":
            return self._list({name: values[0] for name, values in parse_qs(request.query).items()})
        public_id = path.removeprefix("resources/image/authenticated/")
        if public_id in self.assets:
            asset = self.assets[public_id]
            return _json({"public_id": public_id, "format": asset.format, "bytes": len(asset.data)})
        return _error(404, "Resource not found")

    def _list(self, query: dict[str, str]) -> Answer:
        """With a prefix, assets are sorted by public id; a cursor is opaque and works for its own listing."""
        names = sorted(name for name in list(self.assets) if name.startswith(query["prefix"]))
        start = 0
        if "next_cursor" in query:
            last = base64.urlsafe_b64decode(query["next_cursor"]).decode()
            start = sum(name <= last for name in names)
        page = names[start : start + min(int(query.get("max_results", 10)), self.page_size)]
        answer: dict[str, Any] = {"resources": [self._described(name) for name in page]}
        if page and page[-1] != names[-1]:
            answer["next_cursor"] = base64.urlsafe_b64encode(page[-1].encode()).decode()
        return _json(answer)

    def _described(self, public_id: str) -> dict[str, Any]:
        asset = self.assets[public_id]
        return {
            "public_id": public_id,
            "format": asset.format,
            "version": asset.version,
            "resource_type": "image",
            "type": "authenticated",
            "created_at": "2026-01-01T00:00:00Z",
            "bytes": len(asset.data),
        }

    def _deliver(self, request: Request) -> Answer:
        match = _DELIVERY.fullmatch(request.path)
        if match is None or match["cloud"] != self.cloud:
            return _refused(404, "Resource not found")
        parts = match["rest"].split("/")
        transformations = []
        while _TRANSFORMATION.fullmatch(parts[0]):
            transformations.append(parts.pop(0))
        if re.fullmatch(r"v\d+", parts[0]):
            parts.pop(0)
        to_sign = "/".join([*transformations, *parts])
        digest = hashlib.sha1((to_sign + self.api_secret).encode()).digest()  # noqa: S324
        if match["signature"] != base64.urlsafe_b64encode(digest).decode()[:8]:
            return _refused(401, "deny or invalid signature")
        public_id, _, extension = "/".join(parts).rpartition(".")
        asset = self.assets.get(public_id)
        if asset is None:
            return _refused(404, "Resource not found")
        return _transformed(asset, extension, ",".join(transformations).split(","))


def _transformed(asset: Asset, extension: str, operations: list[str]) -> Answer:
    options = dict(operation.split("_", 1) for operation in operations if operation)
    headers = {"Content-Type": CONTENT_TYPES[extension]}
    flag, _, name = options.get("fl", "").partition(":")
    if flag == "attachment":
        headers["Content-Disposition"] = f'attachment; filename="{name or "file"}.{extension}"'
    data = asset.data
    if options.get("c") == "fit" or extension != asset.format:
        picture = Image.open(io.BytesIO(data))
        if "w" in options:
            factor = min(int(options["w"]) / picture.width, int(options["h"]) / picture.height)
            picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
        file = io.BytesIO()
        picture.save(file, {"jpg": "JPEG", "png": "PNG"}[extension])
        data = file.getvalue()
    return Answer(200, data, headers)


def _json(content: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _error(status: int, message: str) -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return Answer(status, body, {"Content-Type": "application/json"})


def _refused(status: int, message: str) -> Answer:
    return Answer(status, b"", {"X-Cld-Error": message})
