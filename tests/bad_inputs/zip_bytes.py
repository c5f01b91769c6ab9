"""ZIPs byte by byte, as no library writes them."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence

DATE = (1980, 1, 1, 0, 0, 0)


def of_many_entries(number: int, claimed: int | None = None) -> bytes:
    """A directory of so many entries, all of the same empty member; its end may claim another number."""
    member = b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"a.png"
    entries = b"".join(_entry(f"{n}.png".encode()) for n in range(number))
    count = min(number if claimed is None else claimed, 0xFFFF)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), len(member), 0)
    return member + entries + b"PK\5\6" + end


def of_overlapping_members(data: bytes, number: int) -> bytes:
    """Many entries that all name the same bytes: small in the ZIP, large once unpacked."""
    packed = zlib.compress(data, 9)[2:-4]
    facts = struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, zlib.crc32(data), len(packed), len(data))
    member = b"PK\3\4" + facts + struct.pack("<HH", 5, 0) + b"0.png" + packed
    entries = b"".join(_entry(f"{n}.png".encode(), facts) for n in range(number))
    end = struct.pack("<HHHHIIH", 0, 0, number, number, len(entries), len(member), 0)
    return member + entries + b"PK\5\6" + end


def with_link(name: str, target: str, *members: tuple[str, bytes]) -> bytes:
    """A ZIP with a symbolic link, as `zip --symlinks` writes it, and members after it."""
    link = zipfile.ZipInfo(name, DATE)
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, target)
        for member, content in members:
            archive.writestr(member, content)
    return file.getvalue()


def zip64(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A ZIP whose members' sizes are written in eight bytes, as for members of more than four gigabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    return file.getvalue()


def claiming(size: int) -> bytes:
    """One member that says in eight bytes that it is so large."""
    extra = struct.pack("<HHQ", 1, 8, size)
    facts = struct.pack("<HHHHHIII", 45, 0, 0, 0, 33, 0, 0, 0xFFFFFFFF)
    member = b"PK\3\4" + facts + struct.pack("<HH", 5, 0) + b"a.png"
    entry = _entry(b"a.png", facts, extra)
    return member + entry + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(member), 0)


def of_greedy_lzma(name: str, content: bytes) -> bytes:
    """A member whose decoder is told to set four gigabytes aside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(name, content)
    data = bytearray(file.getvalue())
    properties = 30 + len(name) + 4
    data[properties + 1 : properties + 5] = b"\xff\xff\xff\xff"
    return bytes(data)


def _entry(name: bytes, facts: bytes | None = None, extra: bytes = b"") -> bytes:
    facts = facts or struct.pack("<HHHHHIII", 20, 0, 0, 0, 33, 0, 0, 0)
    tail = struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, 0)
    return b"PK\1\2" + struct.pack("<H", 20) + facts + tail + name + extra
