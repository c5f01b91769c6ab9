"""Indexes for lists of scans by the time of their upload: of all, and of those that a reader has judged.

Revises: 0007
"""

from alembic import op
import sqlalchemy as sa

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_scans_newest", "scans", ["created_at", "id"])
    op.create_index(
        "ix_scans_newest_read",
        "scans",
        ["created_at", "id"],
        postgresql_where=sa.text("reader_verdict IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_scans_newest_read", "scans")
    op.drop_index("ix_scans_newest", "scans")
