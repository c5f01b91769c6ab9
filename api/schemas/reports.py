"""PDF reports."""

from typing import Annotated

from pydantic import Field

from api.schemas.fields import Answer, Count, Line, Ok, Request, RowId, Time


class GenerateReportBody(Request):
    patient_id: RowId
    scan_ids: (
        Annotated[list[Annotated[Line, Field(max_length=50)]], Field(min_length=1, max_length=1000)] | None
    ) = Field(None, description="display ids of scans; left out: all that have been analysed")


class ReportIdPath(Request):
    report_id: str


class FilenamePath(Request):
    filename: str


class FileQuery(Request):
    report_id: str | None = Field(None, description="which of several reports with this file name")


class Report(Answer):
    id: int
    patient_id: int
    report_id: str
    report_path: str | None = Field(description="its last part is the name for download-by-filename")
    scan_count: Count
    tumor_count: Count
    no_tumor_count: Count
    created_at: Time


class AnyPatientsReport(Report):
    patient_name: str
    patient_identifier: str = Field(description="the patient's display id")


class ReportsAnswer(Ok):
    data: list[Report]


class AllReportsAnswer(Ok):
    data: list[AnyPatientsReport]


class ReportAnswer(Ok):
    """The report was waited for and is there."""

    data: Report


class DownloadAnswer(Ok):
    download_url: str = Field(description="works for a limited time; root-relative where the API serves it")
