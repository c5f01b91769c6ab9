"""A TCP proxy on loopback that misbehaves on demand, before Postgres, Redis, S3, Cloudinary or SMTP alike.

It runs in a thread of its own; every method may be called from any other.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from stack.ports import LOOPBACK

CHUNK = 1 << 16
PATIENCE_S = 10


@dataclass(eq=False)
class _Link:
    """One client's connection and its twin to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_reply_unwanted: bool = field(default=False)

    def abort(self) -> None:
        for side in (self.client, self.server):
            _reset(side)


class FaultProxy:
    """Forwards to a port of loopback until it is told to do worse. `with` starts and stops it."""

    def __init__(self, target_port: int, host: str = LOOPBACK) -> None:
        """`host`: the address of this machine to listen on."""
        self.port = 0
        self._host = host
        self.delay_s = 0.0  # before each chunk, both ways
        self.bytes_per_second: float | None = None  # of each direction; None: as fast as it goes
        self.replies_dropped = 0
        self._target_port = target_port
        self._links: set[_Link] = set()
        self._is_refusing = False
        self._is_open = asyncio.Event()  # cleared: nothing passes
        self._unwanted: tuple[bytes, int] | None = None
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._links)

    def cut(self) -> None:
        """Reset all connections; new ones work."""
        self._call(self._abort_all)

    def half_close(self) -> None:
        """Tell all clients that the server says nothing more, and go on listening to them."""
        self._call(self._end_all)

    def drop_replies_to(self, request: bytes, times: int = 1) -> None:
        """The server does what chunks that hold `request` ask for; its answer is lost with the connection."""
        self._unwanted = (request, times)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Meanwhile there are no connections and no new ones."""
        self._is_refusing = True
        self.cut()
        try:
            yield
        finally:
            self._is_refusing = False

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Meanwhile connections stay open, and nothing passes."""
        self._call(self._is_open.clear)
        try:
            yield
        finally:
            self._call(self._is_open.set)

    def _call(self, act: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            act()
            done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait(PATIENCE_S)

    def _abort_all(self) -> None:
        for link in list(self._links):
            link.abort()

    def _end_all(self) -> None:
        for link in self._links:
            _end(link.client)

    async def _listen(self) -> None:
        self._is_open.set()
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._is_open.set()
        self._abort_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._is_refusing:
            _reset(writer)
            return
        try:
            answers, server = await asyncio.open_connection(LOOPBACK, self._target_port)
        except OSError:
            _reset(writer)
            return
        async with self._linked(writer, server) as link:
            await asyncio.gather(self._pass_on(link, reader, server), self._pass_back(link, answers, writer))

    @asynccontextmanager
    async def _linked(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> AsyncIterator[_Link]:
        link = _Link(client, server)
        self._links.add(link)
        try:
            yield link
        except OSError:
            pass  # one side is gone, and so is the other in a moment
        finally:
            self._links.discard(link)
            link.abort()

    async def _pass_on(self, link: _Link, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self._unwanted is not None and self._unwanted[0] in data:
                request, times = self._unwanted
                self._unwanted = (request, times - 1) if times > 1 else None
                link.is_reply_unwanted = True
            await self._forward(data, to)
        _end(to)

    async def _pass_back(self, link: _Link, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if link.is_reply_unwanted:
                self.replies_dropped += 1
                link.abort()
                return
            await self._forward(data, to)
        _end(to)

    async def _forward(self, data: bytes, to: asyncio.StreamWriter) -> None:
        await self._is_open.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        rate = self.bytes_per_second
        step = len(data) if rate is None else max(1, int(rate / 20))
        for start in range(0, len(data), step):
            if rate is not None:
                await asyncio.sleep(step / rate)
            to.write(data[start : start + step])
            await to.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection without a word: what lies in its buffers is lost, as when a machine dies."""
    with suppress(OSError):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _end(writer: asyncio.StreamWriter) -> None:
    """Pass on that this side says nothing more, if the other is still there to hear it."""
    with suppress(OSError, RuntimeError):
        if not writer.is_closing():
            writer.write_eof()
