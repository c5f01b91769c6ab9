"""Backups: a consistent dump of the database, and an inventory of the objects that its rows name.

A backup is a folder: `manifest.json` with the hashes of all parts, `manifest.sha256`, `tables/*.copy.gz` as
`COPY` wrote them, `objects.jsonl.gz`, and on request the objects themselves under `objects/ROLE/KEY`. It
holds patients' data and password hashes, and none of this system's settings. `COPY` and no `pg_dump`: the
API's image has no Postgres programs, and one way that is always there is better than two.
"""

from shared.backup.manifest import Manifest, read_manifest
from shared.backup.objects import Brought, bring_objects
from shared.backup.restore import Restored, restore
from shared.backup.take import take_backup

__all__ = [
    "Brought",
    "Manifest",
    "Restored",
    "bring_objects",
    "read_manifest",
    "restore",
    "take_backup",
]
