"""The body of an upload. The same files give the same bytes, so that a repeat is recognised as one."""

from collections.abc import Iterator, Sequence


class FormBody:
    """Form fields and files as `multipart/form-data`, sent piece by piece: the files' bytes are not copied.

    It can be sent any number of times until it is closed.
    """

    def __init__(self, fields: dict[str, str], files: Sequence[tuple[str, bytes]], boundary: str) -> None:
        self._parts: list[bytes] = []
        for name, value in fields.items():
            self._parts += [_head(boundary, f'name="{name}"'), value.encode(), b"\r\n"]
        for filename, data in files:
            kind = "image/png" if data.startswith(b"\x89P") else "image/jpeg"
            described = f'name="files"; filename="{_quoted(filename)}"\r\nContent-Type: {kind}'
            self._parts += [_head(boundary, described), data, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(sum(len(part) for part in self._parts)),
        }

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """Let go of the bytes: the HTTP client's objects refer to each other and to this for a while yet."""
        self._parts.clear()


def _head(boundary: str, described: str) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {described}\r\n\r\n".encode()


def _quoted(filename: str) -> str:
    """As browsers write it; what UTF-8 cannot hold becomes a question mark."""
    text = filename.encode("utf-8", "replace").decode()
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").replace("\\", "_")
