"""Take over the replaced system's rows: e-mail addresses that several share, and texts of any length.

Revises: 0003
"""

from alembic import op
import sqlalchemy as sa

from shared.migrations import takeover

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Old values may be longer than ours ever are: requests have their own limits.
LIMITS = (
    ("admins", "username", 100),
    ("admins", "email", 254),
    ("patients", "patient_id", 50),
    ("patients", "name", 200),
    ("patients", "email", 254),
    ("patients", "gender", 20),
    ("patients", "phone", 50),
    ("patients", "username", 100),
    ("scans", "scan_id", 50),
    ("scans", "original_filename", 255),
    ("reports", "report_id", 50),
)


def upgrade() -> None:
    for table, column, _ in LIMITS:
        op.alter_column(table, column, type_=sa.String())
    op.alter_column("patients", "email", nullable=True)
    op.add_column(
        "patients", sa.Column("shares_email", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.alter_column("patients", "shares_email", server_default=None)
    op.drop_constraint(op.f("uq_patients_email"), "patients")
    op.create_index(
        op.f("uq_patients_email"),
        "patients",
        ["email"],
        unique=True,
        postgresql_where=sa.text("NOT shares_email"),
    )
    takeover.copy_rows(op.get_bind())


def downgrade() -> None:
    """Rows that the older schema has no room for are made to fit; the old tables still hold them as they were."""
    op.execute("UPDATE patients SET email = 'unknown-' || id WHERE email IS NULL")
    op.execute("UPDATE patients SET email = email || '-' || id WHERE shares_email")
    op.execute(
        "UPDATE scans SET content_type = '', byte_size = 0, width = 0, height = 0, sha256 = '' WHERE sha256 IS NULL"
    )
    op.drop_index(op.f("uq_patients_email"), "patients")
    op.drop_column("patients", "shares_email")
    for table, column, length in LIMITS:
        op.alter_column(
            table, column, type_=sa.String(length=length), postgresql_using=f"left({column}, {length})"
        )
    op.alter_column("patients", "email", nullable=False)
    op.create_unique_constraint(op.f("uq_patients_email"), "patients", ["email"])
