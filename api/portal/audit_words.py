"""Acts of the audit trail in words, and the people who did them."""

from api.portal.language import mark

ACTIONS = {
    "admin.created": mark("Account of the staff created"),
    "batch.cancelled": mark("Batch cancelled"),
    "batch.created": mark("Batch begun"),
    "batch.exported": mark("Results of a batch exported"),
    "batch.retried": mark("Failed scans of a batch run again"),
    "database.restored": mark("Database restored from a backup"),
    "image.viewed": mark("Picture opened"),
    "job.cancelled": mark("Job cancelled"),
    "job.retried": mark("Job run again"),
    "login.ended": mark("Signed out, or signed out by somebody"),
    "login.failed": mark("Wrong password"),
    "login.succeeded": mark("Signed in"),
    "login.throttled": mark("Too many wrong passwords"),
    "password.changed": mark("Password changed"),
    "password.reset": mark("Password reset"),
    "patient.changed": mark("Patient changed"),
    "patient.created": mark("Patient created"),
    "patient.forgotten": mark("Patient and all records removed"),
    "patient.held": mark("Patient kept from removal"),
    "patient.listed": mark("Patients listed"),
    "patient.released": mark("Patient no longer kept from removal"),
    "patient.viewed": mark("Patient opened"),
    "report.downloaded": mark("Report downloaded"),
    "report.listed": mark("Reports listed"),
    "report.moved": mark("File of a report moved"),
    "report.requested": mark("Report requested"),
    "report.restored": mark("File of a report moved back"),
    "retention.applied": mark("What is kept no longer removed"),
    "review.listed": mark("Reviews listed"),
    "scan.listed": mark("Scans listed"),
    "scan.reviewed": mark("Scan judged"),
    "scan.uploaded": mark("Scans uploaded"),
    "scan.viewed": mark("Scan opened"),
    "stores.reconciled": mark("Stores compared with the database"),
}
ACTORS = {
    "admin": mark("Admin"),
    "reader": mark("Reader"),
    "patient": mark("Patient"),
    "anonymous": mark("Nobody signed in"),
    "cli": mark("Command line"),
}


def action_words(action: str) -> str | None:
    """To be translated; None for an act that these pages do not know."""
    return ACTIONS.get(action)


def actor_words(actor: str) -> str | None:
    """Of "admin:1" what somebody is, to be translated."""
    return ACTORS.get(actor.partition(":")[0])
