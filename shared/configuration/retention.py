"""How long records are kept."""

from pydantic import BaseModel, Field


class RetentionSettings(BaseModel):
    """Days after which `api.cli retention --apply` removes things; empty: never. Nothing does it by itself.

    Most countries oblige clinics to keep patients' records for years: choose with somebody who knows.
    """

    retention_scan_days: float | None = Field(
        None, ge=1, description="days that scans with their pictures are kept; empty: for ever"
    )
    retention_report_days: float | None = Field(
        None, ge=1, description="days that reports are kept; a scan stays as long as a report covers it"
    )
    retention_public_days: float | None = Field(
        None, ge=1, description="the same for scans of uploads without a login"
    )
    retention_work_days: float | None = Field(
        None, ge=1, description="days that the ledgers of finished jobs, and mails that went out, are kept"
    )
