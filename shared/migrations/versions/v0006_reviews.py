"""What readers of images say about scans.

Revises: 0005
"""

from alembic import op
import sqlalchemy as sa

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VERDICTS = "verdict IN ('Tumor', 'No Tumor', 'Unusable')"


def upgrade() -> None:
    # Removed with the scan: processes of the version before this one know nothing of the table.
    op.create_table(
        "scan_reviews",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("admin_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("prediction", sa.String(length=20), nullable=True),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("review", sa.String(length=50), nullable=True),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(VERDICTS, name=op.f("ck_scan_reviews_verdict")),
        sa.ForeignKeyConstraint(["admin_id"], ["admins.id"], name=op.f("fk_scan_reviews_admin_id_admins")),
        sa.ForeignKeyConstraint(
            ["scan_id"], ["scans.id"], name=op.f("fk_scan_reviews_scan_id_scans"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_reviews")),
    )
    op.create_index("ix_scan_reviews_newest", "scan_reviews", ["scan_id", "id"])
    op.add_column("scans", sa.Column("reader_verdict", sa.String(length=20), nullable=True))
    op.add_column("scans", sa.Column("reader_agrees", sa.Boolean(), nullable=True))
    op.add_column("scans", sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_scans_undecided",
        "scans",
        ["id"],
        postgresql_where=sa.text("review = 'needs_review' AND reader_verdict IS NULL"),
    )
    op.create_index(
        "ix_scans_unread",
        "scans",
        ["id"],
        postgresql_where=sa.text("analysed_at IS NOT NULL AND reader_verdict IS NULL"),
    )
    op.create_index(
        "ix_scans_read", "scans", ["reader_agrees"], postgresql_where=sa.text("reader_verdict IS NOT NULL")
    )


def downgrade() -> None:
    for name in ("ix_scans_read", "ix_scans_unread", "ix_scans_undecided"):
        op.drop_index(name, "scans")
    for column in ("reviewed_at", "reader_agrees", "reader_verdict"):
        op.drop_column("scans", column)
    op.drop_table("scan_reviews")
