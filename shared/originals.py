"""Where a scan's pictures are. The original is staged until its analysis is recorded, then among the images.

`scans.original_path` is its key in both. Rows taken over from the replaced system may hold whole addresses
instead of keys: those are linked to and never fetched.
"""

from shared.errors import ObjectNotFoundError, StoreRefusedError
from shared.models import Scan
from shared.services import Services
from shared.storage import ObjectStore

ADDRESSES = ("https://", "http://")


def original_store(services: Services, is_staged: bool) -> ObjectStore:
    """The store that has the original now. Raises `StoreRefusedError` if that is staging, which is off."""
    if not is_staged:
        return services.images
    if services.staging is None:
        raise StoreRefusedError(
            "The original waits in the staging store, but none is set here. Set STAGING_STORE as it was."
        )
    return services.staging


def read_original(services: Services, key: str, is_staged: bool) -> bytes:
    """The original as it was uploaded. Raises what the stores raise."""
    try:
        return original_store(services, is_staged).get(key)
    except ObjectNotFoundError:
        if not is_staged:
            raise
    # The analysis was recorded after the caller had read the row.
    return services.images.get(key)


def original_link(services: Services, scan: Scan) -> str:
    """A link to the original, wherever it is now."""
    return picture_link(original_store(services, scan.is_staged), scan.original_path)


def picture_link(store: ObjectStore, key: str) -> str:
    """A link to a picture of this store, or the address that the row holds in place of a key."""
    return key if key.startswith(ADDRESSES) else store.link(key)
