"""Indexes for the staff's figures and lists, which must stay quick over millions of rows.

Revises: 0006
"""

from alembic import op
import sqlalchemy as sa

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_jobs_without_result",
        "jobs",
        ["status", "position"],
        postgresql_where=sa.text("status IN ('failed', 'cancelled')"),
    )
    op.create_index(
        "ix_jobs_not_scans",
        "jobs",
        ["kind", "position"],
        postgresql_where=sa.text("kind IN ('report', 'mail')"),
    )
    op.create_index("ix_scans_outcome", "scans", ["prediction", "review"])
    op.create_index("ix_audit_events_action", "audit_events", ["action", "id"])


def downgrade() -> None:
    op.drop_index("ix_audit_events_action", "audit_events")
    op.drop_index("ix_scans_outcome", "scans")
    for name in ("ix_jobs_not_scans", "ix_jobs_without_result"):
        op.drop_index(name, "jobs")
