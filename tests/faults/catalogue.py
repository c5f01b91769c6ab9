"""The table of all that can break."""

from tests.faults import process_faults, server_faults
from tests.faults.mail_faults import MAIL_FAULTS
from tests.faults.moods import MOODS
from tests.faults.process_faults import PROCESS_FAULTS, nothing
from tests.faults.scene import POISON_SIZE, Fault, Place
from tests.faults.server_faults import SERVER_FAULTS
from tests.faults.store_faults import SMALL_DISK_FAULTS, break_the_image_folder, faults_of_store

POINTS = (
    "uploads-stored",
    "rows-committed",
    "claimed",
    "fetched",
    "decoded",
    "predicted",
    "drawn",
    "picture-stored",
    "pictures-stored",
    "results-written",
    "results-recorded",
    "leases-renewed",
    "report-claimed",
    "report-rendered",
    "report-stored",
    "report-recorded",
)


def _fail_at(point: str, action: str = "kill:2", place: Place = Place.LOCAL) -> Fault:
    where = ", stores outside" if place is Place.OUTSIDE else ""
    return Fault(f"{action} at {point}{where}", nothing, {"FAIL_AT": f"{point}:{action}"}, place=place)


POISON = Fault(
    "a picture that kills",
    nothing,
    {"FAIL_AT": f"decoded@{POISON_SIZE[0]}x{POISON_SIZE[1]}:kill"},
    poisoned=1,
)
SHORT = (
    Fault("kill a scan worker's parent", process_faults.kill_scan_parent),
    Fault("empty Redis", server_faults.flush_redis),
    Fault("restart Postgres", server_faults.restart_postgres),
    Fault("lose answers to commits", server_faults.lose_answers_to_commits),
    Fault("deliver hints three times", server_faults.deliver_hints_three_times),
)
FAULTS = (
    Fault("no fault", nothing),
    *SHORT,
    *PROCESS_FAULTS,
    *SERVER_FAULTS,
    Fault("break the image folder", break_the_image_folder),
    *(_fail_at(point) for point in POINTS),
    _fail_at("predicted", "raise:2"),
    _fail_at("picture-stored", "raise:2"),
    _fail_at("picture-stored", "hang:2"),
    _fail_at("fetched", "hang:2"),
    _fail_at("claimed", "exit:2"),
    _fail_at("decoded", "crash:2"),
    _fail_at("fetched", "exhaust:2"),
    _fail_at("predicting", "exhaust:2"),
    POISON,
    *SMALL_DISK_FAULTS,
    Fault("no fault, stores outside", nothing, place=Place.OUTSIDE),
    _fail_at("picture-stored", place=Place.OUTSIDE),
    _fail_at("results-recorded", place=Place.OUTSIDE),
    _fail_at("report-stored", place=Place.OUTSIDE),
    *(fault for mood in MOODS for fault in faults_of_store(mood)),
    *MAIL_FAULTS,
)
