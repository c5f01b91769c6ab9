"""Patients whose records must stay, and objects that are to be deleted.

Revises: 0004
"""

from alembic import op
import sqlalchemy as sa

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default stays: processes of the version before this one go on adding patients.
    op.add_column(
        "patients", sa.Column("is_on_hold", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "doomed_objects",
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("role", "key", name=op.f("pk_doomed_objects")),
    )


def downgrade() -> None:
    op.drop_table("doomed_objects")
    op.drop_column("patients", "is_on_hold")
