"""Keep the model's own probability beside the calibrated one, and why a picture was rejected.

Revises: 0001
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("raw_probability", sa.Double(), nullable=True))
    rejection = sa.Column("rejection", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    op.add_column("scans", rejection)


def downgrade() -> None:
    op.drop_column("scans", "rejection")
    op.drop_column("scans", "raw_probability")
