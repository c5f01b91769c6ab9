"""Roles, throttled logins, mails, batches over several requests, idempotency keys, audit trail, taken-over rows.

Revises: 0002
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UNKNOWN_IN_OLD_ROWS = ("content_type", "byte_size", "width", "height", "sha256")
OLD_SUBJECT = "(kind = 'scan' AND scan_id IS NOT NULL AND report_id IS NULL) OR (kind = 'report' AND report_id IS NOT NULL AND scan_id IS NULL)"
NEW_SUBJECT = "num_nonnulls(scan_id, report_id, mail_id) = 1 AND (kind = 'scan') = (scan_id IS NOT NULL) AND (kind = 'report') = (report_id IS NOT NULL)"

# One row at a time: the lock is held until the commit, so that the chain has no forks.
AUDIT_CHAIN = """
CREATE FUNCTION audit_events_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last record;
BEGIN
    PERFORM pg_advisory_xact_lock(7204511905);
    SELECT id, hash INTO last FROM audit_events ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(last.id, 0) + 1;
    NEW.at := clock_timestamp();
    NEW.previous_hash := coalesce(last.hash, repeat('0', 64));
    NEW.hash := audit_events_hash(NEW);
    RETURN NEW;
END $$
"""
AUDIT_HASH = """
CREATE FUNCTION audit_events_hash(event audit_events) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        event.previous_hash, event.id, extract(epoch FROM event.at), event.actor, event.action, event.subject,
        event.request_id, event.details
    )::text, 'UTF8')), 'hex')
$$
"""
AUDIT_REFUSE = """
CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail can only be added to' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    _people()
    _work()
    _audit()


def _people() -> None:
    op.add_column("admins", sa.Column("role", sa.String(length=20), nullable=False, server_default="admin"))
    op.alter_column("admins", "role", server_default=None)
    op.create_check_constraint(op.f("ck_admins_role"), "admins", "role IN ('admin', 'reader')")
    for table in ("admins", "patients"):
        _add_flag(table, "has_generated_password")
    op.create_table(
        "login_failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("account_sha256", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_failures")),
    )
    op.create_index("ix_login_failures_account", "login_failures", ["account_sha256", "at"], unique=False)
    op.create_index("ix_login_failures_address", "login_failures", ["address", "at"], unique=False)
    op.create_table(
        "mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(length=20), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("secret", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("template IN ('credentials')", name=op.f("ck_mails_template")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_mails_patient_id_patients")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("message_id", name=op.f("uq_mails_message_id")),
    )
    op.create_index(op.f("ix_mails_patient_id"), "mails", ["patient_id"], unique=False)
    op.create_index(
        "ix_mails_secret", "mails", ["created_at"], postgresql_where=sa.text("secret IS NOT NULL")
    )


def _work() -> None:
    _add_flag("scans", "is_staged")
    for column in UNKNOWN_IN_OLD_ROWS:
        op.alter_column("scans", column, nullable=True)
    _add_flag("reports", "is_legacy")
    op.add_column("reports", sa.Column("legacy_path", sa.String(), nullable=True))

    op.add_column(
        "batches", sa.Column("origin", sa.String(length=20), nullable=False, server_default="upload")
    )
    op.alter_column("batches", "origin", server_default=None)
    op.create_check_constraint(op.f("ck_batches_origin"), "batches", "origin IN ('upload', 'request')")
    op.add_column("batches", sa.Column("name", sa.String(length=100), nullable=True))
    op.add_column("batches", sa.Column("admin_id", sa.Integer(), nullable=True))
    op.create_foreign_key(
        op.f("fk_batches_admin_id_admins"), "batches", "admins", ["admin_id"], ["id"], ondelete="SET NULL"
    )
    op.add_column("batches", sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True))

    op.add_column("jobs", sa.Column("mail_id", sa.Integer(), nullable=True))
    op.create_foreign_key(op.f("fk_jobs_mail_id_mails"), "jobs", "mails", ["mail_id"], ["id"])
    op.create_index(op.f("ix_jobs_mail_id"), "jobs", ["mail_id"], unique=False)
    op.add_column("jobs", sa.Column("spent_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("jobs", "spent_attempts", server_default=None)
    _add_flag("jobs", "is_public")
    op.drop_constraint(op.f("ck_jobs_subject"), "jobs")
    op.create_check_constraint(op.f("ck_jobs_subject"), "jobs", NEW_SUBJECT)
    op.create_index(
        "ix_jobs_unfinished",
        "jobs",
        ["kind", "position"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_jobs_finished",
        "jobs",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )

    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)


def _audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_actor", "audit_events", ["actor", "id"], unique=False)
    op.create_index("ix_audit_events_subject", "audit_events", ["subject", "id"], unique=False)
    for function in (AUDIT_HASH, AUDIT_CHAIN, AUDIT_REFUSE):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER chain BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_events_chain()"
    )
    op.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_events_refuse()"
    )
    op.execute(
        "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()"
    )


def _add_flag(table: str, name: str) -> None:
    """A boolean that is false in every row that is there."""
    op.add_column(table, sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column(table, name, server_default=None)


def downgrade() -> None:
    op.execute("DROP TABLE audit_events CASCADE")  # and the function that takes its rows
    for function in ("chain", "refuse"):
        op.execute(f"DROP FUNCTION audit_events_{function}()")
    op.drop_table("idempotency_keys")
    op.execute("DELETE FROM jobs WHERE kind = 'mail'")
    op.drop_constraint(op.f("ck_jobs_subject"), "jobs")
    for index in ("ix_jobs_finished", "ix_jobs_unfinished"):
        op.drop_index(index, table_name="jobs")
    for column in ("is_public", "spent_attempts", "mail_id"):
        op.drop_column("jobs", column)
    op.create_check_constraint(op.f("ck_jobs_subject"), "jobs", OLD_SUBJECT)
    for column in ("cancelled_at", "admin_id", "name", "origin"):
        op.drop_column("batches", column)
    for column in ("legacy_path", "is_legacy"):
        op.drop_column("reports", column)
    for column in UNKNOWN_IN_OLD_ROWS:
        op.alter_column("scans", column, nullable=False)
    op.drop_column("scans", "is_staged")
    op.drop_table("mails")
    op.drop_table("login_failures")
    op.drop_column("patients", "has_generated_password")
    for column in ("has_generated_password", "role"):
        op.drop_column("admins", column)
