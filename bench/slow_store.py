"""An S3 of its own that keeps all in memory and answers as late as it is told.

As much of the protocol as one bucket's objects need: put, get, head, delete. Signatures are not looked at.
"""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

HEAD_END = b"\r\n\r\n"
MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>'
NOTHING = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'


class SlowStore:
    """`delay_s` is added to each answer, however many wait beside it; it may be changed at any time."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.requests = 0
        self.url = ""
        self._objects: dict[str, bytes] = {}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer on `url` while the block lasts, in a thread of its own."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**20))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            loop.run_until_complete(_end_tasks())
            loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(HEAD_END)
                method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
                fields = _fields(head)
                if fields.get("expect") == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                self.requests += 1
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(self._answer(method, target, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, method: str, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        is_bucket = path.strip("/").count("/") == 0
        if is_bucket:
            return _response(200, NOTHING if "list-type" in query else b"", "", with_body=method != "HEAD")
        if method == "PUT":
            self._objects[path] = body
            return _response(200, b"", _etag(body))
        if method == "DELETE":
            self._objects.pop(path, None)
            return _response(204, b"", "")
        if path not in self._objects:
            return _response(404, MISSING, "", with_body=method != "HEAD")
        data = self._objects[path]
        return _response(200, data, _etag(data), with_body=method != "HEAD")


async def _end_tasks() -> None:
    """All but this one, and what they leave for the loop to do."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    parts = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in parts}


def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _response(status: int, body: bytes, etag: str, with_body: bool = True) -> bytes:
    lines = [
        f"HTTP/1.1 {status} -",
        f"Content-Length: {len(body)}",
        f"Last-Modified: {formatdate(usegmt=True)}",
        "Content-Type: application/octet-stream",
    ]
    if etag:
        lines.append(f'ETag: "{etag}"')
    return "\r\n".join((*lines, "", "")).encode() + (body if with_body else b"")
