"""Where a scan's original is: in the staging store until its analysis is recorded, then among the images.

What a store gives back is held against the hash that was recorded at the upload, so that nothing is analysed
or reported under a scan's name but the file that was sent.

`scans.original_path` is its key in both. In rows taken over from the replaced system it may be a whole
address, which is linked to and never fetched.
"""

import hashlib
from pathlib import PurePosixPath

from shared.errors import ObjectNotFoundError, OriginalChangedError, StoreRefusedError
from shared.logs import get_logger
from shared.models import Scan
from shared.services import Services
from shared.storage import ObjectStore

ADDRESSES = ("https://", "http://")
READS = 2  # a disk, a network or a cache may have spoiled the first; what is stored changes no more

log = get_logger(__name__)


def original_store(services: Services, is_staged: bool) -> ObjectStore:
    """The store that has the original now. Raises `StoreRefusedError` if that is staging, which is off."""
    if not is_staged:
        return services.images
    if services.staging is None:
        raise StoreRefusedError(
            "The original waits in the staging store, but none is set here. Set STAGING_STORE as it was."
        )
    return services.staging


def read_original(services: Services, key: str, is_staged: bool, sha256: str | None) -> bytes:
    """The original as it was uploaded. `sha256`: the row's, which is empty where nobody recorded it.

    Raises `OriginalChangedError` if the store has other bytes, and what the stores raise.
    """
    for _ in range(READS):
        data = _read(services, key, is_staged)
        if not sha256 or hashlib.sha256(data).hexdigest() == sha256:
            return data
        log.error("original is not what was uploaded", key=key, bytes=len(data), sha256=sha256)
    raise OriginalChangedError(
        f"The stored original of scan {PurePosixPath(key).stem} is not the file that was uploaded: somebody "
        "replaced it, or it is damaged. Restore it from a backup and retry, or upload the scan again."
    )


def _read(services: Services, key: str, is_staged: bool) -> bytes:
    try:
        return original_store(services, is_staged).get(key)
    except ObjectNotFoundError:
        if not is_staged:
            raise
    # The analysis was recorded after the caller had read the row.
    return services.images.get(key)


def original_link(services: Services, scan: Scan, side: int | None = None) -> str:
    """A link to the original, wherever it is now; with `side` to a small version, where its store has one."""
    key = scan.original_path
    if key.startswith(ADDRESSES):
        return key
    store = original_store(services, scan.is_staged)
    return store.link(key) if side is None else store.thumbnail(key, side)
