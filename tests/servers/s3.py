"""S3 on loopback: moto behind a door that verifies every signature, as AWS documents them, and can fail."""

import hashlib
import hmac
import http.client
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, quote, urlsplit

from tests.servers.loopback import Answer, LoopbackServer, Request

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "date", "server")
ALGORITHM = "AWS4-HMAC-SHA256"
# moto wants to see one, and verifies none.
ANY_SIGNATURE = {
    "Authorization": f"{ALGORITHM} Credential=any/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=any"
}


class S3Server(LoopbackServer):
    """One account with one bucket. Anonymous, wrongly signed and expired requests are refused."""

    def __init__(self, moto: "ThreadedMotoServer") -> None:
        super().__init__()
        self.access_key_id = "AKIATESTSONLY0000000"
        self.secret_access_key = secrets.token_hex(20)
        self.bucket = f"bucket-{secrets.token_hex(4)}"
        self._moto = moto

    def __enter__(self) -> Self:
        made = self._forward("PUT", f"/{self.bucket}", b"", ANY_SIGNATURE)
        assert made.status == 200
        return super().__enter__()

    def answer(self, request: Request) -> Answer:
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        if "X-Amz-Signature" in query:
            refusal = self._refusal_of_link(request, query)
        else:
            refusal = self._refusal_of_header(request)
        if refusal:
            return _error(403, refusal)
        return self._forward(request.method, request.target, request.body, request.headers)

    def stored(self, name: str) -> dict[str, str]:
        """Headers of an object, names in small letters, as S3 keeps them."""
        answer = self._forward("HEAD", f"/{self.bucket}/{name}", b"", ANY_SIGNATURE)
        return {name.lower(): value for name, value in answer.headers.items()} if answer.status == 200 else {}

    def _forward(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self._moto.get_host_and_port(), timeout=10)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            kept = {n: v for n, v in response.getheaders() if n.lower() not in HOP_BY_HOP}
            if method == "HEAD":
                kept["Content-Length"] = response.headers.get("Content-Length", "0")
            return Answer(response.status, response.read(), kept)
        finally:
            connection.close()

    def _refusal_of_link(self, request: Request, query: dict[str, str]) -> str | None:
        signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
            return "AccessDenied"
        rest = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
        names = query["X-Amz-SignedHeaders"].split(";")
        scope = query["X-Amz-Credential"]
        signature = self._signature(request, rest, names, "UNSIGNED-PAYLOAD", query["X-Amz-Date"], scope)
        return self._verdict(scope, signature, query["X-Amz-Signature"])

    def _refusal_of_header(self, request: Request) -> str | None:
        algorithm, _, rest = request.headers.get("authorization", "").partition(" ")
        if algorithm != ALGORITHM:
            return "AccessDenied"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        payload = request.headers["x-amz-content-sha256"]
        if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(request.body).hexdigest()):
            return "XAmzContentSHA256Mismatch"
        names = parts["SignedHeaders"].split(";")
        date = request.headers["x-amz-date"]
        signature = self._signature(request, query, names, payload, date, parts["Credential"])
        return self._verdict(parts["Credential"], signature, parts["Signature"])

    def _verdict(self, credential: str, signature: str, given: str) -> str | None:
        if not credential.startswith(f"{self.access_key_id}/"):
            return "InvalidAccessKeyId"
        return None if hmac.compare_digest(signature, given) else "SignatureDoesNotMatch"

    def _signature(
        self,
        request: Request,
        query: dict[str, str],
        names: list[str],
        payload: str,
        date: str,
        credential: str,
    ) -> str:
        encoded = sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items()
        )
        canonical = "\n".join(
            [
                request.method,
                urlsplit(request.target).path,
                "&".join(f"{name}={value}" for name, value in encoded),
                *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
                "",
                ";".join(names),
                payload,
            ]
        )
        scope = credential.split("/", 1)[1]
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = "\n".join([ALGORITHM, date, scope, digest])
        key = f"AWS4{self.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _error(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>refused</Message></Error>".encode()
    return Answer(status, body, {"Content-Type": "application/xml"})
