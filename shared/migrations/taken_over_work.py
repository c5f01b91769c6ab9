"""Copies scans and reports of the replaced system, and gives its scans the jobs that every scan has."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    and_,
    case,
    cast,
    column,
    false,
    func,
    insert,
    literal,
    null,
    select,
    table,
    true,
)

from shared.migrations.old_tables import OldTable, copy
from shared.migrations.taken_over_people import owner_of

NOT_TAKEN_OVER = "NOT_TAKEN_OVER"
NO_FINDING = "The replaced system kept no finding of this scan. Upload the slice again to have it analysed."
_TUMOR = r"^tumou?r(detected|found|present)?$"  # of a word's letters only, in lower case
_NO_TUMOR = r"^(no|non)tumou?r(detected|found|present)?$"
# Described here, not taken from the models: these follow the schema of later revisions.
SCANS = table(
    "scans",
    *map(column, ("id", "patient_id", "scan_id", "original_filename", "original_path", "is_staged")),
    *map(column, ("heatmap_path", "overlay_path", "prediction", "confidence", "probability")),
    *map(column, ("analysed_at", "report_path", "created_at")),
)
REPORTS = table(
    "reports",
    *map(column, ("id", "patient_id", "report_id", "report_path", "is_legacy")),
    *map(column, ("scan_count", "tumor_count", "no_tumor_count", "created_at")),
)
JOBS = table(
    "jobs",
    *map(column, ("id", "kind", "lane", "status", "stage", "attempt", "spent_attempts", "crash_count")),
    *map(column, ("error_code", "error_message", "created_at", "finished_at", "scan_id", "is_public")),
)
JOB_EVENTS = table("job_events", *map(column, ("job_id", "attempt", "status_to", "reason")))
REPORT_SCANS = table("report_scans", *map(column, ("report_id", "scan_id")))


def copy_scans(connection: Connection, old: OldTable, nobody: int) -> None:
    path = func.coalesce(old.filled("original_path"), "")
    said = _said(old)
    values: dict[str, ColumnElement[Any]] = {
        "id": old.id,
        "patient_id": owner_of(old, nobody),
        "scan_id": old.display_id("scan_id", "S"),
        "original_filename": func.coalesce(old.filled("original_filename"), _last_segment(path)),
        "original_path": path,
        "is_staged": false(),
        "heatmap_path": old.filled("heatmap_path"),
        "overlay_path": old.filled("overlay_path"),
        **_finding(old, said),
        "analysed_at": case((said.is_not(None), old.created_at())),
        "report_path": old.filled("report_path"),
        "created_at": old.created_at(),
    }
    copy(connection, SCANS, old, values)
    _add_jobs(connection)


def copy_reports(connection: Connection, old: OldTable, nobody: int) -> None:
    """Reports, and which scans they cover as far as a scan names its report's file."""
    counts = ("scan_count", "tumor_count", "no_tumor_count")
    values: dict[str, ColumnElement[Any]] = {
        "id": old.id,
        "patient_id": owner_of(old, nobody),
        "report_id": old.display_id("report_id", "R"),
        "report_path": old.filled("report_path"),
        "is_legacy": true(),
        **{name: func.coalesce(old.whole(name), 0) for name in counts},
        "created_at": old.created_at(),
    }
    copy(connection, REPORTS, old, values)
    is_covered = and_(
        SCANS.c.patient_id == REPORTS.c.patient_id, SCANS.c.report_path == REPORTS.c.report_path
    )
    covered = select(REPORTS.c.id, SCANS.c.id).select_from(REPORTS.join(SCANS, is_covered))
    connection.execute(insert(REPORT_SCANS).from_select(["report_id", "scan_id"], covered))


def _said(old: OldTable) -> ColumnElement[str | None]:
    """The finding in our words; NULL where it is none of the words that mean one."""
    letters = func.regexp_replace(func.lower(old.text("prediction")), "[^a-z]", "", "g")
    return case((letters.regexp_match(_TUMOR), "Tumor"), (letters.regexp_match(_NO_TUMOR), "No Tumor"))


def _finding(old: OldTable, said: ColumnElement[str | None]) -> dict[str, ColumnElement[Any]]:
    """The word, its probability and the tumour's. Some old rows hold the first probability in both columns.

    So one that contradicts the word is that of the other answer. Without a word there is no finding.
    """
    is_tumor = said == "Tumor"
    confidence, told = old.share("confidence"), old.share("probability")
    given = func.coalesce(told, case((is_tumor, confidence), else_=1 - confidence))
    probability = case((is_tumor == (given >= 0.5), given), else_=1 - given)
    meant = func.coalesce(confidence, case((is_tumor, probability), else_=1 - probability))
    return {
        "prediction": said,
        "confidence": case((said.is_not(None), cast(meant, Double))),
        "probability": case((said.is_not(None), cast(probability, Double))),
    }


def _last_segment(path: ColumnElement[Any]) -> ColumnElement[str]:
    return func.regexp_replace(path, r"^.*[/\\]", "")


def _add_jobs(connection: Connection) -> None:
    """An ended job for each scan: lists of scans show its status."""
    is_done = SCANS.c.prediction.is_not(None)
    values: dict[str, ColumnElement[Any]] = {
        "id": func.gen_random_uuid(),
        "kind": literal("scan"),
        "lane": literal("bulk"),
        "status": case((is_done, "succeeded"), else_="failed"),
        "stage": literal("done"),
        "attempt": literal(0),
        "spent_attempts": literal(0),
        "crash_count": literal(0),
        "error_code": case((is_done, null()), else_=NOT_TAKEN_OVER),
        "error_message": case((is_done, null()), else_=NO_FINDING),
        "created_at": SCANS.c.created_at,
        "finished_at": SCANS.c.created_at,
        "scan_id": SCANS.c.id,
        "is_public": false(),
    }
    connection.execute(insert(JOBS).from_select(list(values), select(*values.values()).order_by(SCANS.c.id)))
    events = select(JOBS.c.id, literal(0), JOBS.c.status, literal("taken over")).order_by(JOBS.c.scan_id)
    connection.execute(insert(JOB_EVENTS).from_select(["job_id", "attempt", "status_to", "reason"], events))
