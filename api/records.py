"""Records as answers: the same patient, scans and reports, whoever may see them."""

from flask import Response, jsonify

from api.acts import note
from api.paging import answer_list
from api.presenters import Json, of_any_patient, patient_json, report_json, scan_json
from api.release import sees_only_released
from api.schemas.fields import PageQuery
from api.wiring import services
from shared import accounts, reports, scans
from shared.models import Job, Scan


def answer_patient(patient_id: int) -> Response:
    """One patient. Raises `NotFoundError`."""
    with services().sessions.begin() as session:
        patient = accounts.get_patient(session, patient_id)
        note(session, "patient.viewed", f"patient:{patient.id}")
    return jsonify(success=True, data=patient_json(patient))


def answer_scans_of(patient_id: int, query: PageQuery) -> Response:
    """The patient's scans, newest first, finished or not. Raises `NotFoundError`."""
    with services().sessions.begin() as session:
        accounts.get_patient(session, patient_id)
        is_gated = sees_only_released()
        rows = scans.page(session, query.limit, query.cursor, patient_id, only_released=is_gated)
        paths = {scan.report_path for scan, _ in rows if scan.report_path}
        if is_gated:
            paths = reports.released_paths(session, paths)
        note(session, "scan.listed", f"patient:{patient_id}", rows=len(rows))

    def present(row: tuple[Scan, Job]) -> Json:
        body = scan_json(*row)
        return body if row[0].report_path in paths else {**body, "report_path": None}

    return answer_list(rows, query.limit, lambda row: row[0].id, present)


def answer_reports_of(patient_id: int, query: PageQuery) -> Response:
    """The patient's finished reports, newest first. Raises `NotFoundError`."""
    with services().sessions.begin() as session:
        accounts.get_patient(session, patient_id)
        rows = reports.page(session, query.limit, query.cursor, patient_id, sees_only_released())
        note(session, "report.listed", f"patient:{patient_id}", rows=len(rows))
    return answer_list(rows, query.limit, lambda row: row.id, report_json)


def answer_all_scans(query: PageQuery) -> Response:
    """All scans, newest first, without their evidence maps: those are most of the bytes."""
    with services().sessions.begin() as session:
        rows = scans.page(session, query.limit, query.cursor, with_maps=False)
        note(session, "scan.listed", "scans", rows=len(rows))
    return answer_list(
        rows,
        query.limit,
        lambda row: row[0].id,
        lambda row: of_any_patient(scan_json(*row, with_map=False), row[0].patient),
    )


def answer_all_reports(query: PageQuery) -> Response:
    """All finished reports, newest first."""
    with services().sessions.begin() as session:
        rows = reports.page(session, query.limit, query.cursor)
        note(session, "report.listed", "reports", rows=len(rows))
    return answer_list(
        rows, query.limit, lambda row: row.id, lambda row: of_any_patient(report_json(row), row.patient)
    )
