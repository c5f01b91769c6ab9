"""Where a scan's original is: in the staging store until its analysis is recorded, then among the images.

`scans.original_path` is its key in both. In rows taken over from the replaced system it may be a whole
address, which is linked to and never fetched.
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
    if scan.original_path.startswith(ADDRESSES):
        return scan.original_path
    return original_store(services, scan.is_staged).link(scan.original_path)
