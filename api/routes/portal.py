"""What patients see of themselves."""

from flask_openapi3 import APIBlueprint, Tag

from api.auth import for_signed_in, require_patient_access
from api.documentation import ERRORS
from api.records import answer_patient, answer_reports_of, answer_scans_of
from api.schemas.fields import PageQuery, PatientPath
from api.schemas.patients import PatientAnswer
from api.schemas.reports import ReportsAnswer
from api.schemas.scans import ScansAnswer
from api.view_result import ViewResult

blueprint = APIBlueprint(
    "portal",
    __name__,
    url_prefix="/api/patient",
    abp_tags=[Tag(name="Patient portal")],
    abp_responses=ERRORS,
)


@blueprint.get("/<int:patient_id>", responses={200: PatientAnswer})
@for_signed_in
def get_own_record(path: PatientPath) -> ViewResult:
    """The patient's own record."""
    require_patient_access(path.patient_id)
    return answer_patient(path.patient_id)


@blueprint.get("/<int:patient_id>/scans", responses={200: ScansAnswer})
@for_signed_in
def list_own_scans(path: PatientPath, query: PageQuery) -> ViewResult:
    """The patient's own scans, newest first."""
    require_patient_access(path.patient_id)
    return answer_scans_of(path.patient_id, query)


@blueprint.get("/<int:patient_id>/reports", responses={200: ReportsAnswer})
@for_signed_in
def list_own_reports(path: PatientPath, query: PageQuery) -> ViewResult:
    """The patient's own reports, newest first."""
    require_patient_access(path.patient_id)
    return answer_reports_of(path.patient_id, query)
